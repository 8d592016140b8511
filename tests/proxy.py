"""A TCP proxy that misbehaves on request: silence, delay, lost replies, half-open, forgotten and cut connections.

In front of a server it is used as `with Proxy(server.port) as proxy: client = leaselock.Client(proxy.url)`; then, say,
`proxy.to_client.drop = True`: the server executes, and nobody hears of it.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Self

BOTH_WAYS = ("to_server", "to_client")
CHUNK = 65536
TICK_SECONDS = 0.002


@dataclass
class Direction:
    """What happens to the bytes of every connection in one direction; change it at any time.

    `hold` keeps the bytes back and passes them on, in order, once it is false again; `drop` throws them away; `delay`
    (seconds) passes them on late. `lose_next` throws the next chunk away and cuts its connection, as one that breaks in
    that instant does; it is false again then.
    """

    hold: bool = False
    drop: bool = False
    delay: float = 0.0
    lose_next: bool = False
    passed: int = 0
    dropped: int = 0
    seen: list[bytes] = field(default_factory=list)
    record: bool = False


class Pair:
    """One client's connection and the one to the server that belongs to it.

    What is set in `silent` ("to_server", "to_client") carries nothing any more, not even the end of the connection;
    `delay` (seconds) is this connection's own, both ways. `born` is when it was accepted (`time.monotonic()`).
    """

    def __init__(self, client: socket.socket, server: socket.socket, silent: Iterable[str] = ()) -> None:
        self.client = client
        self.server = server
        self.open = True
        self.silent = set(silent)
        self.delay = 0.0
        self.born = time.monotonic()

    def close(self, *, reset: bool = False) -> None:
        self.open = False
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                if reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    end.shutdown(socket.SHUT_RDWR)
            end.close()


class Proxy:
    """A proxy from a free loopback port (`port`, `url`) to `target_port`, where new connections go.

    `to_server` and `to_client` say what happens to the bytes each way. `refuse = True` closes new connections at once.
    Both holds at once make a black hole. `silent` is what new connections do not carry: they are accepted, and silent
    one way or both.
    """

    def __init__(self, target_port: int, target_host: str = "127.0.0.1") -> None:
        self.target_port = target_port
        self._target_host = target_host
        self.to_server = Direction()
        self.to_client = Direction()
        self.refuse = False
        self.silent: tuple[str, ...] = ()
        self.accepted = 0
        self._pairs: list[Pair] = []
        self._lock = threading.Lock()
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self._acceptor = threading.Thread(target=self._accept, name="proxy", daemon=True)
        self._acceptor.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self.pairs())

    def pairs(self) -> list[Pair]:
        """The connections that are open."""
        with self._lock:
            return [pair for pair in self._pairs if pair.open]

    def forget(self) -> None:
        """Forget every connection there is, as a NAT does: they stay open and carry nothing. New ones work."""
        for pair in self.pairs():
            pair.silent.update(BOTH_WAYS)

    def black_hole(self) -> None:
        """From now on nothing gets through either way, and connections stay open; new ones too are silent."""
        self.to_server.hold = self.to_client.hold = True

    def drop_all(self) -> None:
        """From now on everything either way is lost, for good."""
        self.to_server.drop = self.to_client.drop = True

    def heal(self) -> None:
        """Pass everything on again, what was held back first.

        Connections that lost bytes are cut: no network loses a part of a stream and goes on with it.
        """
        if self.to_server.drop or self.to_client.drop:
            self.cut()
        for way in (self.to_server, self.to_client):
            way.hold = way.drop = way.lose_next = False
            way.delay = 0.0
        self.refuse = False

    def cut(self, *, reset: bool = False) -> None:
        """Close every connection, by RST when `reset`. Forgotten ones hear nothing of it."""
        with self._lock:
            pairs = [pair for pair in self._pairs if self._closed or not pair.silent.issuperset(BOTH_WAYS)]
            self._pairs = [pair for pair in self._pairs if pair not in pairs]
        for pair in pairs:
            pair.close(reset=reset)

    def half_open(self) -> None:
        """Close the server's ends only: the clients' connections stay open and go nowhere."""
        with self._lock:
            for pair in self._pairs:
                pair.open = False
                with contextlib.suppress(OSError):
                    pair.server.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._closed = True
        # Closing alone does not wake a thread that waits in accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        self.cut()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- how --

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refuse:
                client.close()
                continue
            self.accepted += 1
            try:
                server = socket.create_connection((self._target_host, self.target_port), 5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = Pair(client, server, self.silent)
            with self._lock:
                self._pairs.append(pair)
            for name, source, sink in (("to_server", client, server), ("to_client", server, client)):
                threading.Thread(target=self._pump, args=(pair, name, source, sink), daemon=True).start()

    def _pump(self, pair: Pair, name: str, source: socket.socket, sink: socket.socket) -> None:
        way: Direction = getattr(self, name)
        while True:
            try:
                data = source.recv(CHUNK)
            except OSError:
                data = b""
            if not data:
                if name in pair.silent and not self._closed:
                    return  # nor does the other side learn that this one has ended
                break
            if name in pair.silent:
                continue
            way.passed += len(data)
            if way.record:
                way.seen.append(data)
            if way.lose_next:
                way.lose_next = False
                way.dropped += len(data)
                break
            if way.drop:
                way.dropped += len(data)
                continue
            if delay := way.delay + pair.delay:
                time.sleep(delay)
            while way.hold and not self._closed and pair.open and name not in pair.silent:
                time.sleep(TICK_SECONDS)
            if name not in pair.silent:
                with contextlib.suppress(OSError):
                    sink.sendall(data)
        if pair.open:  # one side has closed: so does the other, unless it is half-open on purpose
            pair.close()
            with self._lock, contextlib.suppress(ValueError):
                self._pairs.remove(pair)
