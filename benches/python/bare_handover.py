"""The limit of a hand-over in Python: plain sockets that send what leaselock sends, and nothing else is done with it.

One socket for commands and one for the inbox, read in the waiter's own thread; no renewal, no time-out, no state.
"""

from __future__ import annotations

import re
import socket
import uuid
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from protocol import TTL

if TYPE_CHECKING:
    from typing import Any

SCRIPTS = Path(__file__).resolve().parents[2] / "core/src/store/redis/scripts"


def script(name: str) -> str:
    """A script, with what it includes."""
    text = (SCRIPTS / name).read_text()
    return re.sub(r"(?m)^--@include (\S+)$", lambda found: (SCRIPTS / found[1]).read_text(), text)


def packed(*words: object) -> bytes:
    parts = [str(word).encode() for word in words]
    return b"".join([b"*%d\r\n" % len(parts), *(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)])


class BareHandOver:
    def __init__(self, url: str) -> None:
        self.id = uuid.uuid4().hex
        self.commands = connect(url)
        self.inbox = connect(url)
        self.ask(self.inbox, "SUBSCRIBE", f"lock||inbox||{self.id}")
        self.sha = {name: self.load(script(name)) for name in ("wait.lua", "release.lua")}

    def load(self, text: str) -> str:
        return self.ask(self.commands, "SCRIPT", "LOAD", text).split(b"\r\n")[1].decode()

    @staticmethod
    def ask(connection: socket.socket, *words: object) -> bytes:
        connection.sendall(packed(*words))
        return connection.recv(4096)

    def acquire(self, name: str) -> Any:
        owner = uuid.uuid4().hex
        keys = (f"lock||{name}", f"{{lock||{name}}}||||queue", "lock||||fence")
        wait = packed("EVALSHA", self.sha["wait.lua"], 3, *keys, owner, TTL * 1000, self.id, "", 1)
        self.commands.sendall(wait)
        while not self.commands.recv(4096).startswith(b"*2\r\n:1"):
            while b"grant" not in self.inbox.recv(4096):
                pass
            self.commands.sendall(wait)
        return keys, owner

    def release(self, held: Any) -> None:
        keys, owner = held
        self.ask(self.commands, "EVALSHA", self.sha["release.lua"], 2, *keys[:2], owner, self.id, "0")


def connect(url: str) -> socket.socket:
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname or "", address.port or 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
