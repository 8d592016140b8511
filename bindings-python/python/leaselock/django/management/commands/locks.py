"""`manage.py locks`: who holds what, and breaking a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from leaselock._errors import LeaselockError
from leaselock._records import ReleaseStatus
from leaselock.django import client

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

BROKEN = (
    "{name} was released, whoever held it. Its holder learns of it at its next renewal, a third of its ttl from now at "
    "the latest; until then two may be at work, the older one under the smaller fencing token."
)


class Command(BaseCommand):
    """Lists the locks of this app id."""

    help = "Lists the locks that are held, with who holds them and how many wait; or frees one by force."

    def add_arguments(self, parser: CommandParser) -> None:
        """A pattern, or a name to free."""
        parser.add_argument("pattern", nargs="?", default="*", help="what the names match: * any text, ? one byte")
        parser.add_argument("--release", metavar="NAME", help="free this name by force, whoever holds it")

    def handle(self, *_: str, pattern: str, release: str | None, **__: Any) -> None:  # noqa: ANN401 - Django's own
        """Does it.

        Raises:
            CommandError: The name is free, or the store cannot be reached or refuses.
        """
        try:
            self.list(pattern) if release is None else self.release(release)
        except LeaselockError as error:
            raise CommandError(str(error)) from error

    def list(self, pattern: str) -> None:
        """A line for each lock."""
        locks = sorted(client.locks(pattern), key=lambda info: info.name)
        rows = [("NAME", "OWNER", "EXPIRES IN", "WAITING")]
        for info in locks:
            left = "never" if info.expires_in is None else f"{info.expires_in:.1f} s"
            rows.append((shown(info.name), shown(info.owner), left, str(info.waiters)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows if locks else []:
            self.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if not locks:
            self.stderr.write("no locks are held that match" if pattern != "*" else "no locks are held")

    def release(self, name: str) -> None:
        """Frees it.

        Raises:
            CommandError: Nobody holds it.
        """
        if client.force_release(name) is ReleaseStatus.NOT_FOUND:
            raise CommandError(f"{shown(name)} is free: there was nothing to release")
        self.stdout.write(BROKEN.format(name=shown(name)))


def shown(text: str) -> str:
    """Other programs' texts with what would steer a terminal spelt out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
