"""Contestants that need no server: leaselock on one file, and what else locks by files. All in one directory."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from .workers import BENCHES, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OURS = {
    "Rust blocking": ("rust", "leaselock-blocking"),
    "Python": ("python", "leaselock"),
    "asyncio": ("python", "leaselock-asyncio"),
    "Node": ("node", "leaselock"),
}

PEERS = {
    "filelock FileLock": ("python", "filelock"),
    "filelock SoftFileLease": ("python", "filelock-lease"),
    "filelock AsyncSoftFileLease": ("python", "filelock-lease-asyncio"),
    "fasteners InterProcessLock": ("python", "fasteners"),
    "proper-lockfile": ("node", "proper-lockfile"),
}

CONTESTANTS = {**OURS, **PEERS}

# Whom each of ours is held against: who gives a lease too, one that ends when its holder no longer renews it. What the
# others give is less (the row `file_service` shows it), and they are there to be seen.
LEASES = [
    ("Python", "filelock SoftFileLease"),
    ("asyncio", "filelock AsyncSoftFileLease"),
    ("Node", "proper-lockfile"),
]
BARE = [("Python", "filelock FileLock"), ("Python", "fasteners InterProcessLock")]


@contextmanager
def workers(names: Sequence[str], each: int = 1, **options: Any) -> Iterator[dict[str, list[Worker]]]:
    """So many processes of each contestant, on the disk where the project is."""
    with ExitStack() as stack:
        # A temporary directory of the system's may be memory.
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="files-", dir=BENCHES / "target"))

        def start(name: str) -> Worker:
            place = f"file:{directory}/leaselock.db" if name in OURS else directory
            return stack.enter_context(Worker(*CONTESTANTS[name], place, options))

        yield {name: [start(name) for _ in range(each)] for name in names}
