"""What waiters ask of the server while nothing happens: a name held by somebody who renews it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

from harness.rounds import QUICK, Figure, Spread
from harness.server import Monitor, Server, difference
from harness.workers import Worker

SECONDS = 5 if QUICK else 30
TTL_MS = 30_000

# By row: the workers, how many wait in each, and the most commands a second that all may send together.
ROWS: dict[str, tuple[list[tuple[str, str]], int, float]] = {
    "idle_1000": (
        [("rust", "leaselock"), ("rust", "leaselock-multi"), ("python", "leaselock-asyncio"), ("node", "leaselock")],
        250,
        4,
    ),
    "idle_200": ([("rust", "leaselock")] * 200, 1, 70),
}

NAMES = list(ROWS)


def run(name: str) -> tuple[list[Figure], dict[str, Any]]:
    processes, each, most = ROWS[name]
    waiters = len(processes) * each
    with ExitStack() as stack:
        server = stack.enter_context(Server())
        holder = stack.enter_context(Worker("rust", "leaselock", server.url))
        holder.ask({"do": "keep", "name": "idle", "ttl": TTL_MS, "renew": True})
        for language, contestant in processes:
            worker = stack.enter_context(Worker(language, contestant, server.url))
            worker.ask({"do": "queue", "name": "idle", "ids": list(range(each))})
        while holder.ask({"do": "waiters", "name": "idle"})["waiters"] < waiters:
            time.sleep(0.05)
        with Monitor(server) as monitor:
            before, started = monitor.counts(), time.monotonic()
            time.sleep(SECONDS)
            counted = difference(before, monitor.counts())
            seconds = time.monotonic() - started
    rate = sum(counted.values()) / seconds
    words = ", ".join(f"{command} {count}" for command, count in sorted(counted.items())) or "none"
    measure = f"{waiters} waiters in {len(processes)} processes, {SECONDS} s"
    figure = Figure(name, measure, "", "commands/s", Spread(rate, rate, rate, 1), most=most, note=words)
    return [figure], {"counted": counted, "seconds": seconds}
