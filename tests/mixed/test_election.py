"""Five processes, one for each face, lead one name, while who leads is killed, stopped, cut off, or its work raises.

Never do two lead at one time. The next one leads within the TTL and half a second. Who has lost the name is stopped.
ELECTION_SECONDS sets how long, ELECTION_SEED what happens; both are printed.
"""

from __future__ import annotations

import os
import random
import sys
import time
import uuid
from typing import TYPE_CHECKING

import churn_log
import pytest
from conftest import NO_SERVER, SERVERS, WORKERS, outside
from election_crew import NAME, Candidates
from election_log import KINDS, Verdict, judge
from programs import rust_programs
from servers import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = float(os.environ.get("ELECTION_SECONDS", "22"))
TTL = 2.0


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A Redis of this test alone."""
    if not SERVERS:
        if os.environ.get("CI") == "true":
            pytest.fail(NO_SERVER)
        pytest.skip(NO_SERVER)
    with Server(SERVERS[0]["binary"], name=SERVERS[0]["name"]) as server:
        yield server


@pytest.fixture
def candidates() -> dict[str, tuple[list[str], bool]]:
    """How each face's candidate is started, and whether it is to block."""
    rust = [rust_programs()["election_worker"]]
    return {
        "rust": (rust, False),
        "rust-blocking": (rust, True),
        "python": ([sys.executable, str(WORKERS / "election_blocking.py")], True),
        "asyncio": ([sys.executable, str(WORKERS / "election_asyncio.py")], False),
        "node": (["node", str(WORKERS / "election.mjs")], False),
    }


@pytest.mark.alone
@pytest.mark.timeout(900)
def test_election(own_server: Server, candidates: dict[str, tuple[list[str], bool]], tmp_path: Path) -> None:
    seed = int(os.environ.get("ELECTION_SEED", random.randrange(1_000_000)))
    print(f"ELECTION_SECONDS={SECONDS:g} ELECTION_SEED={seed}")
    app_id = f"election-{uuid.uuid4().hex[:12]}"
    with (
        outside(own_server.url, app_id) as store,
        Candidates(candidates, own_server.port, app_id, TTL, tmp_path, seed) as crew,
    ):
        crew.disturb(store, SECONDS)
        # Told to end, each stops its work and gives back what it has.
        for program in crew.programs.values():
            program.end()
        assert (store.held(), store.waiters(NAME)) == (set(), [])
    verdict = judge(churn_log.read(crew.log), TTL)
    print(summary(verdict))
    assert verdict.wrong == []
    # What is judged has happened, to more than one face.
    assert set(verdict.faults) == set(KINDS)
    assert len(verdict.leaders) >= min(len(candidates), sum(verdict.faults.values()) // 2)


@pytest.mark.timeout(120)
def test_the_judge_of_the_election_sees_a_server_that_forgets(
    own_server: Server, candidates: dict[str, tuple[list[str], bool]], tmp_path: Path
) -> None:
    """A leader that is none any more, and says so before its deadline; and whoever comes next while that runs."""
    chosen = {face: candidates[face] for face in ("rust", "asyncio", "node")}
    with (
        outside(own_server.url, "judged") as store,
        Candidates(chosen, own_server.port, "judged", TTL, tmp_path, 1) as crew,
    ):
        for _ in range(2):
            crew.wait_for_all(store)
            own_server.command("FLUSHALL")
            time.sleep(0.2)
    wrong = judge(churn_log.read(crew.log), TTL).wrong
    assert any("before its deadline" in each or "by both" in each for each in wrong), wrong


def summary(verdict: Verdict) -> str:
    return ", ".join(
        [
            *(
                f"{verdict.faults[kind]} {kind} (without a leader for {verdict.longest.get(kind, 0):.3f} s at most)"
                for kind in KINDS
            ),
            f"stopped {verdict.longest_stop:.3f} s after running again at most",
            f"{verdict.overlaps} overlaps",
            f"{verdict.refused} late writes refused by the token",
            f"leaders: {dict(verdict.leaders)}",
            f"the machine stood still for {verdict.stood_still:.2f} s at most",
        ]
    )
