"""Every scenario of tests/scenarios, through `Client` and through `AsyncClient`, against every server.

Most of a scenario is waiting, so those that do not disturb others run side by side, and each test tells how its own
came out.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from scenario_driver import SCENARIOS, AsyncFace, Run, SyncFace

AT_ONCE = int(os.environ.get("LEASELOCK_SCENARIOS_AT_ONCE", "12"))
MOST_SECONDS = 60.0

Outcomes = dict[str, BaseException | None]


@pytest.fixture(scope="module", params=["Client", "AsyncClient"])
def face(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, server_url: str, face: str) -> Outcomes:
    """What came of each scenario that was asked for."""
    wanted = {
        str(item.callspec.params["scenario"]["id"])  # type: ignore[index]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == "test_scenario"
    }
    scenarios = [s for s in SCENARIOS if s["id"] in wanted]
    return asyncio.run(run_all(scenarios, server_url, face))


async def run_all(scenarios: list[dict[str, Any]], url: str, face: str) -> Outcomes:
    """Runs those that may run together together, and then the others."""
    made = SyncFace() if face == "Client" else AsyncFace()
    outcomes: Outcomes = {}
    room = asyncio.Semaphore(AT_ONCE)

    async def run(scenario: dict[str, Any]) -> None:
        async with room:
            try:
                await asyncio.wait_for(Run(url, made).scenario(scenario), MOST_SECONDS)
            except Exception as error:
                outcomes[scenario["id"]] = error
            else:
                outcomes[scenario["id"]] = None

    await asyncio.gather(*(run(s) for s in scenarios if not s.get("exclusive")))
    for scenario in scenarios:
        if scenario.get("exclusive"):
            await run(scenario)
    made.shut()
    return outcomes


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s["id"])
def test_scenario(outcomes: Outcomes, scenario: dict[str, Any]) -> None:
    error = outcomes[scenario["id"]]
    if error is not None:
        raise error


def test_there_are_enough() -> None:
    assert len(SCENARIOS) >= 40
    assert len({s["id"] for s in SCENARIOS}) == len(SCENARIOS)
