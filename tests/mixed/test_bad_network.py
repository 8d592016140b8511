"""A bad network under 20 clients in four kinds: whatever it does to connections, no lease that a new one keeps is lost.

BAD_NETWORK_SECONDS sets how long, BAD_NETWORK_SEED what happens; both are printed.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
import uuid
from typing import TYPE_CHECKING

import churn_log
import pytest
from bad_network import LONG_TTLS, SHORT_TTLS, Weather, judge, turns
from churn_crew import Crew
from conftest import NO_SERVER, SERVERS
from proxy import Proxy
from resp import Connection
from servers import Server

import leaselock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = float(os.environ.get("BAD_NETWORK_SECONDS", "30"))
# Of each crew: twelve and eight clients are twenty, two tasks each.
CREWS = {"short": (SHORT_TTLS, 3), "long": (LONG_TTLS, 2)}
TASKS_PER_CLIENT = 2
# For each task so many names: there is somebody to wait for, but not for long.
NAMES_PER_TASK = 0.6
# For the last turns: those who hold, and two who wait for each.
END_SECONDS = 90
TICK_SECONDS = 0.02


@pytest.fixture(params=SERVERS or [{"name": "none"}], ids=lambda server: str(server["name"]))
def own_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of this test alone."""
    if "binary" not in request.param:
        if os.environ.get("CI") == "true":
            pytest.fail(NO_SERVER)
        pytest.skip(NO_SERVER)
    with Server(request.param["binary"], name=request.param["name"]) as server:
        yield server


@pytest.mark.alone
@pytest.mark.timeout(600)
def test_field_bug_38_no_lease_is_lost_on_a_bad_network(
    own_server: Server, churn_commands: dict[str, list[str]], tmp_path: Path
) -> None:
    seed = int(os.environ.get("BAD_NETWORK_SEED", random.randrange(1_000_000)))
    print(f"BAD_NETWORK_SECONDS={SECONDS:g} BAD_NETWORK_SEED={seed}")
    with contextlib.ExitStack() as stack:
        crews, weathers = [], []
        for number, (which, (ttls, clients)) in enumerate(CREWS.items()):
            proxy = stack.enter_context(Proxy(own_server.port))
            folder = tmp_path / which
            folder.mkdir()
            tasks = TASKS_PER_CLIENT * clients
            crew = Crew(
                churn_commands,
                proxy.url,
                f"bad-network-{which}-{uuid.uuid4().hex[:8]}",
                [f"name-{name}" for name in range(int(tasks * len(churn_commands) * NAMES_PER_TASK))],
                SECONDS,
                folder,
                draw=turns(ttls, int(SECONDS * 1000 / 3)),
                tasks=tasks,
                clients=clients,
                seed=seed + number,
            )
            crews.append(stack.enter_context(crew))
            weathers.append(Weather(proxy, random.Random(seed + number), breaks_new=which == "long"))
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            for weather in weathers:
                weather.step()
            time.sleep(TICK_SECONDS)
        for weather in weathers:
            weather.clear_up()
        for crew in crews:
            for program in crew.programs.values():
                program.done(END_SECONDS)
                assert program.counters() == {"held": 0, "waiting": 0}
    for crew, weather in zip(crews, weathers, strict=True):
        verdict = judge(churn_log.read(crew.log))
        print(dict(verdict.counts), dict(weather.done), f"free and wanted for {verdict.longest_calm_wait:.2f} s")
        assert verdict.wrong == []
        # What is judged has happened.
        assert verdict.counts["released"] > SECONDS / 3
        assert verdict.counts["released in the background"] < verdict.counts["released"] / 20
        assert weather.done["everything forgotten"] >= int(SECONDS / 10)
        assert sum(weather.done.values()) > SECONDS
        assert not weather.breaks_new or sum(weather.done[how] for how in weather.done if "half-open" in how) > 0


@pytest.mark.timeout(120)
def test_the_judge_sees_two_holders_and_lost_leases(
    own_server: Server, churn_commands: dict[str, list[str]], tmp_path: Path
) -> None:
    """A server that forgets its locks, in the midst of a run without any other fault."""
    commands = {language: churn_commands[language] for language in ("rust", "python")}
    draw = turns(SHORT_TTLS, 3_000)
    names = ["name-0", "name-1"]
    with Crew(commands, own_server.url, "judged", names, 6, tmp_path, draw=draw, tasks=4, clients=2) as crew:
        with Connection(port=own_server.port) as connection:
            for _ in range(3):
                time.sleep(1)
                # Who holds does not know, and who comes now gets it: their tokens still grow, by the clock.
                connection.command("FLUSHALL")
                with contextlib.ExitStack() as stack, leaselock.Client(own_server.url, app_id="judged") as other:
                    for name in names:
                        if lease := other.try_acquire(name, ttl=1):
                            stack.enter_context(lease)
        for program in crew.programs.values():
            program.done()
    wrong = judge(churn_log.read(crew.log)).wrong
    assert any("by both" in each for each in wrong), wrong
    assert any("lost its lease" in each or "found it gone" in each for each in wrong), wrong
