"""The fault proxy `leaselock-chaos` as a process: its head says what it can be told."""

from __future__ import annotations

import subprocess
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class Proxies:
    """One process that listens on any number of ports, each with a name."""

    def __init__(self, program: str) -> None:
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._lock = threading.Lock()
        self.ports: dict[str, int] = {}

    def open(self, name: str) -> int:
        """Listens under a new name; the port."""
        self.ports[name] = int(self._ask(f"open {name}"))
        return self.ports[name]

    def front(self, name: str, port: int) -> int:
        """Listens for TLS under a new name, before that port; its own."""
        self.ports[name] = int(self._ask(f"front {name} {port}"))
        return self.ports[name]

    def plain(self, name: str) -> int:
        """How many of its connections did not begin with TLS."""
        return int(self._ask(f"{name} plain"))

    def tell(self, name: str, command: str) -> None:
        answer = self._ask(f"{name} {command}")
        assert answer == "ok", f"{name} {command}: {answer}"

    def touched(self, name: str) -> int:
        """How many chunks it has held, dropped, lost or delayed."""
        return int(self._ask(f"{name} count").split()[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            return self._process.stdout.readline().strip()
