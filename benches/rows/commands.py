"""Commands that clients send for one hand-over: those of scripts are left out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from harness.rounds import QUICK, Figure, Spread
from harness.server import Monitor, Server, difference
from harness.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = ["commands"]

WAITERS = [10, 100] if QUICK else [10, 100, 1000]
TURNS = 4


def run(_name: str) -> tuple[list[Figure], dict[str, Any]]:
    figures: list[Figure] = []
    raw: dict[str, Any] = {}

    def add(measure: str, count: int, counted: dict[str, int], *, bar: bool) -> float:
        each = sum(counted.values()) / count
        words = ", ".join(f"{name} {number / count:.2f}" for name, number in sorted(counted.items()))
        value = Spread(each, each, each, count)
        bars = {"most": 4, "aim": 3} if bar else {}
        figures.append(Figure("commands", measure, "", "commands", value, note=words, **bars))
        raw[measure] = counted
        return each

    drained = [add(f"hand-over, {waiters} waiters", waiters, _drain(waiters), bar=True) for waiters in WAITERS]
    spread = max(drained) / min(drained)
    value = Spread(spread, spread, spread, len(drained))
    figures.append(Figure("commands", "most to least of these", "", "×", value, most=1.1))
    for waiters in WAITERS[:2]:
        add(f"a whole turn, arrival to release, {waiters} waiters", waiters * TURNS, _turns(waiters), bar=False)
    return figures, raw


def _drain(waiters: int) -> dict[str, int]:
    """All are queued behind a holder in another process; then it lets go, and each is served in turn."""

    def scene(server: Server, worker: Worker, monitor: Monitor) -> dict[str, int]:
        with Worker("rust", "leaselock", server.url) as holder:
            holder.ask({"do": "pairs", "seconds": 0.05, "inflight": 1})  # the server knows the scripts from now on
            holder.send({"do": "hold", "name": "handed", "ms": 500 + 3 * waiters})
            holder.read()
            worker.ask({"do": "queue", "name": "handed", "ids": list(range(waiters))})
            while worker.ask({"do": "waiters", "name": "handed"})["waiters"] < waiters:
                time.sleep(0.01)
            before = monitor.counts()
            holder.read()
            served = worker.ask({"do": "served"})["served"]
            assert len(served) == waiters
            return difference(before, monitor.counts())

    return _watched(scene)


def _turns(waiters: int) -> dict[str, int]:
    """All take several turns, each queueing again after its own."""

    def scene(_server: Server, worker: Worker, monitor: Monitor) -> dict[str, int]:
        worker.ask({"do": "pairs", "seconds": 0.05, "inflight": 1})
        before = monitor.counts()
        at = time.monotonic_ns() + 100_000_000
        worker.ask({"do": "contend", "name": "handed", "waiters": waiters, "turns": TURNS, "at": at})
        return difference(before, monitor.counts())

    return _watched(scene)


def _watched(scene: Callable[[Server, Worker, Monitor], dict[str, int]]) -> dict[str, int]:
    with Server() as server, Worker("rust", "leaselock", server.url) as worker, Monitor(server) as monitor:
        return scene(server, worker, monitor)
