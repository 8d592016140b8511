"""What leaselock sends for one uncontended pair, byte for byte: seen by a proxy between it and the server."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, TypedDict

from .workers import Worker

if TYPE_CHECKING:
    from .server import Server


class Exchange(TypedDict):
    """One write, and the length of its reply."""

    send: str
    reply: int


def pair(server: Server) -> list[Exchange]:
    """The two exchanges of a warm acquire and release of `bench-00`, as they are before any encryption."""
    proxy = _Proxy(server.plain_port)
    try:
        with Worker("rust", "leaselock-blocking", f"redis://127.0.0.1:{proxy.port}") as worker:
            worker.ask({"do": "pairs", "seconds": 0.3, "inflight": 1})
            proxy.record()
            worker.ask({"do": "pairs", "seconds": 0.05, "inflight": 1})
    finally:
        proxy.close()
    # Once a second an acquire goes by the script instead; pick a pair that did not.
    for first, second in zip(proxy.seen, proxy.seen[1:], strict=False):
        if first["send"].startswith("*1\r\n$5\r\nMULTI") and "EVALSHA" in second["send"]:
            return [first, second]
    raise RuntimeError(f"no uncontended pair was seen among {len(proxy.seen)} exchanges")


class _Proxy:
    """Passes bytes on, and notes exchanges of one connection at a time."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.seen: list[Exchange] = []
        self._recording = False
        threading.Thread(target=self._accept, daemon=True).start()

    def record(self) -> None:
        self._recording = True

    def close(self) -> None:
        self._listener.close()
        time.sleep(0.05)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._upstream))
            threading.Thread(target=self._pass, args=(client, server), daemon=True).start()

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        # The blocking client waits for each reply before it sends again, and its shared connection sends nothing then.
        client.settimeout(0.001)
        server.settimeout(0.001)
        sent, reply = b"", 0
        while True:
            for source, target in ((client, server), (server, client)):
                try:
                    data = source.recv(65536)
                except TimeoutError:
                    continue
                except OSError:
                    return
                if not data:
                    target.close()
                    return
                target.sendall(data)
                if source is client:
                    if reply:
                        self._note(sent, reply)
                        sent, reply = b"", 0
                    sent += data
                else:
                    reply += len(data)

    def _note(self, sent: bytes, reply: int) -> None:
        if self._recording:
            self.seen.append({"send": sent.decode(), "reply": reply})
