"""The limit of a hand-over in Python: plain sockets that send what leaselock sends, and nothing else is done with it.

One socket for commands and one for the inbox; no renewal, no time-out, no state.
"""

from __future__ import annotations

import asyncio
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


class Sockets:
    """Both sockets, and what is sent on them."""

    def __init__(self, url: str) -> None:
        self.id = uuid.uuid4().hex
        self.commands = connect(url)
        self.inbox = connect(url)
        ask(self.inbox, "SUBSCRIBE", f"lock||inbox||{self.id}")
        self.sha = {name: load(self.commands, script(name)) for name in ("wait.lua", "release.lua")}

    def wait(self, name: str) -> tuple[Any, bytes]:
        owner = uuid.uuid4().hex
        keys = (f"lock||{name}", f"{{lock||{name}}}||||queue", "lock||||fence")
        wait = packed("EVALSHA", self.sha["wait.lua"], 3, *keys, owner, TTL * 1000, self.id, "", 1)
        return (keys, owner), wait

    def give_back(self, held: Any) -> bytes:
        keys, owner = held
        return packed("EVALSHA", self.sha["release.lua"], 3, *keys, owner, self.id)


class BareHandOver(Sockets):
    """Blocking, in the caller's own thread."""

    def acquire(self, name: str) -> Any:
        held, wait = self.wait(name)
        self.commands.sendall(wait)
        if not acquired(self.commands.recv(4096)):
            while b"grant" not in self.inbox.recv(4096):
                pass
        return held

    def release(self, held: Any) -> None:
        self.commands.sendall(self.give_back(held))
        self.commands.recv(4096)


class AsyncBareHandOver(Sockets):
    """Watched by the event loop."""

    async def acquire(self, name: str) -> Any:
        held, wait = self.wait(name)
        self.commands.sendall(wait)
        if not acquired(await readable(self.commands)):
            while b"grant" not in await readable(self.inbox):
                pass
        return held

    async def release(self, held: Any) -> None:
        self.commands.sendall(self.give_back(held))
        await readable(self.commands)


async def readable(connection: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    came: asyncio.Future[bytes] = loop.create_future()
    loop.add_reader(connection, lambda: came.set_result(connection.recv(4096)))
    try:
        return await came
    finally:
        loop.remove_reader(connection)


def acquired(reply: bytes) -> bool:
    return reply.startswith(b"*2\r\n:1")


def ask(connection: socket.socket, *words: object) -> bytes:
    connection.sendall(packed(*words))
    return connection.recv(4096)


def load(connection: socket.socket, text: str) -> str:
    return ask(connection, "SCRIPT", "LOAD", text).split(b"\r\n")[1].decode()


def connect(url: str) -> socket.socket:
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname or "", address.port or 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
