"""Acquires and releases many times, and tells what that left in the process: a program of test_leaks.py.

    leaking.py sync|asyncio URL APP_ID CYCLES

Of ten cycles one takes two names at once, one is shared, and the names are fewer than those who want them, so that some
wait. It prints JSON: what the process had before and after.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import itertools
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from leaselock import AsyncClient, Client

if TYPE_CHECKING:
    from collections.abc import Iterator

THREADS, TASKS = 8, 64
WARM_UP = 5_000
# So many of them for each name.
CROWD = 1.25


def count(folder: str) -> int:
    """How many descriptors (`fd`) or threads (`task`) there are."""
    return sum(1 for _ in Path(f"/proc/self/{folder}").iterdir())


def measured(before: dict[str, float] | None = None) -> dict[str, float]:
    """What this process has. Freed memory that the allocator keeps is given back first, or it would count."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    # Connections that took the place of others end in the background.
    deadline = time.monotonic() + 3
    while before and count("fd") > before["descriptors"] and time.monotonic() < deadline:
        time.sleep(0.05)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "descriptors": count("fd"),
        "threads": count("task"),
        "KiB": pages * os.sysconf("SC_PAGE_SIZE") // 1024,
    }


def names(number: int, crowd: int) -> tuple[str, str]:
    """Two names for a cycle, in any order."""
    many = int(crowd / CROWD)
    return f"job-{number % many}", f"job-{(number * 7 + 3) % many}"


def sync(client: Client, numbers: Iterator[int]) -> None:
    def work() -> None:
        for number in numbers:
            one, two = names(number, THREADS)
            if number % 10 == 0 and one != two:
                with client.lock_all([one, two]):
                    pass
            else:
                with client.lock(one, shared=number % 10 == 1):
                    pass

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def many(client: AsyncClient, numbers: Iterator[int]) -> None:
    async def work() -> None:
        for number in numbers:
            one, two = names(number, TASKS)
            if number % 10 == 0 and one != two:
                async with client.lock_all([one, two]):
                    pass
            else:
                async with client.lock(one, shared=number % 10 == 1):
                    pass

    await asyncio.gather(*(work() for _ in range(TASKS)))


class Numbers:
    """Counts for all threads."""

    def __init__(self, end: int) -> None:
        self._count = itertools.count()
        self._end = end

    def __iter__(self) -> Numbers:
        return self

    def __next__(self) -> int:
        number = next(self._count)
        if number >= self._end:
            raise StopIteration
        return number


def main() -> None:
    kind, url, app_id, cycles = sys.argv[1:]
    told: list[dict[str, float]] = []
    started = time.monotonic()
    if kind == "sync":
        with Client(url, app_id=app_id) as client:
            for count in (WARM_UP, int(cycles)):
                sync(client, Numbers(count))
                told.append(measured(*told))
    else:

        async def run() -> None:
            async with AsyncClient(url, app_id=app_id) as client:
                for count in (WARM_UP, int(cycles)):
                    await many(client, Numbers(count))
                    told.append(measured(*told))

        asyncio.run(run())
    print(json.dumps({"before": told[0], "after": told[1], "seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main()
