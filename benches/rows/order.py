"""The order of service: 100 waiters in three languages, each started when the one before stood in line."""

from __future__ import annotations

import itertools
import time
from contextlib import ExitStack
from typing import Any

from harness.rounds import Figure, Spread
from harness.server import Server
from harness.workers import Worker

NAMES = ["order"]

WAITERS = 100
PROCESSES = [("rust", "leaselock"), ("python", "leaselock"), ("python", "leaselock-asyncio"), ("node", "leaselock")]


def run(_name: str) -> tuple[list[Figure], dict[str, Any]]:
    with ExitStack() as stack:
        server = stack.enter_context(Server())
        workers = [stack.enter_context(Worker(*process, server.url)) for process in PROCESSES]
        looker = stack.enter_context(Worker("rust", "leaselock", server.url))
        holder = stack.enter_context(Worker("rust", "leaselock", server.url))
        holder.ask({"do": "keep", "name": "served", "ttl": 2000, "renew": True})
        for number, worker in zip(range(WAITERS), itertools.cycle(workers), strict=False):
            worker.ask({"do": "queue", "name": "served", "ids": [number]})
            while looker.ask({"do": "waiters", "name": "served"})["waiters"] <= number:
                time.sleep(0.001)
        holder.close()  # it dies, and its lease runs out
        served = [one for worker in workers for one in worker.ask({"do": "served"})["served"]]
    by_token = [one["id"] for one in sorted(served, key=lambda one: one["token"])]
    by_time = [one["id"] for one in sorted(served, key=lambda one: one["at"])]
    misplaced = sum(number != at for order in (by_token, by_time) for at, number in enumerate(order))
    assert len(served) == WAITERS
    figure = Figure(
        "order",
        f"{WAITERS} waiters, 4 processes, 3 languages",
        "",
        "served out of turn",
        Spread(misplaced, misplaced, misplaced, WAITERS),
        most=0,
        note="by token and by time",
    )
    return [figure], {"by_token": by_token, "by_time": by_time}
