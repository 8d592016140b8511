"""Names that many hold, and many names at once: readers, permits, readers beside writers, three names."""

from __future__ import annotations

import itertools
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.machine import REGIMES
from harness.rounds import QUICK, SECONDS, Figure, Spread, interleave, ratio
from harness.server import Server
from harness.workers import Worker, has

from rows.contention import contend

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROUNDS = 2 if QUICK else 7


@dataclass(frozen=True)
class Row:
    """Who takes turns on one name, in two processes, and the ratios to be reached: whose, to whose, at least."""

    contestants: Mapping[str, tuple[str, str, dict[str, Any]]]  # language, worker's contestant, options
    waiters: int
    turns: Mapping[str, int]  # of each waiter, by contestant
    bars: Sequence[tuple[str, str, float | None]] = field(default_factory=list)
    ms: int = 0  # of work in each turn


ROWS = {
    "readers": Row(
        {
            "readers": ("node", "leaselock", {"shared": True}),
            "one at a time": ("node", "leaselock", {}),
            "Redisson, RReadWriteLock": ("java", "redisson-readers", {}),
        },
        waiters=64,
        turns={"readers": 40, "one at a time": 8, "Redisson, RReadWriteLock": 20},
        bars=[("readers", "one at a time", 5), ("readers", "Redisson, RReadWriteLock", None)],
    ),
    "permits": Row(
        {
            "permits=8": ("node", "leaselock", {"permits": 8}),
            "redis-semaphore": ("node", "redis-semaphore", {"permits": 8}),
            "Redisson, RPermitExpirableSemaphore": ("java", "redisson-permits", {"permits": 8}),
        },
        waiters=50,
        turns={"permits=8": 8, "redis-semaphore": 4, "Redisson, RPermitExpirableSemaphore": 8},
        bars=[
            ("permits=8", "redis-semaphore", 3),
            ("permits=8", "Redisson, RPermitExpirableSemaphore", 3),
        ],
    ),
    "permits_work": Row(
        {
            "permits=8": ("node", "leaselock", {"permits": 8}),
            "redis-semaphore": ("node", "redis-semaphore", {"permits": 8}),
            "Redisson, RPermitExpirableSemaphore": ("java", "redisson-permits", {"permits": 8}),
        },
        waiters=50,
        turns={"permits=8": 8, "redis-semaphore": 4, "Redisson, RPermitExpirableSemaphore": 8},
        ms=5,
        bars=[
            ("permits=8", "redis-semaphore", 3),
            ("permits=8", "Redisson, RPermitExpirableSemaphore", 3),
        ],
    ),
    "read_write": Row(
        {
            "leaselock": ("node", "leaselock", {"shared": True, "writers": 10}),
            "Redisson, RReadWriteLock": ("java", "redisson-readers", {"writers": 10}),
        },
        waiters=50,
        turns={"leaselock": 8, "Redisson, RReadWriteLock": 8},
        bars=[("leaselock", "Redisson, RReadWriteLock", None)],
    ),
}

NAMES = [*ROWS, "permits_order", "several_names", "many_readers"]


def run(name: str) -> tuple[list[Figure], dict[str, Any]]:
    """Measures one row."""
    match name:
        case "permits_order":
            return _order()
        case "several_names":
            return _several()
        case "many_readers":
            return _many_readers()
        case _:
            return _turns(name, ROWS[name])


def _turns(name: str, row: Row) -> tuple[list[Figure], dict[str, Any]]:
    figures = []
    raw = {}
    contestants = [contestant for contestant, (language, *_) in row.contestants.items() if has(language)]
    with ExitStack() as stack:
        server = stack.enter_context(Server())
        workers = {}
        for contestant in contestants:
            language, kind, options = row.contestants[contestant]
            workers[contestant] = [stack.enter_context(Worker(language, kind, server.url, options)) for _ in range(2)]
        numbers = itertools.count()
        for regime, (client_cores, server_cores) in REGIMES.items():
            server.pin(server_cores)

            def measure(contestant: str, cores: list[int] = client_cores) -> dict[str, float]:
                for worker in workers[contestant]:
                    worker.pin(cores)
                on = f"{name}-{next(numbers)}"
                return contend(workers[contestant], on, row.waiters, row.turns[contestant], row.ms)

            slices = interleave(contestants, measure, ROUNDS)
            raw[regime] = slices
            rates = {contestant: [one["rate"] for one in slices[contestant]] for contestant in contestants}
            figures += [
                Figure(name, contestant, regime, "turns/s", Spread.of(rates[contestant])) for contestant in contestants
            ]
            figures += [
                Figure(name, f"{ours} × {peer}", regime, "×", ratio(rates[ours], rates[peer]), least=least)
                for ours, peer, least in row.bars
                if peer in rates
            ]
    return figures, raw


