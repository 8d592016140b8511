"""Without a server: pairs of acquire and release on a free name, beside what else locks by files."""

from __future__ import annotations

from typing import Any

from harness import files
from harness.machine import CORES
from harness.rounds import SECONDS, Figure, interleave

from .throughput import Bar, compared

NAMES = ["file_pairs"]

# There is no server to be apart from: on both cores a contestant's own threads are, where it has any.
REGIMES = {"apart": CORES, "together": CORES[:1]}

BARS = [
    *(Bar(ours, [peer], 1.0) for ours, peer in files.LEASES),
    *(Bar(ours, [peer], None) for ours, peer in files.BARE),
]


def run(name: str) -> tuple[list[Figure], dict[str, Any]]:
    figures: list[Figure] = []
    raw: dict[str, Any] = {}
    with files.workers(list(files.CONTESTANTS)) as workers:
        for regime, cores in REGIMES.items():

            def measure(contestant: str, cores: list[int] = cores) -> dict[str, float]:
                (worker,) = workers[contestant]
                worker.pin(cores)
                measured = worker.ask({"do": "pairs", "seconds": SECONDS, "inflight": 1})
                return {
                    "rate": measured["ops"] / measured["seconds"],
                    "cpu": measured["cpu"] / measured["ops"],
                }

            raw[regime] = interleave(list(files.CONTESTANTS), measure)
            figures += compared(name, list(files.CONTESTANTS), BARS, regime, raw[regime])
    return figures, raw
