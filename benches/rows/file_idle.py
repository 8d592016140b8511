"""Without a server: what a process costs in which one waits, while nothing happens to the name."""

from __future__ import annotations

import time
from typing import Any

from harness import files
from harness.machine import cpu_seconds_of_all
from harness.rounds import QUICK, Figure, Spread

NAMES = ["file_idle"]

SECONDS = 3 if QUICK else 10
SETTLE = 1  # what begins with the wait is not its rest
MOST = 1  # % of a core


def run(row: str) -> tuple[list[Figure], dict[str, Any]]:
    shares: dict[str, float] = {}
    with files.workers(list(files.CONTESTANTS), each=2) as workers:
        for name, (holder, waiter) in workers.items():
            lock = f"idle {name}"
            holder.ask({"do": "hold", "name": lock, "ms": 600_000})
            waiter.send({"do": "wait", "name": lock})
        time.sleep(SETTLE)
        before = {name: cpu_seconds_of_all(waiter.pid) for name, (_, waiter) in workers.items()}
        started = time.monotonic()
        time.sleep(SECONDS)
        for name, (_, waiter) in workers.items():
            used = cpu_seconds_of_all(waiter.pid) - before[name]
            shares[name] = used / (time.monotonic() - started) * 100
        for worker in (worker for both in workers.values() for worker in both):
            worker.kill()  # they would wait for ever
    return [
        Figure(
            row,
            f"{name}, {SECONDS} s",
            "",
            "% of a core",
            Spread(share, share, share, 1),
            most=MOST if name in files.OURS else None,
        )
        for name, share in shares.items()
    ], shares
