"""A hand-over with one waiter, in two processes: from the call of release to the waiter's return."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.machine import REGIMES
from harness.rounds import QUICK, Figure, Spread, interleave, ratio
from harness.server import Server
from harness.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Row:
    """How long the other waits, who is measured, and how often."""

    hold_ms: float
    contestants: Sequence[str]
    rounds: int
    samples: int  # of each contestant in a round


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

ROWS = {
    # Long enough for the other to wait in earnest.
    "handover": Row(25, list(CONTESTANTS), rounds=3 if QUICK else 15, samples=2 if QUICK else 4),
    # Too long for a lease to begin with its grant: it is claimed.
    "handover_late": Row(
        1200,
        ["Rust", "Rust blocking", "Python", "asyncio", "Node", "python-redis-lock"],
        rounds=2 if QUICK else 5,
        samples=2,
    ),
}

NAMES = list(ROWS)

# Whom each of ours is held against: at most so much of the other's p50.
BARS = [
    *((ours, "python-redis-lock", 0.6, 0.45) for ours in ("Rust", "Rust blocking", "Python", "asyncio", "Node")),
    # The limits, for comparison: no bars.
    *((f"bare {name}", "python-redis-lock", None, None) for name in ("Python", "asyncio", "Node")),
    *((name, f"bare {name}", None, None) for name in ("Python", "asyncio", "Node")),
    ("Python", "redis-py", 1 / 50, None),
    ("Node", "redlock 5", 1 / 50, None),
]


def run(name: str) -> tuple[list[Figure], dict[str, Any]]:
    """Measures one row in both regimes. The bars are the first one's."""
    row = ROWS[name]
    figures = []
    raw = {}
    with ExitStack() as stack:
        server = stack.enter_context(Server())
        workers = {
            contestant: [stack.enter_context(Worker(*CONTESTANTS[contestant], server.url)) for _ in range(2)]
            for contestant in row.contestants
        }
        numbers = itertools.count()
        for regime, (client_cores, server_cores) in REGIMES.items():
            server.pin(server_cores)

            def measure(contestant: str, cores: list[int] = client_cores) -> dict[str, float]:
                for worker in workers[contestant]:
                    worker.pin(cores)
                number = next(numbers)
                first, second = workers[contestant] if number % 2 else reversed(workers[contestant])
                return {
                    f"sample {at}": hand_over(first, second, f"handed-{number}-{at}", row.hold_ms)
                    for at in range(row.samples)
                }

            slices = interleave(row.contestants, measure, row.rounds)
            samples = {contestant: [list(one.values()) for one in slices[contestant]] for contestant in row.contestants}
            raw[regime] = samples
            figures += [
                Figure(name, contestant, regime, "µs", Spread.of(value for one in samples[contestant] for value in one))
                for contestant in row.contestants
            ]
            for ours, peer, most, aim in BARS:
                if ours in samples and peer in samples:
                    value = of_medians(samples[ours], samples[peer])
                    bar = (most, aim) if name == "handover" else (None, None)
                    figures.append(Figure(name, f"{ours} × {peer}", regime, "×", value, most=bar[0], aim=bar[1]))
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
