"""Pairs of acquire and release on free names: how many a second, and at what CPU time."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness import capture
from harness.machine import REGIMES
from harness.rounds import SECONDS, Figure, Spread, interleave, ratio
from harness.server import Server
from harness.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Bar:
    """A ratio that is to be reached: by regime, or the same in both."""

    of: str
    to: Sequence[str]  # the fastest of these
    least: float | dict[str, float] | None
    aim: float | dict[str, float] | None = None
    cpu: float | None = None  # at most this share of the other's CPU time for a pair
    words: str = ""


@dataclass(frozen=True)
class Row:
    """One row of contestants, so many in flight."""

    name: str
    language: str
    inflight: int
    contestants: Sequence[str]
    bars: Sequence[Bar]
    tls: bool = False


ROWS = [
    Row(
        "rust_sync",
        "rust",
        1,
        ["bare", "leaselock-blocking", "rslock"],
        [
            Bar("leaselock-blocking", ["bare"], {"apart": 0.88, "together": 0.78}, {"apart": 0.93, "together": 0.88}),
            Bar("leaselock-blocking", ["rslock"], 1.1),
            Bar("bare", ["rslock"], None),  # the most that can be had
        ],
    ),
    Row(
        "rust_tls",
        "rust",
        1,
        ["bare", "leaselock-blocking", "rslock"],
        [Bar("leaselock-blocking", ["bare"], 0.85), Bar("leaselock-blocking", ["rslock"], None)],
        tls=True,
    ),
    Row(
        "rust_async",
        "rust",
        64,
        ["leaselock", "leaselock-multi", "rslock", "rslock-multi"],
        [Bar("leaselock", ["rslock"], 0.85, 1.1), Bar("leaselock-multi", ["rslock-multi"], 0.85, 1.1)],
    ),
    Row(
        "rust_async_1",
        "rust",
        1,
        ["leaselock", "leaselock-multi", "rslock", "rslock-multi"],
        [Bar("leaselock", ["rslock"], None), Bar("leaselock-multi", ["rslock-multi"], None)],
    ),
    Row(
        "python_sync",
        "python",
        1,
        ["bare", "leaselock", "redis-py", "python-redis-lock", "pottery"],
        [
            Bar("leaselock", ["redis-py"], {"apart": 1.25, "together": 1.8}, 2.5, cpu=1 / 3),
            Bar("leaselock", ["python-redis-lock"], None),
            Bar("leaselock", ["bare"], None),
        ],
    ),
    Row(
        "python_tls",
        "python",
        1,
        ["leaselock", "redis-py"],
        [Bar("leaselock", ["redis-py"], 1.5)],
        tls=True,
    ),
    Row(
        "python_async_1",
        "python",
        1,
        ["leaselock-asyncio", "redis-py-asyncio"],
        [Bar("leaselock-asyncio", ["redis-py-asyncio"], 1.2, 1.5)],
    ),
    Row(
        "python_async",
        "python",
        64,
        ["leaselock-asyncio", "redis-py-asyncio"],
        [Bar("leaselock-asyncio", ["redis-py-asyncio"], 4, 8)],
    ),
    Row(
        "observers",
        "python",
        1,
        ["leaselock", "leaselock, observed", "leaselock, for Prometheus"],
        [Bar("leaselock, observed", ["leaselock"], 0.9), Bar("leaselock, for Prometheus", ["leaselock"], 0.9)],
    ),
    Row(
        "observers_node",
        "node",
        1,
        ["leaselock", "leaselock, observed"],
        [Bar("leaselock, observed", ["leaselock"], 0.9)],
    ),
    *(
        Row(
            name,
            "node",
            inflight,
            [*bare, "leaselock", "redlock 5", "redlock 4", "sesamecare", "redlock-universal"],
            [
                Bar(
                    "leaselock",
                    ["redlock 5", "redlock 4", "sesamecare", "redlock-universal"],
                    least,
                    aim,
                    words="the fastest peer",
                ),
                *(Bar("leaselock", [to], None) for to in bare),
            ],
        )
        for name, inflight, least, aim, bare in [
            ("node_1", 1, 1.0, 1.25, ["bare"]),
            ("node", 64, 1.5, 2.5, []),
        ]
    ),
]

NAMES = [row.name for row in ROWS]


def run(name: str) -> tuple[list[Figure], dict[str, Any]]:
    """Measures one row in both regimes."""
    row = next(row for row in ROWS if row.name == name)
    figures: list[Figure] = []
    raw: dict[str, Any] = {}
    with ExitStack() as stack:
        server = stack.enter_context(Server(tls=row.tls))
        options = {"bare": {"pair": capture.pair(server)}} if "bare" in row.contestants else {}
        workers = {
            contestant: stack.enter_context(Worker(row.language, contestant, server.url, options.get(contestant)))
            for contestant in row.contestants
        }
        for regime, (client_cores, server_cores) in REGIMES.items():
            server.pin(server_cores)

            def measure(contestant: str, cores: list[int] = client_cores) -> dict[str, float]:
                worker = workers[contestant]
                worker.pin(cores)
                spent = server.cpu()
                measured = worker.ask({"do": "pairs", "seconds": SECONDS, "inflight": row.inflight})
                ops = measured["ops"]
                return {
                    "rate": ops / measured["seconds"],
                    "cpu": measured["cpu"] / ops,
                    "server": (server.cpu() - spent) / ops,
                }

            slices = interleave(row.contestants, measure)
            raw[regime] = slices
            figures += compared(name, row.contestants, row.bars, regime, slices)
    return figures, raw


def compared(
    row: str,
    contestants: Sequence[str],
    bars: Sequence[Bar],
    regime: str,
    slices: dict[str, list[dict[str, float]]],
) -> list[Figure]:
    """What was measured of each contestant, and the ratios that are to be reached."""

    def column(contestant: str, key: str) -> list[float]:
        return [one[key] for one in slices[contestant]]

    figures = []
    for contestant in contestants:
        per_second = Spread.of(column(contestant, "rate"))
        cpu = Spread.of(value * 1e6 for value in column(contestant, "cpu"))
        note = f"{cpu.median:.1f} µs of CPU a pair"
        figures.append(Figure(row, contestant, regime, "pairs/s", per_second, note=note))
    for bar in bars:
        # The fastest of several is the one with the best median.
        to = max(bar.to, key=lambda contestant: Spread.of(column(contestant, "rate")).median)
        least = bar.least[regime] if isinstance(bar.least, dict) else bar.least
        aim = bar.aim[regime] if isinstance(bar.aim, dict) else bar.aim
        measure = f"{bar.of} × {bar.words or to}"
        note = to if bar.words else ""
        value = ratio(column(bar.of, "rate"), column(to, "rate"))
        figures.append(Figure(row, measure, regime, "×", value, least=least, aim=aim, note=note))
        if bar.cpu is not None:
            value = ratio(column(bar.of, "cpu"), column(to, "cpu"))
            figures.append(Figure(row, f"client CPU a pair, {measure}", regime, "×", value, most=bar.cpu))
            # What the kernel alone takes for the same bytes: no client can be below it.
            limit = ratio(column("bare", "cpu"), column(to, "cpu"))
            figures.append(Figure(row, f"client CPU a pair, bare × {to}", regime, "×", limit))
    return figures
