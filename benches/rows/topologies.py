"""Sentinel and Cluster beside one server, and beside who locks on a cluster too; replicas that are waited for."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.machine import REGIMES
from harness.rounds import QUICK, SECONDS, Figure, Spread, interleave
from harness.topologies import ALONE, CLUSTER, SENTINEL, THREE_WITH_REPLICAS, WITH_REPLICAS, started
from harness.workers import Worker, has

from .handover import hand_over, of_medians
from .throughput import Bar, compared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    Measured: TypeAlias = Iterator[tuple[str, list[Figure], Any]]  # of each regime
    Begin: TypeAlias = Callable[["Contestant"], Worker]
    Pin: TypeAlias = Callable[[list[int]], None]

SAMPLES = 2 if QUICK else 10  # hand-overs of each contestant in a round: a difference of 3 % is to be seen
HOLD_MS = 25
# Names that are taken in turn, of which every node of a cluster has some.
SPREAD = 12
# It is compiled while it runs, and slower until then.
WARM_UP_SECONDS = {"java": 1 if QUICK else 20}
WARM_UP_HAND_OVERS = {"java": 1 if QUICK else 40}


@dataclass(frozen=True)
class Contestant:
    """Who it is, and where it goes."""

    language: str
    name: str
    place: str
    inflight: int = 1
    each: int = 1
    query: str = ""

    def to(self, place: str, **changes: Any) -> Contestant:
        return replace(self, place=place, **changes)


@dataclass(frozen=True)
class Ratio:
    """One contestant beside another: at least this share of its pairs, and hand-overs no slower than that."""

    of: str
    to: str
    least: float | None = None


@dataclass(frozen=True)
class Row:
    """Contestants by the names that they are shown with."""

    contestants: Mapping[str, Contestant]
    ratios: Sequence[Ratio]


OURS = {
    "Rust blocking": Contestant("rust", "leaselock-blocking", ALONE),
    "Rust": Contestant("rust", "leaselock", ALONE, inflight=64),
    "Python": Contestant("python", "leaselock", ALONE),
    "asyncio": Contestant("python", "leaselock-asyncio", ALONE),
    "Node": Contestant("node", "leaselock", ALONE),
}
CONFIRMED = "?replicas=1"


def beside_one_server(place: str, least: Mapping[str, float]) -> Row:
    """Each of ours there, on one server, and on one that has as many replicas: the others' time is the servers'."""
    contestants = {
        f"{ours}, {where}": contestant.to(where)
        for ours, contestant in OURS.items()
        for where in (ALONE, WITH_REPLICAS, place)
    }
    ratios = [
        Ratio(f"{ours}, {place}", f"{ours}, {where}", least.get(ours) if where == WITH_REPLICAS else None)
        for ours in OURS
        for where in (WITH_REPLICAS, ALONE)
    ]
    return Row(contestants, ratios)


def with_replicas_confirmed() -> Row:
    pairs = [(f"{ours}, {place}", OURS[ours].to(place)) for place in (SENTINEL, CLUSTER) for ours in OURS]
    contestants: dict[str, Contestant] = {}
    for name, contestant in pairs:
        contestants[name] = contestant
        contestants[f"{name}, replicas=1"] = replace(contestant, query=CONFIRMED)
    return Row(contestants, [Ratio(f"{name}, replicas=1", name) for name, _ in pairs])


def on_every_node(row: Row) -> Row:
    """With names on all nodes one after the other, beside as many servers that are woken in turn."""
    spread, turns = f"Rust blocking, {CLUSTER}, {SPREAD} names", f"Rust blocking, {THREE_WITH_REPLICAS}"
    contestants = {
        spread: OURS["Rust blocking"].to(CLUSTER, each=SPREAD),
        turns: OURS["Rust blocking"].to(THREE_WITH_REPLICAS, each=SPREAD),
    }
    return Row({**contestants, **row.contestants}, [Ratio(spread, turns, 0.9), *row.ratios])


BESIDE_SENTINEL = beside_one_server(SENTINEL, dict.fromkeys(OURS, 0.97))
BESIDE_CLUSTER = beside_one_server(CLUSTER, {"Rust blocking": 0.9, "Python": 0.9})
PEERS = Row(
    {
        "Rust blocking": OURS["Rust blocking"].to(CLUSTER, each=SPREAD),
        "Python": OURS["Python"].to(CLUSTER, each=SPREAD),
        "Node": OURS["Node"].to(CLUSTER, each=SPREAD),
        "redlock 5": Contestant("node", "redlock 5", CLUSTER, each=SPREAD),
        "Redisson, unconfirmed": Contestant("java", "redisson-unconfirmed", CLUSTER, each=SPREAD),
        "Rust blocking, replicas=1": OURS["Rust blocking"].to(CLUSTER, each=SPREAD, query=CONFIRMED),
        # As it comes, it waits for the replicas.
        "Redisson": Contestant("java", "redisson", CLUSTER, each=SPREAD),
    },
    [
        Ratio("Node", "redlock 5", 1.0),
        Ratio("Rust blocking", "Redisson, unconfirmed", 1.0),
        Ratio("Rust blocking, replicas=1", "Redisson", 1.0),
        Ratio("Python", "Redisson, unconfirmed"),
        Ratio("Node", "Redisson, unconfirmed"),
    ],
)
REPLICAS = with_replicas_confirmed()

PAIRS = {
    "sentinel": BESIDE_SENTINEL,
    "cluster": on_every_node(BESIDE_CLUSTER),
    "cluster_peers": PEERS,
    "replicas": REPLICAS,
}
HAND_OVERS = {
    "sentinel_handover": BESIDE_SENTINEL,
    "cluster_handover": BESIDE_CLUSTER,
    "cluster_peers_handover": PEERS,
    "replicas_handover": REPLICAS,
}

NAMES = [*PAIRS, *HAND_OVERS]


def run(name: str) -> tuple[list[Figure], dict[str, Any]]:
    """Measures one row in both regimes."""
    measured, row = (pairs, PAIRS[name]) if name in PAIRS else (hand_overs, HAND_OVERS[name])
    contestants = {shown: it for shown, it in row.contestants.items() if has(it.language)}
    ratios = [ratio for ratio in row.ratios if {ratio.of, ratio.to} <= set(contestants)]
    figures: list[Figure] = []
    raw: dict[str, Any] = {}
    with ExitStack() as stack:
        places = stack.enter_context(started({it.place for it in contestants.values()}))

        def begin(it: Contestant) -> Worker:
            return stack.enter_context(Worker(it.language, it.name, places.urls[it.place] + it.query))

        for regime, found, slices in measured(name, Row(contestants, ratios), begin, places.pin):
            figures += found
            raw[regime] = slices
    return figures, raw


def asked(it: Contestant, seconds: float) -> dict[str, Any]:
    return {"do": "pairs", "seconds": seconds, "inflight": it.inflight, "each": it.each}


def warm_up(row: Row, workers: Mapping[str, Sequence[Worker]]) -> None:
    for shown, it in row.contestants.items():
        if it.language in WARM_UP_SECONDS:
            for worker in workers[shown]:
                worker.ask(asked(it, WARM_UP_SECONDS[it.language]))


def pairs(name: str, row: Row, begin: Begin, pin: Pin) -> Measured:
    """Pairs of acquire and release on free names."""
    workers = {shown: begin(it) for shown, it in row.contestants.items()}
    warm_up(row, {shown: [worker] for shown, worker in workers.items()})
    bars = [Bar(ratio.of, [ratio.to], ratio.least) for ratio in row.ratios]
    for regime, (client_cores, server_cores) in REGIMES.items():
        pin(server_cores)

        def measure(shown: str, cores: list[int] = client_cores) -> dict[str, float]:
            workers[shown].pin(cores)
            measured = workers[shown].ask(asked(row.contestants[shown], SECONDS))
            return {"rate": measured["ops"] / measured["seconds"], "cpu": measured["cpu"] / measured["ops"]}

        slices = interleave(list(row.contestants), measure)
        yield regime, compared(name, list(row.contestants), bars, regime, slices), slices


def hand_overs(name: str, row: Row, begin: Begin, pin: Pin) -> Measured:
    """Hand-overs with one waiter, in two processes."""
    workers = {shown: [begin(it), begin(it)] for shown, it in row.contestants.items()}
    numbers = {shown: itertools.count() for shown in row.contestants}

    def handed_over(shown: str) -> float:
        number = next(numbers[shown])
        first, second = workers[shown] if number % 2 else reversed(workers[shown])
        return hand_over(first, second, f"handed-{number % SPREAD}", HOLD_MS)

    warm_up(row, workers)
    for shown, it in row.contestants.items():
        for _ in range(WARM_UP_HAND_OVERS.get(it.language, 0)):
            handed_over(shown)
    for regime, (client_cores, server_cores) in REGIMES.items():
        pin(server_cores)

        def measure(shown: str, cores: list[int] = client_cores) -> dict[str, float]:
            for worker in workers[shown]:
                worker.pin(cores)
            return {f"sample {at}": handed_over(shown) for at in range(SAMPLES)}

        slices = interleave(list(row.contestants), measure)
        samples = {shown: [list(one.values()) for one in slices[shown]] for shown in row.contestants}
        figures = [
            Figure(name, shown, regime, "µs", Spread.of(value for one in samples[shown] for value in one))
            for shown in row.contestants
        ]
        for ratio in row.ratios:
            value = of_medians(samples[ratio.of], samples[ratio.to])
            most = 1 / ratio.least if ratio.least else None
            figures.append(Figure(name, f"{ratio.of} × {ratio.to}", regime, "×", value, most=most))
        yield regime, figures, samples
