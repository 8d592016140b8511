"""`held` is never true past the deadline: programs that are stopped for longer than their TTL look at it all the while.

The keeper goes on as soon as they do, and renews; nothing that is answered then may revive a lease whose deadline
has come.
"""

from __future__ import annotations

import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from conftest import LANGUAGES, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

NS = 1_000_000_000
TTL_MILLIS = 400
# In each round every program is stopped once, and looks for so long after it.
ROUNDS = 5
AFTER_SECONDS = 0.25
# On each of three stores. They look every half a millisecond to a millisecond or two, so mostly three times as often.
LOOKS = 3_400


@dataclass
class Pause:
    """A program did not run from `begun` to `ended`; in `looks` are times, and what `held` was after each."""

    begun: int
    ended: int
    looks: list[tuple[int, bool]]

    @property
    def was_held(self) -> bool:
        """Whether the lease was held when the program was stopped."""
        return [held for at, held in self.looks if at < self.begun][-1:] == [True]

    @property
    def late(self) -> list[bool]:
        """What `held` was past the deadline: all renewals were sent before the pause, which outlasted the TTL."""
        assert self.ended - self.begun > TTL_MILLIS * NS // 1000
        return [held for at, held in self.looks if at >= self.ended]


def stop(worker: Worker) -> int:
    """Stops it; the time at which none of its threads ran any more."""
    worker.signal(signal.SIGSTOP)
    threads = list(Path(f"/proc/{worker.pid}/task").iterdir())
    while not all((thread / "stat").read_text().rpartition(")")[2].split()[0] in "TX" for thread in threads):
        time.sleep(0.001)
    return time.monotonic_ns()


def pause(worker: Worker, name: str, seed: int) -> list[Pause]:
    """Has a program hold and look, and stops it, in each round."""
    dice, pauses = random.Random(seed), []
    for _ in range(ROUNDS):
        worker.ask("acquire", name=name, ttl=TTL_MILLIS, **{"as": "l"})
        before, longer = dice.uniform(0.02, 0.3), dice.uniform(0.001, 0.15)
        whole = before + TTL_MILLIS / 1000 + longer + AFTER_SECONDS
        looks = worker.start("looks", lease="l", until=time.monotonic_ns() + int(whole * NS))
        time.sleep(before)
        begun = stop(worker)
        time.sleep(TTL_MILLIS / 1000 + longer)
        ended = time.monotonic_ns()
        worker.signal(signal.SIGCONT)
        seen = [(int(at), bool(held)) for at, held in looks.result(30)]
        pauses.append(Pause(begun, ended, seen))
        worker.ask("release", lease="l")
    return pauses


def test_held_is_never_true_past_the_deadline(worker: Callable[[str], Worker], name: str) -> None:
    workers = [worker(language) for language in LANGUAGES * 2]
    with ThreadPoolExecutor(len(workers)) as pool:
        names = [f"{name}-{number}" for number in range(len(workers))]
        per_worker = list(pool.map(pause, workers, names, range(len(workers))))
    for one, pauses in zip(workers, per_worker, strict=True):
        late = [held for each in pauses for held in each.late]
        print(f"{one.language}: {len(late)} looks past the deadline, {sum(late)} of them said that it was held")
    every = [each for pauses in per_worker for each in pauses]
    late = [held for each in every for held in each.late]
    assert not any(late)
    assert len(late) >= LOOKS
    # They did hold it until then, but for what a busy machine costs.
    assert sum(each.was_held for each in every) >= len(every) // 2
