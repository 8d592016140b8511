"""Runs scenarios on one store: those that do not disturb others side by side, since most of a scenario is waiting."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from plain import Plain
from resp import Connection
from scenario_driver import AsyncFace, Run, SyncFace

if TYPE_CHECKING:
    from collections.abc import Callable

AT_ONCE = int(os.environ.get("LEASELOCK_SCENARIOS_AT_ONCE", "12"))
MOST_SECONDS = 60.0

Outcomes = dict[str, BaseException | None]


@dataclass(frozen=True)
class Store:
    """Where scenarios run, of which kind that is, and what makes a plain connection to it."""

    kind: str
    url: str
    connect: Callable[[], Plain | Connection] | None = None


def on_server(url: str) -> Store:
    """A server that was started."""
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 6379
    return Store("redis", url, lambda: Connection(host, port, password=parts.password))


def on_topology(topology: dict[str, Any]) -> Store:
    """A Sentinel or a cluster that was started."""
    return Store("redis", topology["url"], lambda: Plain(topology))


def is_for(scenario: dict[str, Any], kind: str) -> bool:
    return kind in scenario.get("stores", [kind])


async def run_all(scenarios: list[dict[str, Any]], store: Store, face: str, at_once: int = AT_ONCE) -> Outcomes:
    """Runs those that may run together together, and then the others."""
    made = SyncFace() if face == "Client" else AsyncFace()
    outcomes: Outcomes = {}
    room = asyncio.Semaphore(at_once)

    async def play(scenario: dict[str, Any]) -> None:
        async with room:
            try:
                await asyncio.wait_for(Run(store.url, made, store.connect).scenario(scenario), MOST_SECONDS)
            except Exception as error:
                outcomes[scenario["id"]] = error
            else:
                outcomes[scenario["id"]] = None

    await asyncio.gather(*(play(s) for s in scenarios if not s.get("exclusive")))
    for scenario in scenarios:
        if scenario.get("exclusive"):
            await play(scenario)
    made.shut()
    return outcomes


def judge(outcomes: Outcomes, scenario: dict[str, Any]) -> None:
    error = outcomes[scenario["id"]]
    if error is not None:
        raise error
