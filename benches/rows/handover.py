"""A hand-over with one waiter, in two processes: from the call of release to the waiter's return."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from typing import Any

from harness.machine import REGIMES
from harness.rounds import QUICK, Figure, Spread, interleave, ratio
from harness.server import Server
from harness.workers import Worker

NAMES = ["handover"]

ROUNDS = 3 if QUICK else 15
SAMPLES = 2 if QUICK else 4  # of each contestant in a round
HOLD_MS = 25  # long enough for the other to wait in earnest

CONTESTANTS = {
    "Rust": ("rust", "leaselock"),
    "Rust blocking": ("rust", "leaselock-blocking"),
    "Python": ("python", "leaselock"),
    "asyncio": ("python", "leaselock-asyncio"),
    "Node": ("node", "leaselock"),
    "bare Python": ("python", "bare-handover"),
    "bare asyncio": ("python", "bare-handover-asyncio"),
    "bare Node": ("node", "bare-handover"),
    "python-redis-lock": ("python", "python-redis-lock"),
    "redis-py": ("python", "redis-py"),
    "redlock 5": ("node", "redlock 5"),
}

# Whom each of ours is held against: at most so much of the other's p50.
BARS = [
    ("Rust", "python-redis-lock", 0.6, 0.45),
    ("Rust blocking", "python-redis-lock", 0.6, 0.45),
    ("Python", "python-redis-lock", 0.6, 0.45),
    ("asyncio", "python-redis-lock", 0.6, 0.45),
    ("Node", "python-redis-lock", 0.6, 0.45),
    # The limits, for comparison: no bars.
    *((f"bare {name}", "python-redis-lock", None, None) for name in ("Python", "asyncio", "Node")),
    *((name, f"bare {name}", None, None) for name in ("Python", "asyncio", "Node")),
    ("Python", "redis-py", 1 / 50, None),
    ("Node", "redlock 5", 1 / 50, None),
]


def run(_name: str) -> tuple[list[Figure], dict[str, Any]]:
    figures = []
    raw = {}
    with ExitStack() as stack:
        server = stack.enter_context(Server())
        workers = {
            name: [stack.enter_context(Worker(*contestant, server.url)) for _ in range(2)]
            for name, contestant in CONTESTANTS.items()
        }
        numbers = itertools.count()
        for regime, (client_cores, server_cores) in REGIMES.items():
            server.pin(server_cores)

            def measure(name: str, cores: list[int] = client_cores) -> dict[str, float]:
                for worker in workers[name]:
                    worker.pin(cores)
                number = next(numbers)
                first, second = workers[name] if number % 2 else reversed(workers[name])
                samples = [hand_over(first, second, f"handed-{number}-{at}", HOLD_MS) for at in range(SAMPLES)]
                return {f"sample {at}": sample for at, sample in enumerate(samples)}

            slices = interleave(list(CONTESTANTS), measure, ROUNDS)
            samples = {name: [list(one.values()) for one in slices[name]] for name in CONTESTANTS}
            raw[regime] = samples
            figures += [
                Figure("handover", name, regime, "µs", Spread.of(value for one in samples[name] for value in one))
                for name in CONTESTANTS
            ]
            for ours, peer, most, aim in BARS:
                value = of_medians(samples[ours], samples[peer])
                figures.append(Figure("handover", f"{ours} × {peer}", regime, "×", value, most=most, aim=aim))
    return figures, raw


def of_medians(of: list[list[float]], to: list[list[float]]) -> Spread:
    """The ratio of the medians of two contestants' samples, round by round."""
    return ratio([Spread.of(one).median for one in of], [Spread.of(one).median for one in to])


def hand_over(holder: Worker, waiter: Worker, name: str, hold_ms: float) -> float:
    """Microseconds of one hand-over."""
    holder.send({"do": "hold", "name": name, "ms": hold_ms})
    holder.read()
    waiter.send({"do": "wait", "name": name})
    acquired = waiter.read()["acquired"]
    released = holder.read()["released"]
    return float(acquired - released) / 1000
