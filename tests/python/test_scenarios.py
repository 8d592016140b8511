"""Every scenario of tests/scenarios, through `Client` and `AsyncClient`, on every server and on the stores without one.

Most of a scenario is waiting, so those that do not disturb others run side by side, and each test tells how its own
came out.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from conftest import PARAMS, running
from scenario_driver import SCENARIOS
from scenario_runs import Outcomes, Store, is_for, judge, on_server, run_all


@pytest.fixture(scope="module", params=["Client", "AsyncClient"])
def face(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Store:
    match request.param:
        case "file":
            return Store("file", f"file:{tmp_path_factory.mktemp('store')}/locks.db")
        case "memory":
            return Store("memory", f"memory:{uuid.uuid4().hex}")
        case server:
            return on_server(running(server)["url"])


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, store: Store, face: str) -> Outcomes:
    """What came of each scenario that was asked for."""
    wanted = {
        str(item.callspec.params["scenario"]["id"])  # type: ignore[index]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname.startswith("test_scenario")
    }
    scenarios = [s for s in SCENARIOS if s["id"] in wanted and is_for(s, store.kind)]
    return asyncio.run(run_all(scenarios, store, face))


def scenarios_for(*kinds: str) -> pytest.MarkDecorator:
    """Each test once for every scenario that is for one of these kinds of stores."""
    scenarios = [s for s in SCENARIOS if any(is_for(s, kind) for kind in kinds)]
    return pytest.mark.parametrize("scenario", scenarios, ids=lambda s: s["id"])


@scenarios_for("redis")
@pytest.mark.parametrize("store", PARAMS, ids=lambda s: s["name"] if s else "none", indirect=True, scope="module")
def test_scenario(outcomes: Outcomes, scenario: dict[str, Any]) -> None:
    judge(outcomes, scenario)


@scenarios_for("file", "memory")
@pytest.mark.parametrize("store", ["file", "memory"], indirect=True, scope="module")
def test_scenario_without_a_server(outcomes: Outcomes, store: Store, scenario: dict[str, Any]) -> None:
    if not is_for(scenario, store.kind):
        pytest.skip(f"not for {store.kind}:")
    judge(outcomes, scenario)


def test_there_are_enough() -> None:
    assert len(SCENARIOS) >= 40
    assert len({s["id"] for s in SCENARIOS}) == len(SCENARIOS)
