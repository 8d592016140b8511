"""The log of a churn run, and its judge: whether two ever held one name, and whether anyone waited for a free one.

All programs append to one file, a line an event, each with one write: so the order of the lines is an order in which
they happened, and the file stands for a resource that all of them write to. Times are nanoseconds of CLOCK_MONOTONIC,
which is one clock for all processes of a machine.

    time  who  event  name  token  until  more

| event | time | what |
| --- | --- | --- |
| wants | before acquire | it begins to wait, for as many milliseconds as `more` says |
| cancelled, timeout | after acquire | it got nothing; so it is with `failed`, whose code is in `more` |
| holds | before it looked | a write to the resource; it was held after `time`, and the deadline is `until` or later |
| extends | before extend | what it said of its deadline no longer counts |
| lost | after it looked | `held` was false; the reason is in `more` |
| late | | a write to the resource after that, without looking |
| left | before detach | the name is left to its TTL |
| ends | before release | it no longer counts itself as the holder |
| released, gone | after release | release gave the name back, or found it gone |
| beat | all the time | by the crew itself: where one is late, the whole machine or its disk stood still |
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NS = 1_000_000_000
# How much longer than the holder's own deadline the server may keep the name: 1 % of the longest TTL and 2 ms.
DRIFT = 22_000_000
# Of a TTL of 2 s, this is left at the first look where the lease began with its grant: it counts from before that. All
# other TTLs are shorter.
BEGUN = range(1_000_000_000, 1_900_000_000)
OUTCOMES = {"cancelled", "timeout", "failed"}
# The crew writes a beat this often; when the next one comes later than STALL, nobody could do anything meanwhile.
BEAT_SECONDS = 0.02
STALL = NS // 10


class Event(NamedTuple):
    time: int
    who: str
    kind: str
    name: str
    token: int = 0
    until: int = 0
    more: str = ""


@dataclass
class Lease:
    """What one holder said of its lease: held from `begin` to `end` at least, by a deadline of `until` or later.

    `given_back` says whether the name was free then, and not by the TTL.
    """

    name: str
    token: int
    who: str
    begin: int
    end: int
    until: int
    given_back: bool = False


class Stalls:
    """When the machine stood still, by the beats in a log."""

    def __init__(self, events: Iterable[Event]) -> None:
        beats = [event.time for event in events if event.kind == "beat"]
        self._spans = [(last, beat) for last, beat in itertools.pairwise(beats) if beat - last > STALL]

    def within(self, begin: int, end: int) -> int:
        """For how much of a time (ns) it did."""
        return sum(max(0, min(until, end) - max(since, begin)) for since, until in self._spans)

    def longest(self) -> float:
        """For how many seconds at once."""
        return max((until - since for since, until in self._spans), default=0) / NS


@dataclass
class Verdict:
    """What was wrong, in words for people; how often each event was; how long names were free and wanted at most."""

    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    longest_wait: float = 0.0
    longest_calm_wait: float = 0.0
    stalls: Stalls = field(default_factory=lambda: Stalls([]))


def read(log: Path) -> list[Event]:
    """The events in the order in which they were written."""
    events = []
    for line in log.read_text().splitlines():
        time, who, kind, name, token, until, *more = line.split(" ")
        events.append(Event(int(time), who, kind, name, int(token), int(until), " ".join(more)))
    return events


@dataclass(frozen=True)
class Limits:
    """How many seconds a name may be free while someone waits for it; less from `calm_from` (ns) on."""

    disturbed: float
    calm: float
    calm_from: int


def judge(events: Iterable[Event], limits: Limits) -> Verdict:
    """Judges a run."""
    events = list(events)
    verdict = Verdict(counts=Counter(event.kind for event in events), stalls=Stalls(events))
    by_name = holders(events, verdict)
    wanted = _wanted(events)
    for name, of_name in by_name.items():
        _waits(name, of_name, wanted.get(name, []), limits, verdict)
    for name in wanted.keys() - by_name.keys():
        verdict.wrong.append(f"{name} was wanted and never acquired")
    return verdict


def holders(events: list[Event], verdict: Verdict) -> dict[str, list[Lease]]:
    """The leases of each name in the order in which they began; what is wrong where one was not the only holder."""
    leases = _leases(events, verdict)
    _fence(events, verdict)
    by_name: dict[str, list[Lease]] = {}
    for lease in sorted(leases, key=lambda lease: lease.begin):
        by_name.setdefault(lease.name, []).append(lease)
    for of_name in by_name.values():
        _overlaps(of_name, verdict)
    return by_name


def _leases(events: list[Event], verdict: Verdict) -> list[Lease]:
    leases: dict[tuple[str, int], Lease] = {}
    for event in events:
        key = (event.name, event.token)
        if (lease := leases.get(key)) is None:
            if event.kind != "holds":
                continue  # stopped until its lease had run out, before it first looked: it never counted as the holder
            lease = leases[key] = Lease(event.name, event.token, event.who, event.time, event.until, event.until)
            verdict.counts["acquired"] += 1
            verdict.counts["begun"] += event.until - event.time in BEGUN
        if lease.who != event.who:
            verdict.wrong.append(f"{event.name}: {lease.who} and {event.who} have the same token {event.token}")
        if event.kind == "holds":
            lease.end = lease.until = event.until
        elif event.kind == "extends":
            lease.end = lease.until = min(lease.end, event.time)
        elif event.kind == "ends":
            lease.end, lease.given_back = min(lease.end, event.time), True
        elif event.kind in {"lost", "gone"} and event.time < lease.until:
            early = (lease.until - event.time) / 1e6
            verdict.wrong.append(
                f"{event.name}: {event.who}'s was {event.kind} ({event.more}) {early:.1f} ms before its deadline"
            )
    return list(leases.values())


def _fence(events: list[Event], verdict: Verdict) -> None:
    """Replays the writes at a resource that refuses older tokens: no holder may be refused before its deadline."""
    newest: dict[str, Event] = {}
    refused: dict[tuple[str, int], Event] = {}
    for event in events:
        if not event.token:
            continue
        # Whoever was refused has gone on before the deadline that it knew: then it held when it was refused.
        if (was := refused.pop((event.name, event.token), None)) and event.time < was.until:
            verdict.wrong.append(
                f"{event.name}: {event.who} was refused under {event.token} within its deadline, "
                f"after {newest[event.name]}"
            )
        if event.kind not in {"holds", "late"}:
            continue
        if event.name not in newest or newest[event.name].token <= event.token:
            newest[event.name] = event
            verdict.counts["accepted"] += 1
        else:
            verdict.counts["refused"] += 1
            if event.kind == "holds":
                refused[event.name, event.token] = event


def _overlaps(leases: list[Lease], verdict: Verdict) -> None:
    last = leases[0]
    for lease in leases[1:]:
        if lease.begin < last.end:
            both = (min(last.end, lease.end) - lease.begin) / 1e6
            verdict.wrong.append(f"{lease.name} was held by {last} and by {lease}, for {both:.1f} ms by both")
        if lease.token < last.token:
            verdict.wrong.append(f"{lease.name}: the later of {last} and {lease} has the smaller token")
        last = max(last, lease, key=lambda lease: lease.end)


def _wanted(events: list[Event]) -> dict[str, list[tuple[int, int]]]:
    """When each name was waited for; a wait without an outcome (its process was killed) does not count."""
    since: dict[str, Event] = {}
    wanted: dict[str, list[tuple[int, int]]] = {}
    for event in events:
        if event.kind == "wants":
            since[event.who] = event
        elif (event.kind in OUTCOMES or event.kind == "holds") and (want := since.pop(event.who, None)):
            wanted.setdefault(event.name, []).append((want.time, event.time))
    return {name: sorted(spans) for name, spans in wanted.items()}


def _waits(name: str, leases: list[Lease], wanted: list[tuple[int, int]], limits: Limits, verdict: Verdict) -> None:
    """Finds how long the name was free while someone, or one after the other, waited for it."""
    spans = _joined(wanted)
    ends = itertools.accumulate((lease.end if lease.given_back else lease.end + DRIFT for lease in leases), max)
    begins = [lease.begin for lease in leases[1:]] + [max(end for _, end in spans)]
    at = 0
    for free, taken in itertools.chain([(spans[0][0], leases[0].begin)], zip(ends, begins, strict=True)):
        while at < len(spans) and spans[at][1] <= free:
            at += 1
        for begin, end in spans[at:]:
            if begin >= taken:
                break
            since, until = max(free, begin), min(taken, end)
            waited = (until - since - verdict.stalls.within(since, until)) / NS
            calm = since >= limits.calm_from
            if calm:
                verdict.longest_calm_wait = max(verdict.longest_calm_wait, waited)
            else:
                verdict.longest_wait = max(verdict.longest_wait, waited)
            if waited > (limits.calm if calm else limits.disturbed):
                verdict.wrong.append(f"{name} was free and wanted for {waited:.2f} s from {since} on")


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for begin, end in spans:
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined
