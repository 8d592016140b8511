"""The judge of one language's history: what its programs wrote to the log of `tests/mixed/churn_log.py` during a fault.

Each line with a token is a write to a fenced resource, which refuses a token that is older than one it has seen. All
that is asked has a yes or a no: a history that cannot be judged to its end is wrong.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from churn_log import NS, OUTCOMES, Stalls

if TYPE_CHECKING:
    from churn_log import Event

# A timer and a look may be late by so much on a busy machine, beside what the beats tell of it.
SLACK = NS // 4
# An answer that a machine which stood still for more than that within the time-out did not give is not missed.
TIMEOUT = 2 * NS
UNAVAILABLE = "STORE_UNAVAILABLE"
# Stands for all that wanted a name and failed.
FAILED = "failed"
ENDS = OUTCOMES | {"released", "gone", "left", "late"}


@dataclass
class Facts:
    """What happened, in ns of CLOCK_MONOTONIC, and what is asked for that."""

    ttl: int
    # When the fault was over; from when on nobody began anything.
    healed: int
    end: int
    # How long no name may go without a write after that.
    within: float
    # Two may hold a name at once, and only their tokens tell.
    overlap: bool = False
    # No lease may be lost, also where holders block themselves.
    kept: bool = False
    # Its holders block themselves: whoever looks late was not kept from running by the machine.
    blocked: bool = False
    # Nothing is renewed from when to when, for whoever has this tag: no look after the deadline may say `held`.
    silent: list[tuple[int, int, str]] = field(default_factory=list)
    # The store forgot what it had at the first, and could be reached again at the second.
    forgotten: list[tuple[int, int]] = field(default_factory=list)
    # Codes of errors that users may see, and words of which each must have been in one that they saw.
    errors: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()
    killed: set[str] = field(default_factory=set)


@dataclass
class Verdict:
    """What was wrong, in words; how often each event was; and what was seen on the way, in seconds."""

    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    operations: int = 0
    violations: int = 0
    undecided: int = 0
    overlaps: int = 0
    longest_overlap: float = 0.0
    recovery: float = 0.0
    told: float = 0.0


@dataclass
class Lease:
    """One lease by what its holder said: each look at it that said `held`, and until when."""

    name: str
    token: int
    who: str
    wanted: int
    looks: list[tuple[int, int]] = field(default_factory=list)
    end: int = 0
    lost: int = 0

    @property
    def begin(self) -> int:
        return self.looks[0][0]

    def __str__(self) -> str:
        return f"{self.who}'s lease of {self.name} under {self.token}"


def judge(events: list[Event], facts: Facts) -> Verdict:
    """Judges a history, in the order in which it was written."""
    verdict = Verdict(counts=Counter(event.kind for event in events))
    verdict.operations = sum(n for kind, n in verdict.counts.items() if kind != "beat")
    stalls = Stalls(events)
    leases = _leases(events, facts, verdict)
    _fence(events, leases, verdict)
    _overlaps(leases, facts, verdict)
    _told(leases, facts, stalls, verdict)
    _goes_on(events, facts, stalls, verdict)
    failures = [event for event in events if event.kind == "failed"]
    for event in failures:
        still = stalls.within(event.time - TIMEOUT, event.time)
        if _code(event) not in facts.errors and (_code(event) != UNAVAILABLE or still < SLACK):
            verdict.wrong.append(f"{event.who} was told of {event.more}, after {still / NS:.2f} s of a busy machine")
    said = [event.more for event in failures]
    verdict.wrong += [f"nobody was told: {text}" for text in facts.words if not any(text in each for each in said)]
    if facts.kept:
        _kept(events, leases, facts, stalls, verdict)
    if not verdict.counts["released"]:
        verdict.wrong.append("nothing was ever released")
    return verdict


def _code(failure: Event) -> str:
    return failure.more.split(":")[0]


def _leases(events: list[Event], facts: Facts, verdict: Verdict) -> list[Lease]:
    """All that was held; says what has no outcome."""
    open_: dict[str, Event] = {}
    leases: dict[tuple[str, str, int], Lease] = {}
    found: list[Lease] = []
    last: dict[str, Event] = {}
    for event in events:
        if event.kind == "beat":
            continue
        last[event.who] = event
        if event.kind == "wants":
            open_[event.who] = event
        if not event.token:
            continue
        key = (event.who, event.name, event.token)
        if event.kind == "holds":
            lease = leases.get(key)
            if lease is None or lease.wanted != open_[event.who].time:
                lease = leases[key] = Lease(event.name, event.token, event.who, open_[event.who].time)
                found.append(lease)
                verdict.counts["acquired"] += 1
            lease.looks.append((event.time, event.until))
            lease.end = event.until
        elif lease := leases.get(key):
            # After each of these the holder no longer counts itself as one, or on the deadline that it knew.
            lease.end = min(lease.end, event.time)
            if event.kind in {"lost", "gone"}:
                lease.lost = lease.lost or event.time
    for who, event in last.items():
        if who.split("/")[0] not in facts.killed and event.kind not in ENDS:
            verdict.undecided += 1
            verdict.wrong.append(f"{who} never said what came of {event.kind} {event.name}")
    return found


def _fence(events: list[Event], leases: list[Lease], verdict: Verdict) -> None:
    """Tokens grow in the order in which leases began; the resource then never accepts an older one after a newer."""
    by_name: dict[str, list[Lease]] = {}
    tokens: dict[tuple[str, int], Lease] = {}
    for lease in leases:
        by_name.setdefault(lease.name, []).append(lease)
        other = tokens.setdefault((lease.name, lease.token), lease)
        if other is not lease:
            verdict.violations += 1
            verdict.wrong.append(f"fence: {lease} and {other} have one token")
    for of_name in by_name.values():
        began = sorted(of_name, key=lambda lease: lease.begin)
        newest: Lease | None = None
        at = 0
        for lease in sorted(of_name, key=lambda lease: lease.wanted):
            # Those that were held before this one was even asked for.
            while at < len(began) and began[at].begin < lease.wanted:
                if newest is None or began[at].token > newest.token:
                    newest = began[at]
                at += 1
            if newest and lease.token <= newest.token:
                verdict.violations += 1
                verdict.wrong.append(f"fence: {lease} was asked for when {newest} was held, and is not newer")
    accepted: dict[str, int] = {}
    for event in events:
        if event.kind in {"holds", "late"} and event.token:
            newer = event.token >= accepted.get(event.name, 0)
            verdict.counts["accepted" if newer else "refused"] += 1
            if newer:
                accepted[event.name] = event.token


def _overlaps(leases: list[Lease], facts: Facts, verdict: Verdict) -> None:
    last: dict[str, Lease] = {}
    for lease in sorted(leases, key=lambda lease: lease.begin):
        before = last.get(lease.name)
        if before and lease.begin < before.end:
            both = (min(before.end, lease.end) - lease.begin) / NS
            verdict.overlaps += 1
            verdict.longest_overlap = max(verdict.longest_overlap, both)
            if not facts.overlap:
                verdict.wrong.append(f"{before} and {lease} were both held for {both:.3f} s")
        if not before or lease.end > before.end:
            last[lease.name] = lease


def _told(leases: list[Lease], facts: Facts, stalls: Stalls, verdict: Verdict) -> None:
    """Holders know: at the deadline with no network (S2), and soon where the store can tell (D1)."""
    for lease in leases:
        for begin, end, tag in facts.silent:
            if lease.begin < begin and lease.who.startswith(tag):
                late = [at for at, _ in lease.looks if begin + facts.ttl + SLACK // 5 < at < end]
                if late:
                    verdict.wrong.append(f"{lease} said held {(late[-1] - begin) / NS:.2f} s after its last renewal")
        for forgot, back in facts.forgotten:
            if lease.begin < forgot and (looks := [at for at, _ in lease.looks if at > back]):
                told = looks[-1] - back
                verdict.told = max(verdict.told, told / NS)
                # A third of the TTL, and the time-out of a renewal, a sixth.
                if told - stalls.within(back, looks[-1]) > facts.ttl // 2 + SLACK:
                    verdict.wrong.append(f"{lease} said held {told / NS:.2f} s after the store forgot it")


def _kept(events: list[Event], leases: list[Lease], facts: Facts, stalls: Stalls, verdict: Verdict) -> None:
    """No lease is lost, but for one that a machine which stood still could not renew in time."""
    reasons = {(e.who, e.name, e.token): e.more or e.kind for e in reversed(events) if e.kind in {"lost", "gone"}}
    if not any(lease.looks[-1][0] - lease.begin > facts.ttl for lease in leases):
        verdict.wrong.append("no lease had to be renewed")
    for lease in leases:
        # It is renewed at a third of the TTL, and once more after a failure.
        # Whoever looks late, and was not blocked on purpose, was kept from running: he could not renew either.
        late = not facts.blocked and lease.lost - lease.looks[-1][0] > facts.ttl // 4
        if lease.lost and not late and stalls.within(lease.lost - facts.ttl, lease.lost) < facts.ttl // 4:
            last = (lease.lost - lease.looks[-1][0]) / NS
            reason = reasons[lease.who, lease.name, lease.token]
            verdict.wrong.append(f"{lease} was lost ({reason}), {last:.2f} s after it was last seen held")


def _goes_on(events: list[Event], facts: Facts, stalls: Stalls, verdict: Verdict) -> None:
    """After the fault no name that somebody waits for goes without a holder for long."""
    wanted: dict[str, dict[str, int]] = {}
    seen: dict[str, int] = {}

    def look(name: str, at: int) -> None:
        if (waiting := wanted.get(name)) and at > facts.healed:
            since = max(facts.healed, seen.get(name, 0), min(waiting.values()))
            gap = (at - since - stalls.within(since, at)) / NS
            verdict.recovery = max(verdict.recovery, gap)
            if gap > facts.within:
                verdict.wrong.append(f"{name} was wanted and had no holder for {gap:.2f} s after the fault")

    for event in sorted(events, key=lambda event: event.time):
        if event.kind == "beat" or event.who.split("/")[0] in facts.killed:
            continue
        waiting = wanted.setdefault(event.name, {})
        if event.kind == "wants":
            waiting[event.who] = event.time
            continue
        if event.kind in {"holds", "timeout"}:
            look(event.name, event.time)
        since = waiting.pop(event.who, event.time)
        if event.token:
            waiting.pop(FAILED, None)
            seen[event.name] = event.time
        elif event.kind == "failed":
            # It goes on to be wanted: a name of which all fails has no holder either.
            waiting.setdefault(FAILED, since)
    for name in wanted:
        look(name, facts.end)
