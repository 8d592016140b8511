"""A network that misbehaves at random, and what is asked of leases behind it; and the judge of such a run.

Two crews work behind a proxy each. What happens to a connection that is there (forgotten, silent one way, cut, slow)
happens to both. New connections are broken for the one with the longer leases only, and never for longer than a quarter
of the shortest: so there was always time to keep every lease by a new connection, and none may be lost.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import churn_log
from churn_log import NS
from proxy import BOTH_WAYS

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

    from churn_log import Event
    from proxy import Pair, Proxy

# In milliseconds.
SHORT_TTLS = (2_000, 4_000)
LONG_TTLS = (10_000, 30_000)
# A connection is left in peace for so long: a lease of 2 s is renewed by it, and missed a second later at the latest.
# In seconds, as all below.
PEACE = 2.5
# New connections are broken for a quarter of the shortest TTL at most, and work for longer than a client needs to see
# that one does not.
BROKEN = LONG_TTLS[0] / 1000 / 4
WORKING = (4.0, 7.0)
# Between two misdeeds; and between two that happen to all connections at once.
PAUSE = (0.1, 0.5)
EVERYTHING = (3.0, 8.0)
# Added to each way of a slow connection: both together, within the time-out of a renewal of the shortest TTL.
SLOW = 0.1
# A patient one is never in vain: with so few tasks for a name its turn comes.
PATIENT = 120_000
# A timer may be early by its own grain.
GRAIN = NS // 20
# A release is tried for this long (ns), the command time-out, and then in the background. New connections may be broken
# for half of that, and what is begun within it ends up to 2 s later: seldom, it is told so.
RELEASE = 5 * NS
# A machine that stood still for so long (ns) while a lease had to be kept is to blame, and not the client.
STOOD_STILL = NS // 4
# Free and wanted, at most: each of those who are next may be behind a connection that was forgotten, which costs its
# claim window, and the last one's fallback.
FREE_SECONDS = 15.0


def turns(ttls: tuple[int, int], longest: int) -> Callable[[random.Random, list[str]], dict[str, Any]]:
    """Draws turns whose leases live for up to 1.6 TTLs by being renewed, and for `longest` (ms) at most."""

    def draw(dice: random.Random, names: list[str]) -> dict[str, Any]:
        ttl = dice.randint(*ttls)
        held = int(min(ttl * dice.uniform(0.1, 1.6), longest))
        looks = max(1, held // 250)
        return {
            "name": dice.choice(names),
            "ttl": ttl,
            "renew": True,
            "wait": dice.randint(300, 4_000) if dice.random() < 0.3 else PATIENT,
            "cancel": None,
            "pauses": [held // looks] * looks,
            "extend": None,
            "leave": False,
        }

    return draw


@dataclass
class Weather:
    """What happens to the connections of one proxy; `step` is to be called all the time."""

    proxy: Proxy
    dice: random.Random
    breaks_new: bool
    done: Counter[str] = field(default_factory=Counter)
    _slow: list[tuple[float, Pair]] = field(default_factory=list)
    _next: float = 0.0
    _next_for_all: float = 0.0
    _next_break: float = 0.0
    _broken_until: float = 0.0
    _breaks: int = 0

    def step(self) -> None:
        now = time.monotonic()
        if not self._next:
            self._next = now + PEACE
            self._next_for_all = now + self.dice.uniform(*EVERYTHING)
            self._next_break = now + self.dice.uniform(*WORKING)
        self._end_what_ends(now)
        if now >= self._next:
            self._next = now + self.dice.uniform(*PAUSE)
            if pairs := self._victims(now):
                self._hurt(self.dice.choice(pairs), now)
        if now >= self._next_for_all:
            self._next_for_all = now + self.dice.uniform(*EVERYTHING)
            self.done["everything forgotten"] += 1
            for pair in self._victims(now):
                pair.silent.update(BOTH_WAYS)
        if self.breaks_new and now >= self._next_break and not self._broken_until:
            self._broken_until = now + self.dice.uniform(0.5, 1) * BROKEN
            self._break_new()

    def clear_up(self) -> None:
        """New connections work, and those that are there go on as they are."""
        self.proxy.refuse, self.proxy.silent = False, ()
        self._end_what_ends(float("inf"))

    def _victims(self, now: float) -> list[Pair]:
        return [pair for pair in self.proxy.pairs() if not pair.silent and now - pair.born > PEACE]

    def _hurt(self, pair: Pair, now: float) -> None:
        deed = self.dice.choice(["forgotten", "deaf", "mute", "cut", "reset", "slow"])
        self.done[deed] += 1
        if deed == "forgotten":
            pair.silent.update(BOTH_WAYS)
        elif deed in {"deaf", "mute"}:
            pair.silent.add("to_client" if deed == "deaf" else "to_server")
        elif deed == "slow":
            pair.delay = self.dice.uniform(0.02, SLOW)
            self._slow.append((now + self.dice.uniform(1, 4), pair))
        else:
            pair.close(reset=deed == "reset")

    def _break_new(self) -> None:
        # One after the other, so that a short run has each.
        how = ["half-open", "refused", "half-open and deaf", "half-open and mute"][self._breaks % 4]
        self._breaks += 1
        self.done[how] += 1
        if how == "refused":
            self.proxy.refuse = True
        else:
            self.proxy.silent = {"deaf": ("to_client",), "mute": ("to_server",)}.get(how.split()[-1], BOTH_WAYS)

    def _end_what_ends(self, now: float) -> None:
        for until, pair in [*self._slow]:
            if now >= until:
                pair.delay = 0.0
                self._slow.remove((until, pair))
        if self._broken_until and now >= self._broken_until:
            self.proxy.refuse, self.proxy.silent = False, ()
            self._broken_until = 0.0
            self._next_break = now + self.dice.uniform(*WORKING)


def judge(events: Iterable[Event]) -> churn_log.Verdict:
    """What the churn's judge asks (two holders, tokens, names that stay free), and that nobody saw the network.

    No lease is lost, no release finds its name gone, and no acquire ends before its wait is over but with a lease.
    """
    events = list(events)
    verdict = churn_log.judge(events, churn_log.Limits(FREE_SECONDS, FREE_SECONDS, 0))
    wants: dict[str, Event] = {}
    ends: dict[str, Event] = {}

    def stood_still(event: Event) -> bool:
        return verdict.stalls.within(event.time - SHORT_TTLS[1] * NS // 1000, event.time) > STOOD_STILL

    for event in events:
        what = f"{event.name}: {event.who}"
        if event.kind == "wants":
            wants[event.who] = event
        elif event.kind == "holds":
            wants.pop(event.who, None)
        elif event.kind == "ends":
            ends[event.who] = event
        elif event.kind in {"lost", "gone"} and stood_still(event):
            verdict.counts["blamed on the machine"] += 1
        elif event.kind == "lost":
            verdict.wrong.append(f"{what} lost its lease {event.token} ({event.more}), which could have been kept")
        elif event.kind == "gone":
            verdict.wrong.append(f"{what} gave {event.token} back and found it gone")
        elif event.kind in {"failed", "timeout"}:
            if (want := wants.pop(event.who, None)) is None:
                if (end := ends.get(event.who)) and event.time - end.time > RELEASE:
                    verdict.counts["released in the background"] += 1
                    continue
                verdict.wrong.append(f"{what} held it and failed: {event.more}")
            elif (waited := event.time - want.time) < int(want.more) * NS // 1000 - GRAIN:
                after = f"{waited // 1_000_000} of {want.more} ms"
                verdict.wrong.append(f"{what} gave up after {after}: {event.kind} {event.more}")
    return verdict
