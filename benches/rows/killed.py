"""kill -9 of the holder, with 20 waiting in other processes: how long until the next one holds the name."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

from harness.rounds import QUICK, Figure, Spread
from harness.server import Server
from harness.workers import Worker

NAMES = ["killed"]

TIMES = 5 if QUICK else 50
TTL_MS = 600
GRACE_MS = 500
PROCESSES = [("rust", "leaselock"), ("rust", "leaselock-blocking"), ("python", "leaselock"), ("node", "leaselock")]
WAITERS = 20


def run(_name: str) -> tuple[list[Figure], dict[str, Any]]:
    delays = []
    with ExitStack() as stack:
        server = stack.enter_context(Server())
        looker = stack.enter_context(Worker("rust", "leaselock", server.url))
        workers = [stack.enter_context(Worker(*process, server.url)) for process in PROCESSES]
        for turn in range(TIMES):
            name = f"killed-{turn}"
            holder = Worker("rust", "leaselock", server.url)
            holder.ask({"do": "keep", "name": name, "ttl": TTL_MS, "renew": True})
            # Another process is first in line each time.
            for number in range(WAITERS):
                worker = workers[(turn + number) % len(workers)]
                worker.ask({"do": "queue", "name": name, "ids": [number]})
                if number == 0:
                    _stand_in_line(looker, name, 1)
            _stand_in_line(looker, name, WAITERS)
            time.sleep(turn % 10 * TTL_MS / 10_000)  # anywhere between two renewals
            killed = time.monotonic_ns()
            holder.kill()
            served = [one for worker in workers for one in worker.ask({"do": "served"})["served"]]
            assert len(served) == WAITERS
            delays.append((min(one["at"] for one in served) - killed) / 1e6)
    figures = [
        Figure(
            "killed",
            f"kill to the next holder, TTL {TTL_MS} ms, the slowest of {TIMES}",
            "",
            "ms",
            Spread(max(delays), min(delays), max(delays), TIMES),
            most=TTL_MS + GRACE_MS,
        ),
        Figure("killed", "the same, median and quartiles", "", "ms", Spread.of(delays)),
    ]
    return figures, {"delays": delays}


def _stand_in_line(looker: Worker, name: str, waiters: int) -> None:
    while looker.ask({"do": "waiters", "name": name})["waiters"] < waiters:
        time.sleep(0.002)