def _order() -> tuple[list[Figure], dict[str, Any]]:
    """Waiters of two processes queue one after the other behind as many holders as there are permits."""
    count, permits = 50, 8
    with ExitStack() as stack:
        server = stack.enter_context(Server())
        workers = [stack.enter_context(Worker("node", "leaselock", server.url, {"permits": permits})) for _ in range(2)]
        holder = stack.enter_context(Worker("node", "leaselock", server.url, {"permits": permits}))
        holder.ask({"do": "fill", "name": "served", "count": permits})
        looker = stack.enter_context(Worker("rust", "leaselock", server.url))
        for number, worker in zip(range(count), itertools.cycle(workers), strict=False):
            worker.ask({"do": "queue", "name": "served", "ids": [number], "ms": 5})
            while looker.ask({"do": "waiters", "name": "served"})["waiters"] <= number:
                time.sleep(0.001)
        holder.ask({"do": "empty"})
        served = [one for worker in workers for one in worker.ask({"do": "served"})["served"]]
    by_token = [one["id"] for one in sorted(served, key=lambda one: one["token"])]
    misplaced = sum(number != at for at, number in enumerate(by_token))
    assert len(served) == count
    figure = Figure(
        "permits_order",
        f"{count} waiters, {permits} permits, 2 processes",
        "",
        "served out of turn",
        Spread(misplaced, misplaced, misplaced, count),
        most=0,
        note="by token",
    )
    return [figure], {"by_token": by_token}


def _several() -> tuple[list[Figure], dict[str, Any]]:
    """Three free names, all or none, and their release."""
    contestants = ["leaselock", "redlock 5"]
    figures = []
    raw: dict[str, Any] = {}
    with ExitStack() as stack:
        server = stack.enter_context(Server())
        workers = {
            contestant: stack.enter_context(Worker("node", contestant, server.url, {"several": 3}))
            for contestant in contestants
        }
        for regime, (client_cores, server_cores) in REGIMES.items():
            server.pin(server_cores)
            for inflight in (1, 64):

                def measure(
                    contestant: str, cores: list[int] = client_cores, inflight: int = inflight
                ) -> dict[str, float]:
                    workers[contestant].pin(cores)
                    measured = workers[contestant].ask({"do": "pairs", "seconds": SECONDS, "inflight": inflight})
                    return {"rate": measured["ops"] / measured["seconds"]}

                slices = interleave(contestants, measure)
                raw[f"{regime}, {inflight}"] = slices
                rates = {contestant: [one["rate"] for one in slices[contestant]] for contestant in contestants}
                figures += [
                    Figure("several_names", f"{each}, {inflight} in flight", regime, "groups/s", Spread.of(rates[each]))
                    for each in contestants
                ]
                value = ratio(rates["leaselock"], rates["redlock 5"])
                measure_name = f"leaselock × redlock 5, {inflight} in flight"
                figures.append(Figure("several_names", measure_name, regime, "×", value, least=2))
    return figures, raw


def _many_readers() -> tuple[list[Figure], dict[str, Any]]:
    """What one reader more costs beside so many."""
    crowds = [10, 100, 1000, 10_000]
    figures = []
    raw: dict[str, Any] = {}
    with ExitStack() as stack:
        server = stack.enter_context(Server())
        workers = {}
        for crowd in crowds:
            # Not renewed: what is measured is the admission alone.
            options = {"shared": True, "renew": False, "ttl": 3_600_000, "prefix": f"{crowd}-"}
            workers[crowd] = stack.enter_context(Worker("node", "leaselock", server.url, options))
            workers[crowd].ask({"do": "fill", "name": "bench-00", "count": crowd})
        for regime, (client_cores, server_cores) in REGIMES.items():
            server.pin(server_cores)

            def measure(contestant: str, cores: list[int] = client_cores) -> dict[str, float]:
                worker = workers[int(contestant)]
                worker.pin(cores)
                spent = server.cpu()
                measured = worker.ask({"do": "pairs", "seconds": SECONDS, "inflight": 1})
                ops = measured["ops"]
                return {"rate": ops / measured["seconds"], "server": (server.cpu() - spent) / ops * 1e6}

            names = [str(crowd) for crowd in crowds]
            slices = interleave(names, measure)
            raw[regime] = slices
            server_cpu = {name: [one["server"] for one in slices[name]] for name in names}
            for name in names:
                rate = Spread.of(one["rate"] for one in slices[name]).median
                figures.append(
                    Figure(
                        "many_readers",
                        f"beside {int(name):,}",
                        regime,
                        "µs of the server's CPU a pair",
                        Spread.of(server_cpu[name]),
                        note=f"{rate:,.0f} pairs/s",
                    )
                )
            figures += [
                Figure(
                    "many_readers",
                    f"beside {int(name):,} × beside 10",
                    regime,
                    "×",
                    ratio(server_cpu[name], server_cpu["10"]),
                    most=1.2,
                )
                for name in names[1:]
            ]
    return figures, raw
