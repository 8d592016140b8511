"""Without a server: what each gives when a holder is killed or stopped, and in which order it serves its waiters."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from harness import files
from harness.rounds import QUICK, Figure, Spread

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.workers import Worker

NAMES = ["file_service"]

# One of each kind: leaselock's languages share one core.
CONTESTANTS = [
    "Python",
    "filelock FileLock",
    "filelock SoftFileLease",
    "fasteners InterProcessLock",
    "proper-lockfile",
]

TTL_MS = 2000  # the shortest that all of them take
GRACE_MS = 500
PATIENCE = 3 if QUICK else 10  # seconds that the next one waits for a holder that is stopped
WAITERS = 5 if QUICK else 10
APART = 0.05  # seconds between the arrivals of two


def run(row: str) -> tuple[list[Figure], dict[str, Any]]:
    figures = []
    raw: dict[str, Any] = {}
    for name in CONTESTANTS:
        with files.workers([name], each=3 + WAITERS, ttl_ms=TTL_MS) as workers:
            killed, stopped, other, *rest = workers[name]
            after_kill = _after(killed, other, "killed", killed.kill)
            after_stop = _after(stopped, other, "stopped", stopped.stop)
            stopped.kill()
            if after_stop is None:
                other.read()  # it has it now
            misplaced, seconds = _order(other, rest)
        bar = (TTL_MS + GRACE_MS) / 1000 if name in files.OURS else None
        figures += [
            _seconds(row, f"{name}: kill -9 of the holder to the next", after_kill, bar),
            _seconds(row, f"{name}: the holder stopped to the next", after_stop, bar),
            Figure(
                row,
                f"{name}: {WAITERS} waiters",
                "",
                "served out of turn",
                Spread(misplaced, misplaced, misplaced, WAITERS),
                most=None if bar is None else 0,
                note=f"all within {seconds:.2g} s",
            ),
        ]
        raw[name] = {"kill": after_kill, "stop": after_stop, "misplaced": misplaced, "seconds": seconds}
    return figures, raw


def _seconds(row: str, measure: str, seconds: float | None, most: float | None) -> Figure:
    shown = PATIENCE if seconds is None else seconds
    note = "and it still waited" if seconds is None else ""
    return Figure(row, measure, "", "s", Spread(shown, shown, shown, 1), most=most, note=note)


def _after(holder: Worker, waiter: Worker, name: str, ends: Callable[[], None]) -> float | None:
    """Seconds from a holder's end to the next one's return; none: not within `PATIENCE`."""
    holder.ask({"do": "hold", "name": name, "ms": 600_000})
    waiter.send({"do": "wait", "name": name})
    time.sleep(random.uniform(0.3, 0.3 + TTL_MS / 1000))  # anywhere between two renewals
    ended = time.monotonic_ns()
    ends()
    answer = waiter.read_within(PATIENCE)
    return None if answer is None else (answer["acquired"] - ended) / 1e9


def _order(holder: Worker, waiters: list[Worker]) -> tuple[int, float]:
    """How many of those who came one after the other were not served so, and how long it took to serve all."""
    holder.ask({"do": "hold", "name": "order", "ms": len(waiters) * APART * 1000})
    for waiter in waiters:
        waiter.send({"do": "wait", "name": "order"})
        time.sleep(APART)
    released = holder.read()["released"]
    served = [waiter.read()["acquired"] for waiter in waiters]
    order = sorted(range(len(served)), key=served.__getitem__)
    return sum(number != at for at, number in enumerate(order)), (max(served) - released) / 1e9
