"""RESULTS.md: what was measured, on what, and each figure beside its bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .titles import TITLES, number, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """\
# Benchmarks

Made by `make bench`; do not edit. Ratios are medians over interleaved rounds of short slices of all contestants of a
row, with their quartiles in brackets, so that a machine that is noisy or slow for a while is so for all of them.
On loopback.

A round trip costs several times more when client and server wake each other on two idle cores (**apart**) than when
they share one (**together**), and a scheduler that is left alone flips between the two; so both are measured, pinned.
Without a server, *apart* is a core for each of two processes, or both for the threads of one.

*Same bytes* is a bare socket in the same language that sends exactly what leaselock sends; over TLS it is a stream of
rustls, as leaselock's is. Peers are asked with their default retry delays and a TTL of 30 s. leaselock renews its
leases, counts a fencing token with each, and queues waiters in order; none of the peers here does all three.

A *bare* hand-over is sockets that send what leaselock sends and do nothing else with it: where they miss a bar, no
client in that language can reach it. After a long wait, and always in async Rust, a grant is claimed, which costs a
round trip more.

Without a server the peers lock by files. A file that its holder keeps touching (filelock's `SoftFileLease`,
proper-lockfile) is a lease too, and leaselock is to be ahead of those. A bare flock(2) or fcntl(2) (filelock's
`FileLock`, fasteners) is less: it ends with its process, however long that is stopped, and has no token and no queue.

A Sentinel and a cluster are held against *one with replicas*: one server that has as many, of a Sentinel the same
master by its own address. All servers are on one core here, so what *one server* alone does better is the time of
replicas that elsewhere have cores of their own. *12 names* in turn are on all nodes of a cluster, and beside three
servers in turn. Redisson as it comes waits for replicas, as leaselock does with `replicas=1`; *unconfirmed* it does
not.

![The figures as bars](results/bars.svg)
"""


def markdown(results: dict[str, Any]) -> str:
    """The whole page."""
    rows = results["rows"]
    parts = [HEAD, _versions(results["versions"])]
    quick = [name for name, row in rows.items() if row["quick"]]
    if quick:
        parts.append(f"Of a short run, and so less certain: {', '.join(quick)}.\n")
    parts.append("\n".join(_against_bars(rows)))
    for name, title in TITLES.items():
        if name in rows:
            parts.append(f"## {title}\n\n" + "\n".join(_row(rows[name]["figures"])))
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _versions(versions: dict[str, str]) -> str:
    cores, architecture, kernel = (versions[key] for key in ("cores", "architecture", "kernel"))
    others = ", ".join(
        f"{name} {version}" for name, version in versions.items() if name not in {"cores", "architecture", "kernel"}
    )
    return f"Measured on {cores} cores ({architecture}), Linux {kernel}: {others}.\n"


def _against_bars(rows: dict[str, Any]) -> Iterator[str]:
    yield "## In short\n"
    yield "| | apart | together | bar | aim |"
    yield "| --- | --- | --- | --- | --- |"
    for name, title in TITLES.items():
        measures: dict[str, dict[str, Any]] = {}
        for figure in rows.get(name, {"figures": []})["figures"]:
            if figure["holds"] is not None:
                measures.setdefault(figure["measure"], {})[figure["regime"]] = figure
        for measure, regimes in measures.items():
            first = next(iter(regimes.values()))
            cells = [_cell(regimes[regime]) if regime in regimes else "" for regime in ("apart", "together")]
            if "" in regimes:
                cells = [_cell(regimes[""]), ""]
            bars = dict.fromkeys(_bar(figure) for figure in regimes.values())
            aims = dict.fromkeys(number(figure["aim"]) for figure in regimes.values() if figure["aim"] is not None)
            label = f"{title}: {shown(measure)}" if first["unit"] != "×" or "×" in measure else f"{title}: {measure}"
            yield f"| {label} | {' | '.join(cells)} | {', '.join(bars)} | {', '.join(aims)} |"


def _bar(figure: dict[str, Any]) -> str:
    return f"≥ {number(figure['least'])}" if figure["least"] is not None else f"≤ {number(figure['most'])}"


def _cell(figure: dict[str, Any]) -> str:
    value = _value(figure)
    if figure["unit"] == "×" and figure["note"]:
        value += f", {shown(figure['note'])}"
    return value if figure["holds"] in {None, True} else f"**{value}** falls short"


def _value(figure: dict[str, Any]) -> str:
    value, unit = figure["value"], figure["unit"]
    text = f"{number(value['median'])} ×" if unit == "×" else f"{number(value['median'])} {unit}"
    spread = value["low"] != value["high"]
    return f"{text} [{number(value['low'])} … {number(value['high'])}]" if spread else text


def _row(figures: list[dict[str, Any]]) -> Iterator[str]:
    regimes = [regime for regime in ("apart", "together") if any(figure["regime"] == regime for figure in figures)]
    regimes = regimes or [""]
    measures: dict[str, dict[str, Any]] = {}
    for figure in figures:
        measures.setdefault(figure["measure"], {})[figure["regime"]] = figure
    yield f"| | {' | '.join(regime or 'measured' for regime in regimes)} |"
    yield f"| --- |{' --- |' * len(regimes)}"
    for measure, found in measures.items():
        cells = []
        for regime in regimes:
            at = found.get(regime)
            note = f"<br>{at['note']}" if at and at["note"] else ""
            cells.append(f"{_value(at)}{note}" if at else "")
        yield f"| {shown(measure)} | {' | '.join(cells)} |"
