"""The smallest Redis client a test needs: one connection, one command at a time, replies as plain values."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import ssl

    from typing_extensions import Self

Reply: TypeAlias = "int | str | list[Reply] | None"


class RedisError(Exception):
    """An error reply; `code` is its first word, such as `WRONGTYPE`."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.code = text.split(" ", 1)[0]


class Connection:
    """A plain connection to a server, for tests that play an operator or another program.

    Timeouts are seconds. Bulk strings come back as text (UTF-8, undecodable bytes escaped).
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 6379,
        *,
        unix: str | None = None,
        tls: ssl.SSLContext | None = None,
        user: str | None = None,
        password: str | None = None,
        timeout: float = 10,
    ) -> None:
        if unix is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.settimeout(timeout)
            self._socket.connect(unix)
        else:
            self._socket = socket.create_connection((host, port), timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self._socket = tls.wrap_socket(self._socket, server_hostname="localhost")
        self._file = self._socket.makefile("rb")
        if password is not None:
            self.command("AUTH", *([user] if user else []), password)

    def command(self, *words: str | bytes | float) -> Reply:
        """Send one command and return its reply; an error reply is raised as `RedisError`."""
        self.send(*words)
        return self.read()

    def send(self, *words: str | bytes | float) -> None:
        """Send one command and leave its reply unread."""
        parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        data = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)
        self._socket.sendall(data)

    def read(self) -> Reply:
        """Read one reply."""
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise RedisError(rest.decode(errors="backslashreplace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            length = int(rest)
            if length < 0:
                return None
            return self._file.read(length + 2)[:-2].decode(errors="backslashreplace")
        if kind == b"*":
            return None if int(rest) < 0 else [self.read() for _ in range(int(rest))]
        raise ConnectionError(f"not a Redis reply: {line!r}")

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
