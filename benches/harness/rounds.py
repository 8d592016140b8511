"""Rounds of short slices, one of each contestant, and what is said of them: medians over rounds, with quartiles."""

from __future__ import annotations

import os
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

QUICK = os.environ.get("BENCH_QUICK", "") not in {"", "0"}
ROUNDS = 5 if QUICK else 15
SECONDS = 0.1 if QUICK else 0.2


@dataclass
class Spread:
    """A median and its quartiles."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        found = sorted(values)
        if len(found) < 2:
            return cls(found[0], found[0], found[0], 1)
        low, _, high = statistics.quantiles(found, n=4, method="inclusive")
        return cls(statistics.median(found), low, high, len(found))


def ratio(of: Sequence[float], to: Sequence[float]) -> Spread:
    """The ratio of two contestants, round by round."""
    return Spread.of(a / b for a, b in zip(of, to, strict=True))


@dataclass
class Figure:
    """One measured figure, and the bar it is held against."""

    row: str
    measure: str
    regime: str  # apart, together, or nothing
    unit: str
    value: Spread
    least: float | None = None  # a bar from below, or with `most` from above
    most: float | None = None
    aim: float | None = None
    note: str = ""

    @property
    def holds(self) -> bool | None:
        if self.least is not None:
            return self.value.median >= self.least
        if self.most is not None:
            return self.value.median <= self.most
        return None

    def json(self) -> dict[str, Any]:
        spread = {key: float(f"{value:.5g}") for key, value in asdict(self.value).items()}
        return {**asdict(self), "value": spread, "holds": self.holds}


def interleave(
    contestants: Sequence[str], slice_of: Callable[[str], dict[str, float]], rounds: int = ROUNDS
) -> dict[str, list[dict[str, float]]]:
    """Runs one slice of every contestant in each round, each round beginning with another; slices by contestant."""
    for contestant in contestants:
        slice_of(contestant)  # warm-up
    slices: dict[str, list[dict[str, float]]] = {contestant: [] for contestant in contestants}
    for turn in range(rounds):
        start = turn % len(contestants)
        for contestant in [*contestants[start:], *contestants[:start]]:
            slices[contestant].append(slice_of(contestant))
    return slices
