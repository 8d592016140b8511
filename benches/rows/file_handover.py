"""Without a server: a hand-over with one waiter, in two processes, beside what else locks by files."""

from __future__ import annotations

import itertools
import random
from typing import Any

from harness import files
from harness.machine import REGIMES
from harness.rounds import QUICK, Figure, Spread, interleave

from .handover import hand_over, of_medians

NAMES = ["file_handover"]

ROUNDS = 3 if QUICK else 15
SAMPLES = 2  # of each contestant in a round
MOST_US = 5000

# Those who poll are met anywhere between two of their looks.
HOLD_MS = (25, 125)


def run(row: str) -> tuple[list[Figure], dict[str, Any]]:
    figures = []
    raw: dict[str, Any] = {}
    numbers = itertools.count()
    with files.workers(list(files.CONTESTANTS), each=2) as workers:
        for regime, sides in REGIMES.items():

            def measure(name: str, sides: tuple[list[int], list[int]] = sides) -> dict[str, float]:
                number = next(numbers)
                first, second = workers[name] if number % 2 else reversed(workers[name])
                for worker, cores in zip((first, second), sides, strict=True):
                    worker.pin(cores)
                holds = [random.randint(*HOLD_MS) for _ in range(SAMPLES)]
                samples = [hand_over(first, second, f"handed-{number}-{at}", ms) for at, ms in enumerate(holds)]
                return {f"sample {at}": sample for at, sample in enumerate(samples)}

            slices = interleave(list(files.CONTESTANTS), measure, ROUNDS)
            samples = {name: [list(one.values()) for one in slices[name]] for name in files.CONTESTANTS}
            raw[regime] = samples
            for name in files.CONTESTANTS:
                value = Spread.of(value for one in samples[name] for value in one)
                most = MOST_US if name in files.OURS else None
                figures.append(Figure(row, name, regime, "µs", value, most=most))
            for ours, peer in [*files.LEASES, *files.BARE]:
                value = of_medians(samples[ours], samples[peer])
                figures.append(Figure(row, f"{ours} × {peer}", regime, "×", value, most=1))
    return figures, raw
