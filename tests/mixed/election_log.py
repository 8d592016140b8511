"""The judge of an election: whether two ever led at one time, and how long the name was without a leader after a fault.

The log is that of the churn (`churn_log.py`), with three kinds of lines more:

| event | time | what |
| --- | --- | --- |
| fault | before it | by the crew: what happens to the leader whose token it is; the kind is in `more` |
| runs | after it | by the crew: a leader that was stopped runs again |
| stopped | after it | the work under this token was stopped for its loss: cancelled, dropped, or it looked |
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import churn_log
from churn_log import NS, Event, Stalls

if TYPE_CHECKING:
    from collections.abc import Iterable

CREW = "crew"
# What happens to leaders, in turn: SIGKILL, SIGSTOP past the TTL, the network gone, an error of the work.
KINDS = ("killed", "stopped", "cut", "raised")
# Who is told to raise does so at its next look, and the next one is granted the name.
HAND_OVER_SECONDS = 0.5
# After its TTL the name is the next one's within this.
GRACE_SECONDS = 0.5


@dataclass
class Verdict:
    """What was wrong; of each kind of fault how many there were, and how long nobody led at most (seconds)."""

    wrong: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    longest: dict[str, float] = field(default_factory=dict)
    longest_stop: float = 0.0
    overlaps: int = 0
    refused: int = 0
    leaders: Counter[str] = field(default_factory=Counter)
    stood_still: float = 0.0


def judge(events: Iterable[Event], ttl: float) -> Verdict:
    """Judges a run of one name under leases of `ttl` seconds."""
    events = list(events)
    led = churn_log.Verdict(counts=Counter(event.kind for event in events), stalls=Stalls(events))
    churn_log.holders([event for event in events if event.who != CREW], led)
    verdict = Verdict(wrong=list(led.wrong), refused=led.counts["refused"], stood_still=led.stalls.longest())
    verdict.overlaps = sum("by both" in each for each in led.wrong)
    begins: dict[int, Event] = {}
    for event in events:
        if event.kind == "holds":
            begins.setdefault(event.token, event)
    verdict.leaders.update(event.who.split(".")[0] for event in begins.values())
    for event in events:
        if event.kind == "fault":
            verdict.faults[event.more] += 1
            _gap(event, begins, led.stalls, ttl, verdict)
            _stop(event, events, led.stalls, ttl, verdict)
    return verdict


def _gap(fault: Event, begins: dict[int, Event], stalls: Stalls, ttl: float, verdict: Verdict) -> None:
    """How long it took until the next one led."""
    after = [event for token, event in begins.items() if token > fault.token]
    if not after:
        verdict.wrong.append(f"nobody leads after {fault}")
        return
    then = min(after, key=lambda event: event.token)
    gap = (then.time - fault.time - stalls.within(fault.time, then.time)) / NS
    kind = fault.more
    verdict.longest[kind] = max(verdict.longest.get(kind, 0), gap)
    if gap > (HAND_OVER_SECONDS if kind == "raised" else ttl + GRACE_SECONDS):
        verdict.wrong.append(f"nobody led for {gap:.2f} s after {fault}")


def _stop(fault: Event, events: list[Event], stalls: Stalls, ttl: float, verdict: Verdict) -> None:
    """Whether the work that had lost its lease was stopped: soon after it ran again, or at its deadline."""
    mine = [event for event in events if event.token == fault.token]
    if fault.more == "stopped":
        begin, limit = next((event.time for event in mine if event.kind == "runs"), fault.time), GRACE_SECONDS
    elif fault.more == "cut":
        begin, limit = fault.time, ttl + GRACE_SECONDS
    else:
        return
    end = next((event.time for event in mine if event.kind == "stopped"), None)
    if end is None:
        verdict.wrong.append(f"the work was not stopped after {fault}")
        return
    took = (end - begin - stalls.within(begin, end)) / NS
    if fault.more == "stopped":
        verdict.longest_stop = max(verdict.longest_stop, took)
    if took > limit:
        verdict.wrong.append(f"the work was stopped {took:.2f} s late after {fault}")
