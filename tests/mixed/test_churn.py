"""200 tasks in four processes on a few names: they wait, give up, time out, are killed, are stopped.

Whatever happens, no two of them hold a name at one time, nobody waits for a free name for long, and nothing is left.
"""

from __future__ import annotations

import os
import time
import uuid
from typing import TYPE_CHECKING

import churn_log
import pytest
from churn_crew import CLAIM_WINDOW, Crew
from conftest import outside

import leaselock

if TYPE_CHECKING:
    from pathlib import Path

    from stores import Outside

NAMES = [f"name-{number}" for number in range(16)]
# CHURN_SECONDS sets all of them. Without FULL=1 the longest is shorter.
SECONDS = {"redis": 60 if os.environ.get("FULL") == "1" else 30, "valkey": 25, "file": 20}
# A free name that someone waits for is taken within the fallback interval of a waiter, where all that were next have
# died, and half a second; as much again for a busy machine. What was granted to one who died is free again after the
# claim window, which is shorter. Of a lease that had just begun with its grant, the log says up to a second too little.
LIMIT_SECONDS = 3 + 0.5 + 0.5 + 1
# While nobody is killed or stopped, no grant may be lost, each of which would cost a claim window of 2 s.
CALM_LIMIT_SECONDS = 1.0
LEFT_SECONDS = 10


@pytest.mark.alone
@pytest.mark.timeout(600)
def test_churn(url: str, request: pytest.FixtureRequest, churn_commands: dict[str, list[str]], tmp_path: Path) -> None:
    seconds = float(os.environ.get("CHURN_SECONDS", SECONDS[request.node.callspec.id]))
    app_id = f"churn-{uuid.uuid4().hex[:12]}"
    with outside(url, app_id) as store, Crew(churn_commands, url, app_id, NAMES, seconds, tmp_path) as crew:
        crew.disturb(store.everything_ends)
        nothing_is_held_or_waits(crew)
        only_the_dead_are_left(store, crew)
        each_name_is_free(url, app_id)
        store.only_the_counter_is_left()
        for program in crew.programs.values():
            program.end()
    events = churn_log.read(crew.log)
    limits = churn_log.Limits(LIMIT_SECONDS, CALM_LIMIT_SECONDS, crew.calm_from)
    verdict = churn_log.judge(events, limits)
    print(summary(verdict, crew))
    assert verdict.wrong == []
    # Who is stopped in the middle of a transaction keeps a file from all others.
    excused = [(began, ended + churn_log.NS) for began, ended in crew.stopped if url.startswith("file:")]
    failed = [event for event in events if event.kind == "failed"]
    assert [event for event in failed if not any(a <= event.time <= b for a, b in excused)] == []
    # What is judged has happened, and often.
    assert verdict.counts["acquired"] > 20 * seconds
    assert min(verdict.counts[kind] for kind in ("cancelled", "timeout", "lost", "extends", "left", "refused")) > 0
    # In a file, what is granted is claimed.
    assert verdict.counts["begun"] > seconds or url.startswith("file:")
    assert crew.killed
    assert crew.stopped


def nothing_is_held_or_waits(crew: Crew) -> None:
    """In the programs that live: what they gave up is given back in the background."""
    deadline = time.monotonic() + LEFT_SECONDS
    while counters := {p.tag: c for p in crew.programs.values() if any((c := p.counters()).values())}:
        assert time.monotonic() < deadline, counters
        time.sleep(0.02)


def only_the_dead_are_left(store: Outside, crew: Crew) -> None:
    """Each lock ends by its TTL at the latest, and whoever is in a queue was killed there."""
    deadline = time.monotonic() + CLAIM_WINDOW / 1000 + LEFT_SECONDS
    while held := store.held():
        assert time.monotonic() < deadline, held
        time.sleep(0.02)
    for name in NAMES:
        for owner in store.waiters(name):
            assert owner.split("/")[0] in crew.killed, f"{owner} is in the queue of {name}, and lives"


def each_name_is_free(url: str, app_id: str) -> None:
    """Who comes now gets it, and its release clears what the dead have left."""
    with leaselock.Client(url, app_id=app_id) as client:
        for name in NAMES:
            lease = client.try_acquire(name)
            assert lease is not None, name
            assert lease.release()


def summary(verdict: churn_log.Verdict, crew: Crew) -> str:
    counts = verdict.counts
    kinds = ("acquired", "begun", "cancelled", "timeout", "lost", "left", "accepted", "refused")
    return ", ".join(
        [
            *(f"{counts[kind]} {kind}" for kind in kinds),
            f"{len(crew.killed)} killed",
            f"{len(crew.stopped)} stopped",
            f"free and wanted for {verdict.longest_wait:.2f} s at most, {verdict.longest_calm_wait:.3f} s when calm",
            f"the machine stood still for {verdict.stalls.longest():.2f} s at most",
        ]
    )
