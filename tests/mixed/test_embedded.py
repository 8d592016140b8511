"""One file as the store of four processes in three languages: 10,000 turns without a loss, whoever is killed."""

from __future__ import annotations

import itertools
import random
import time
from typing import TYPE_CHECKING, Any

import pytest
from conftest import APP_ID, LANGUAGES, Worker, outside

import leaselock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from pathlib import Path

NAME = "counter"
TIMES = 10_000
TTL_MILLIS = 1_000
SECONDS = 100


class Counter:
    """A number in a plain file, which workers add to under the lock; and the tokens they noted when they had."""

    def __init__(self, folder: Path) -> None:
        self.url = f"file:{folder}/locks.db"
        self.file = folder / "number"
        self.file.write_text("0")
        self._tokens = folder / "number.tokens"

    def read(self) -> int:
        return int(self.file.read_text())

    def tokens(self) -> list[int]:
        return [int(line) for line in self._tokens.read_text().split()]


class Crew:
    """One worker of each language, adding to the counter until it is `TIMES`."""

    def __init__(self, commands: dict[str, list[str]], counter: Counter) -> None:
        self._commands = commands
        self._counter = counter
        self.workers = {language: self._start(language) for language in LANGUAGES}
        self.turns = {language: self._count(worker) for language, worker in self.workers.items()}

    def _start(self, language: str) -> Worker:
        return Worker(language, self._commands[language], self._counter.url, APP_ID)

    def _count(self, worker: Worker) -> Future[Any]:
        return worker.start("count", name=NAME, file=str(self._counter.file), ttl=TTL_MILLIS, up_to=TIMES)

    def kill(self, language: str) -> None:
        """Kills one, as kill -9 does, and starts another in its place."""
        self.workers[language].kill()
        self.workers[language] = self._start(language)
        self.turns[language] = self._count(self.workers[language])

    def results(self) -> dict[str, int]:
        return {language: turn.result(SECONDS) for language, turn in self.turns.items()}

    def end(self) -> None:
        for worker in self.workers.values():
            worker.kill()


@pytest.fixture
def counter(tmp_path: Path) -> Counter:
    return Counter(tmp_path)


@pytest.fixture
def crew(commands: dict[str, list[str]], counter: Counter) -> Iterator[Crew]:
    crew = Crew(commands, counter)
    yield crew
    crew.end()


def test_nothing_is_lost_of_ten_thousand_turns(counter: Counter, crew: Crew) -> None:
    added = crew.results()
    assert counter.read() == TIMES
    assert len(counter.tokens()) == TIMES
    assert sum(added.values()) == TIMES
    assert all(a < b for a, b in itertools.pairwise(counter.tokens()))
    # First come, first served: none waits while another one goes twice, but for the time it takes to come again.
    assert min(added.values()) > TIMES / 20, added


def test_nothing_is_lost_where_holders_are_killed(counter: Counter, crew: Crew) -> None:
    kills = 0
    dice = random.Random()
    while counter.read() < TIMES * 0.95:
        time.sleep(dice.uniform(0.05, 0.6))
        crew.kill(dice.choice(LANGUAGES))
        kills += 1
    crew.results()
    assert counter.read() == TIMES
    # Who was killed between the two had added one, and could not say so.
    assert TIMES - kills <= len(counter.tokens()) <= TIMES
    assert all(a < b for a, b in itertools.pairwise(counter.tokens()))
    assert kills > 5
    print(f"{kills} kills, {TIMES - len(counter.tokens())} of them between adding and saying so")

    # All at once, whatever they are at; then the store opens, and the name is free when the last lease has ended.
    crew.end()
    with leaselock.Client(counter.url, app_id=APP_ID) as client:
        lease = client.acquire(NAME, wait=TTL_MILLIS / 1000 + 2.5)
        assert lease.token > counter.tokens()[-1]
        lease.release()
    with outside(counter.url, APP_ID) as store:
        store.only_the_counter_is_left()
