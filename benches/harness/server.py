"""The server under measurement: what it spends, and what clients ask of it."""

from __future__ import annotations

import re
import socket
import sys
import threading

from .machine import ROOT, cpu_seconds, pin

sys.path.insert(0, str(ROOT / "tests"))

import certs
import servers


class Server(servers.Server):
    """A Redis of our own on a free loopback port, which ends with the benchmark.

    With `tls` it speaks TLS there, and plain text at `plain_port`.
    """

    def __init__(self, *options: str, tls: bool = False) -> None:
        binary = servers.find_redis() or servers.find_valkey()
        if binary is None:
            raise SystemExit("bench: there is no redis-server and no valkey-server")
        options = ("--io-threads", "1", "--maxclients", "20000", *options)
        self._plain_port = servers.free_port() if tls else None
        if self._plain_port:
            options += ("--port", str(self._plain_port))
        super().__init__(binary, *options, die_with_parent=True)
        if tls:
            self._tls = certs.make(self.folder / "certificates")

    @property
    def url(self) -> str:
        """With the certificate of the CA to trust, under the name that leaselock and redis-py both know."""
        return f"{super().url}?ssl_ca_certs={self._tls / 'ca.crt'}" if self._tls else super().url

    @property
    def plain_port(self) -> int:
        """Where it is asked without TLS."""
        return self._plain_port or self.port

    def pin(self, cores: list[int]) -> None:
        pin(self.pid, cores)

    def cpu(self) -> float:
        """CPU seconds of the thread that runs the commands."""
        return cpu_seconds(self.pid)

    def memory(self) -> int:
        """Bytes in use, as the server counts them."""
        found = re.search(r"used_memory:(\d+)", str(self.command("INFO", "memory")))
        assert found
        return int(found[1])

    def microseconds(self, *commands: str) -> int:
        """Microseconds in these commands so far, as the server counts them, with all that a script calls."""
        stats = str(self.command("INFO", "commandstats"))
        found = re.findall(r"cmdstat_(\w+):calls=\d+,usec=(\d+)", stats)
        return sum(int(usec) for name, usec in found if name in commands)


class Monitor:
    """Counts the commands that clients send, leaving out those that scripts run (MONITOR marks them `lua`)."""

    def __init__(self, server: Server) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port))
        self._socket.sendall(b"*1\r\n$7\r\nMONITOR\r\n")
        self._server = server
        self._names: dict[str, int] = {}
        self._marks: dict[str, threading.Event] = {}
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        self.counts()

    def _read(self) -> None:
        for line in self._socket.makefile("rb"):
            source, _, command = line.decode(errors="replace").partition("] ")
            name, _, rest = command.strip().partition(" ")
            name = name.strip('"').upper()
            if source.endswith(" lua") or not name:
                continue
            if name == "ECHO":
                self._marks[rest.strip('"')].set()
            else:
                self._names[name] = self._names.get(name, 0) + 1

    def counts(self) -> dict[str, int]:
        """Commands by name up to this moment."""
        mark = f"mark-{len(self._marks)}"
        self._marks[mark] = threading.Event()
        self._server.command("ECHO", mark)
        if not self._marks[mark].wait(60):
            raise RuntimeError("MONITOR fell silent")
        return dict(self._names)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def difference(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """What was counted in between."""
    return {name: count - before.get(name, 0) for name, count in after.items() if count > before.get(name, 0)}
