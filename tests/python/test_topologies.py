"""Sentinel and Cluster: the starters of tests/topologies.py, and the scenarios through `Client` and `AsyncClient`."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import pytest
from conftest import SERVERS
from plain import Plain
from resp import RedisError
from scenario_driver import SCENARIOS
from scenario_runs import Outcomes, judge, on_topology, run_all
from topologies import cluster, sentinel

TOPOLOGIES: list[dict[str, Any]] = json.loads(os.environ.get("LEASELOCK_TEST_TOPOLOGIES", "[]"))
# Where a face runs all scenarios; elsewhere those that are for everywhere.
WHOLE = {"cluster-redis": "Client", "sentinel-valkey": "AsyncClient"}
# A client of a cluster connects to more than one server, which shows in the times that scenarios measure.
AT_ONCE = 6
Play = tuple[dict[str, Any], str]
PLAYS: list[Play] = [(topology, face) for topology in TOPOLOGIES for face in ("Client", "AsyncClient")]
each_server = pytest.mark.parametrize("server_name", [server["name"] for server in SERVERS])


@each_server
def test_sentinels_move_the_master(server_name: str) -> None:
    with sentinel(server_name) as it:
        first = it.master()
        assert it.url.startswith("redis+sentinel://127.0.0.1:")
        second = it.failover()
        assert second.port != first.port
        second.command("SET", "key", "x")
        third = it.kill()
        assert third.port != second.port
        assert third.port in (node.port for node in it.nodes)


@each_server
def test_a_cluster_moves_its_primaries(server_name: str) -> None:
    with cluster(server_name) as it:
        first = it.owner("key")
        second = it.failover("key")
        assert it.owner("key").port == second.port != first.port
        with pytest.raises(RedisError, match="MOVED"):
            first.command("GET", "key")
        assert it.kill("key").port == first.port


@pytest.mark.alone
@pytest.mark.parametrize("topology", TOPOLOGIES, ids=lambda topology: topology["name"])
def test_plain_commands_find_their_keys(topology: dict[str, Any]) -> None:
    plain = Plain(topology)
    names = [f"key-{i}" for i in range(20)]
    for name in names:
        assert plain.command("SET", name, name) == "OK"
    assert [plain.command("GET", name) for name in names] == names
    assert plain.command("EXISTS", *names) == 20
    assert plain.command("FLUSHALL") == "OK"
    assert plain.command("EXISTS", *names) == 0
    with pytest.raises(RedisError, match="ERR"):
        plain.command("INCRBY", "key", "x")
    plain.close()


@pytest.mark.alone
@pytest.mark.parametrize("topology", TOPOLOGIES, ids=lambda topology: topology["name"])
def test_the_counters_of_an_app_id_are_one_to_plain_commands(topology: dict[str, Any]) -> None:
    plain = Plain(topology)
    if topology["kind"] == "cluster":
        plain.command("SET", "{lock||1}||app||||fence", 9)
        plain.command("SET", "{lock||2}||app||||fence", 10)
        plain.command("SET", "{lock||2}||another||||fence", 11)
        count = 2
    else:
        plain.command("SET", "lock||app||||fence", 10)
        count = 1
    assert plain.command("GET", "lock||app||||fence") == "10"
    assert plain.command("PTTL", "lock||app||||fence") == -1
    assert plain.command("DEL", "lock||app||||fence") == count
    assert plain.command("GET", "lock||app||||fence") is None
    plain.close()


def played(play: Play) -> list[dict[str, Any]]:
    topology, face = play
    whole = WHOLE.get(topology["name"]) == face
    return [s for s in SCENARIOS if (whole or s.get("everywhere")) and "redis" in s.get("stores", ["redis"])]


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Outcomes:
    """What came of each scenario that was asked for."""
    items: list[Any] = request.session.items
    cases = [item.callspec.params for item in items if getattr(item, "originalname", "") == "test_scenario"]
    wanted = [case["scenario"] for case in cases if case["outcomes"] is request.param]
    topology, face = request.param
    return asyncio.run(run_all(wanted, on_topology(topology), face, AT_ONCE))


@pytest.mark.alone
@pytest.mark.parametrize(
    ("outcomes", "scenario"),
    [
        pytest.param(play, scenario, id=f"{play[1]}-{play[0]['name']}-{scenario['id']}")
        for play in PLAYS
        for scenario in played(play)
    ],
    indirect=["outcomes"],
    scope="module",
)
def test_scenario(outcomes: Outcomes, scenario: dict[str, Any]) -> None:
    judge(outcomes, scenario)
