"""Hand-overs a second: 50 waiters in two processes, each with four turns on one name and nothing to do in them."""

from __future__ import annotations

import itertools
import time
from contextlib import ExitStack
from typing import Any

from harness.machine import REGIMES
from harness.rounds import QUICK, Figure, Spread, interleave, ratio
from harness.server import Server
from harness.workers import Worker

WAITERS = 50
TURNS = 4
PROCESSES = 2
ROUNDS = 2 if QUICK else 5

CONTESTANTS = {
    "rust": ["leaselock", "leaselock-blocking", "rslock"],
    "python": ["leaselock", "leaselock-asyncio", "redis-py", "redis-py-asyncio", "python-redis-lock", "pottery"],
    "node": ["leaselock", "redlock 5", "redlock 4", "sesamecare", "redlock-universal"],
}

NAMES = [f"handovers_{language}" for language in CONTESTANTS]


def run(name: str) -> tuple[list[Figure], dict[str, Any]]:
    """Measures one language."""
    language = name.removeprefix("handovers_")
    contestants = CONTESTANTS[language]
    figures = []
    raw = {}
    with ExitStack() as stack:
        server = stack.enter_context(Server())
        workers = {
            contestant: [stack.enter_context(Worker(language, contestant, server.url)) for _ in range(PROCESSES)]
            for contestant in contestants
        }
        names = itertools.count()
        for regime, (client_cores, server_cores) in REGIMES.items():
            server.pin(server_cores)

            def measure(contestant: str, cores: list[int] = client_cores) -> dict[str, float]:
                for worker in workers[contestant]:
                    worker.pin(cores)
                return contend(workers[contestant], f"contended-{next(names)}", WAITERS, TURNS)

            slices = interleave(contestants, measure, ROUNDS)
            raw[regime] = slices
            rates = {contestant: [one["rate"] for one in slices[contestant]] for contestant in contestants}
            for contestant in contestants:
                changes = Spread.of(one["changes"] for one in slices[contestant]).median
                note = f"{changes:.0%} of the turns began with another waiter's"
                figures.append(Figure(name, contestant, regime, "turns/s", Spread.of(rates[contestant]), note=note))
            peers = [contestant for contestant in contestants if not contestant.startswith("leaselock")]
            best = max(peers, key=lambda peer: Spread.of(rates[peer]).median)
            figures += [
                Figure(
                    name,
                    f"{ours} × the best peer",
                    regime,
                    "×",
                    ratio(rates[ours], rates[best]),
                    least=2,
                    aim=3,
                    note=best,
                )
                for ours in contestants
                if ours not in peers
            ]
    return figures, raw


def contend(workers: list[Worker], name: str, waiters: int, turns: int, ms: int = 0) -> dict[str, float]:
    """So many waiters, each with so many turns of so many milliseconds on one name: turns a second."""
    at = time.monotonic_ns() + 100_000_000
    share = waiters // len(workers)
    request = {"do": "contend", "name": name, "waiters": share, "turns": turns, "at": at}
    for worker in workers:
        worker.send(request | {"ms": ms} if ms else request)
    taken = sorted(
        (turn["at"], number, turn["waiter"], turn["released"])
        for number, worker in enumerate(workers)
        for turn in worker.read()["turns"]
    )
    assert len(taken) == waiters * turns
    changes = sum(before[1:3] != after[1:3] for before, after in itertools.pairwise(taken))
    last = max(turn[3] for turn in taken)
    return {"rate": len(taken) / (last - at) * 1e9, "changes": changes / (len(taken) - 1)}
