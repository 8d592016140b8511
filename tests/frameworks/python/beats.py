"""Work that leaves traces: from these, and not from the lock, a test sees whether two were ever at it at once."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAUSE = 0.01


@dataclass
class Run:
    """One piece of work: by which process, and the first and the last moment at which it was at it."""

    pid: int
    first: float
    last: float
    ended: bool = False


@contextmanager
def _log(path: str) -> Iterator[Callable[[str], None]]:
    run = uuid.uuid4().hex
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def beat(word: str) -> None:
        # One write: lines of several processes do not mix. All processes of a machine have the same monotonic clock.
        os.write(file, f"{run} {os.getpid()} {time.monotonic()} {word}\n".encode())

    try:
        yield beat
    finally:
        os.close(file)


def work(path: str, seconds: float) -> None:
    """Works for so long, and says so all the time."""
    with _log(path) as beat:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            beat("works")
            time.sleep(PAUSE)
        beat("ends")


async def work_async(path: str, seconds: float) -> None:
    """The same for a coroutine."""
    with _log(path) as beat:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            beat("works")
            await asyncio.sleep(PAUSE)
        beat("ends")


def runs(path: str) -> list[Run]:
    """All that was done, in the order in which it was begun."""
    found: dict[str, Run] = {}
    if os.path.exists(path):  # noqa: PTH110
        with open(path) as file:  # noqa: PTH123
            for line in file:
                name, pid, moment, word = line.split()
                run = found.setdefault(name, Run(int(pid), float(moment), float(moment)))
                run.last, run.ended = float(moment), word == "ends"
    return sorted(found.values(), key=lambda run: run.first)


def never_two(path: str) -> list[Run]:
    """All that was done; no two of it at the same time."""
    done = runs(path)
    for earlier, later in itertools.pairwise(done):
        assert earlier.last < later.first, f"two at once: {earlier}, {later}"
    return done
