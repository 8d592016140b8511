"""Many who want random groups of the same names, alone, shared or with permits: none wait for each other, and none are
inside together who exclude each other.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from conftest import PARAMS, running

from leaselock import AsyncClient, Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLIENTS = 8
ROUNDS = 40
NAMES = ["a", "b", "c", "d", "e"]
PERMITS = 2
ALONE, SHARED, PERMITTED = "alone", "shared", "permitted"
OPTIONS: dict[str, dict[str, Any]] = {ALONE: {}, SHARED: {"shared": True}, PERMITTED: {"permits": PERMITS}}
# A circle would last for ever.
SECONDS = 30


@pytest.fixture(params=[*PARAMS, "file"], ids=lambda s: s if isinstance(s, str) else s["name"] if s else "none")
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"file:{tmp_path}/locks.db" if request.param == "file" else str(running(request.param)["url"])


class Inside:
    """Who is inside each name, as those see it who are."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._kinds: dict[str, Counter[str]] = {name: Counter() for name in NAMES}
        self.most = 0

    @contextmanager
    def enter(self, names: list[str], kind: str) -> Iterator[None]:
        with self._mutex:
            for name in names:
                inside = self._kinds[name]
                inside[kind] += 1
                assert inside[ALONE] == 0 or inside.total() == 1, f"{name}: {inside}"
                assert inside[PERMITTED] <= PERMITS, f"{name}: {inside}"
                self.most = max(self.most, inside.total())
        yield
        with self._mutex:
            for name in names:
                self._kinds[name][kind] -= 1


def wishes(seed: int) -> Iterator[tuple[list[str], str, float]]:
    """What one of them wants, one after the other: names in any order, how, and for how many seconds."""
    chance = random.Random(seed)
    for _ in range(ROUNDS):
        yield chance.sample(NAMES, chance.randint(1, 4)), chance.choice([*OPTIONS]), chance.uniform(0, 0.003)


def test_threads_that_want_random_groups_never_wait_in_a_circle(url: str, app_id: str) -> None:
    inside, pausing = Inside(), threading.Event()

    def work(seed: int) -> int:
        with Client(url, app_id=app_id) as client:
            for names, kind, seconds in wishes(seed):
                with client.lock_all(names, wait=SECONDS, **OPTIONS[kind]), inside.enter(names, kind):
                    pausing.wait(seconds)
            return client.stats().lost

    with ThreadPoolExecutor(CLIENTS) as threads:
        assert list(threads.map(work, range(CLIENTS))) == [0] * CLIENTS
    assert inside.most > 1, "some were inside together"
    with Client(url, app_id=app_id) as client:
        assert list(client.locks()) == []


async def test_tasks_that_want_random_groups_never_wait_in_a_circle(url: str, app_id: str) -> None:
    inside = Inside()

    async def work(seed: int) -> int:
        async with AsyncClient(url, app_id=app_id) as client:
            for names, kind, seconds in wishes(seed):
                async with client.lock_all(names, wait=SECONDS, **OPTIONS[kind]):
                    with inside.enter(names, kind):
                        await asyncio.sleep(seconds)
            return client.stats().lost

    assert await asyncio.gather(*map(work, range(CLIENTS))) == [0] * CLIENTS
    assert inside.most > 1, "some were inside together"
    async with AsyncClient(url, app_id=app_id) as client:
        assert [info async for info in client.locks()] == []
