"""The thing the lock protects: a tiny HTTP service that refuses a token older than one it has seen.

A real one is a database row, a file in object storage, a device: whatever can compare two numbers.
It also watches from outside that no two workers are inside at once.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Show = Callable[[str, str, int | None], None]


@dataclass
class Resource:
    """What the service has seen; every method is called under `lock`."""

    show: Show
    decide: Callable[[str], str]
    """Given a worker that just entered, what it shall do: `work`, `hang` or `stop`."""

    newest: int = 0
    inside: str | None = None
    overlaps: list[str] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    turns: Counter[str] = field(default_factory=Counter)
    entered: dict[str, tuple[float, int]] = field(default_factory=dict)
    refused: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, worker: str, token: int) -> str:
        """A worker says that it holds the lock now."""
        if self.inside:
            self.overlaps.append(f"{worker} entered while {self.inside} was inside")
        self.inside = worker
        self.turns[worker] += 1
        self.tokens.append(token)
        self.entered[worker] = (time.monotonic(), token)
        self.show(worker, "got the lock", token)
        return self.decide(worker)

    def write(self, token: int) -> bool:
        """The fence, and the whole of it: a write with an older token than the newest is refused."""
        if token < self.newest:
            self.refused += 1
            return False
        self.newest = token
        return True

    def leave(self, worker: str) -> None:
        """A worker is about to give the lock back."""
        self.inside = None
        self.show(worker, "wrote, gives it back", None)


def serve(resource: Resource) -> ThreadingHTTPServer:
    """Starts the service on a free loopback port, on threads of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            worker, token = body["worker"], body["token"]
            status, reply = 200, {}
            with resource.lock:
                if self.path == "/enter":
                    reply = {"order": resource.enter(worker, token)}
                elif self.path == "/write" and not resource.write(token):
                    status, reply = 412, {"error": f"token {token} is older than {resource.newest}"}
                elif self.path == "/leave":
                    resource.leave(worker)
            data = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Requests are not logged; `show` tells what matters."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="resource", daemon=True).start()
    return server
