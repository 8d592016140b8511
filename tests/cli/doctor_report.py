"""What the tests of `leaselock doctor` speak of: its report, and servers in some state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from servers import binaries

if TYPE_CHECKING:
    from servers import Server

BINARIES = {name: path for name, path in binaries().items() if path}


@dataclass
class Report:
    """What the doctor said, in both forms."""

    status: int
    text: str
    data: dict[str, Any]

    def level(self, check: str) -> str | None:
        return next((c["level"] for c in self.data["checks"] if c["check"] == check), None)

    def __getitem__(self, check: str) -> dict[str, Any]:
        return next(c for c in self.data["checks"] if c["check"] == check)

    @property
    def bad(self) -> set[str]:
        return {c["check"] for c in self.data["checks"] if c["level"] in {"problem", "warning"}}

    @property
    def unknown(self) -> set[str]:
        return {c["check"] for c in self.data["checks"] if c["level"] == "unknown"}


def run_on(server: Server, command: str) -> None:
    """What an administrator does with a line that is to be copied."""
    assert server.command(*command.split()) == "OK"


def login(server: Server, user: str, *rights: str) -> str:
    """A user with these rights; the URL to log in by."""
    assert server.command("ACL", "SETUSER", user, "reset", "on", ">secret", *rights) == "OK"
    return f"redis://{user}:secret@127.0.0.1:{server.port}"
