"""Locks shared between languages: each excludes each, in order, and hands over to each.

Each language comes first once and second once; with FULL=1 each comes before and after each, itself too.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from conftest import LANGUAGES, Worker, WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stores import Outside

    StartWorker = Callable[[str], Worker]

RING = [*itertools.pairwise(LANGUAGES), (LANGUAGES[-1], LANGUAGES[0])]
PAIRS = list(itertools.product(LANGUAGES, repeat=2)) if os.environ.get("FULL") == "1" else RING
pairs = pytest.mark.parametrize(("first", "second"), PAIRS, ids=[f"{a}-{b}" for a, b in PAIRS])
each = pytest.mark.parametrize("language", LANGUAGES)


def until_waiting(store: Outside, name: str, count: int) -> None:
    """Waits until so many are queued."""
    deadline = time.monotonic() + 10
    while store.waiting(name) != count:
        assert time.monotonic() < deadline, f"{count} waiters never came"
        time.sleep(0.005)


@pairs
def test_one_holds_and_the_other_waits(first: str, second: str, worker: StartWorker, store: Outside, name: str) -> None:
    holder, waiter = worker(first), worker(second)
    held = holder.ask("acquire", name=name, ttl=10_000, **{"as": "l"})
    assert store.holder(name) == held["owner"]

    with pytest.raises(WorkerError) as refused:
        waiter.ask("acquire", name=name, ttl=10_000, wait=100, **{"as": "no"})
    assert refused.value.code == "LOCK_TIMEOUT"
    waiting = waiter.start("acquire", name=name, ttl=10_000, wait=10_000, **{"as": "l"})
    until_waiting(store, name, 1)
    assert not waiting.done()

    start = time.monotonic()
    assert holder.ask("release", lease="l") is True
    taken = waiting.result(10)
    assert time.monotonic() - start < 1
    assert taken["token"] > held["token"]
    assert store.holder(name) == taken["owner"]
    assert waiter.ask("look", lease="l")["state"] == "held"
    assert holder.ask("look", lease="l") == {"state": "released", "held": False, "expires_in": 0}
    assert waiter.ask("release", lease="l") is True
    assert store.holder(name) is None


@pytest.mark.parametrize("order", [LANGUAGES[i:] + LANGUAGES[:i] for i in range(4)], ids="-".join)
def test_first_come_first_served_over_languages(
    order: tuple[str, ...], worker: StartWorker, store: Outside, name: str
) -> None:
    holder = worker("rust")
    last = holder.ask("acquire", name=name, ttl=30_000, **{"as": "l"})["token"]
    # Twice round, so that each language waits behind and before each of its neighbours.
    queue = [worker(language) for language in order * 2]
    waiting = []
    for place, waiter in enumerate(queue):
        waiting.append(waiter.start("acquire", name=name, ttl=30_000, **{"as": "l"}))
        until_waiting(store, name, place + 1)

    for waiter, turn in zip([holder, *queue], [*waiting, None], strict=True):
        assert waiter.ask("release", lease="l") is True
        if turn is not None:
            token = turn.result(5)["token"]
            assert token > last
            last = token
            assert [w.done() for w in waiting] == [w in waiting[: waiting.index(turn) + 1] for w in waiting]


@pairs
def test_a_killed_holder_is_followed_by_the_other(
    first: str, second: str, worker: StartWorker, store: Outside, name: str
) -> None:
    holder, waiter = worker(first), worker(second)
    held = holder.ask("acquire", name=name, ttl=1_000, **{"as": "l"})
    waiting = waiter.start("acquire", name=name, ttl=10_000, **{"as": "l"})
    until_waiting(store, name, 1)
    assert not waiting.done()

    holder.kill()
    start = time.monotonic()
    taken = waiting.result(10)

    assert time.monotonic() - start < 1.5, "TTL + 500 ms"
    assert taken["token"] > held["token"]


@each
def test_a_killed_holder_that_had_waited_is_followed_when_its_lease_ends(
    language: str, worker: StartWorker, store: Outside, name: str
) -> None:
    """Its lease is shorter than the claim window, which is what the next one had been told to watch."""
    first, holder, waiter = worker("rust"), worker(language), worker("rust")
    first.ask("acquire", name=name, ttl=10_000, **{"as": "l"})
    held = holder.start("acquire", name=name, ttl=600, **{"as": "l"})
    until_waiting(store, name, 1)
    waiting = waiter.start("acquire", name=name, ttl=10_000, **{"as": "l"})
    until_waiting(store, name, 2)
    first.ask("release", lease="l")
    held.result(5)

    holder.kill()
    start = time.monotonic()
    waiting.result(10)

    assert time.monotonic() - start < 1.1, "TTL + 500 ms"


@pairs
def test_a_killed_waiter_holds_nobody_up(
    first: str, second: str, worker: StartWorker, store: Outside, name: str
) -> None:
    holder, dead, waiter = worker("rust"), worker(first), worker(second)
    holder.ask("acquire", name=name, ttl=30_000, **{"as": "l"})
    dead.start("acquire", name=name, ttl=30_000, **{"as": "l"})
    until_waiting(store, name, 1)
    waiting = waiter.start("acquire", name=name, ttl=30_000, **{"as": "l"})
    until_waiting(store, name, 2)

    dead.kill()
    time.sleep(0.1)
    start = time.monotonic()
    assert holder.ask("release", lease="l") is True
    waiting.result(10)

    assert time.monotonic() - start < 1


@pairs
def test_release_by_owner_from_the_other(
    first: str, second: str, worker: StartWorker, store: Outside, name: str
) -> None:
    holder, other = worker(first), worker(second)
    owner = holder.ask("acquire", name=name, ttl=900, **{"as": "l"})["owner"]
    waiting = other.start("acquire", name=name, ttl=900, **{"as": "l"})
    until_waiting(store, name, 1)

    assert other.ask("release_owner", name=name, owner="somebody") == "NOT_OWNER"
    assert other.ask("release_owner", name=name, owner=owner) == "RELEASED"
    taken = waiting.result(5)
    assert other.ask("release_owner", name=name, owner=owner) == "NOT_OWNER"

    assert holder.ask("wait_lost", lease="l", timeout=3_000) == "taken"
    with pytest.raises(WorkerError) as lost:
        holder.ask("check", lease="l")
    assert (lost.value.code, lost.value.reason) == ("LEASE_LOST", "taken")
    assert holder.ask("release", lease="l") is False
    assert holder.ask("release_owner", name=name, owner=taken["owner"]) == "RELEASED"
    assert other.ask("wait_lost", lease="l", timeout=3_000) == "released"
    assert holder.ask("release_owner", name=name, owner=taken["owner"]) == "NOT_FOUND"


@each
def test_a_stopped_holder_knows_when_it_goes_on(language: str, worker: StartWorker, store: Outside, name: str) -> None:
    """Stopped for longer than its TTL: the first look after says lost, and its token is the smaller one."""
    holder, waiter = worker(language), worker("rust")
    held = holder.ask("acquire", name=name, ttl=1_000, **{"as": "l"})
    waiting = waiter.start("acquire", name=name, ttl=10_000, **{"as": "l"})
    until_waiting(store, name, 1)

    holder.signal(signal.SIGSTOP)
    try:
        taken = waiting.result(5)
        time.sleep(0.5)
        looked = holder.start("look", lease="l")
    finally:
        holder.signal(signal.SIGCONT)

    look = looked.result(5)
    assert look["held"] is False
    assert look["expires_in"] == 0
    with pytest.raises(WorkerError) as lost:
        holder.ask("check", lease="l")
    assert lost.value.code == "LEASE_LOST"
    assert holder.ask("wait_lost", lease="l", timeout=1_000) in {"expired", "taken"}
    assert taken["token"] > held["token"]
    assert holder.ask("release", lease="l") is False
    assert store.holder(name) == taken["owner"]


@pytest.mark.parametrize("language", ["python", "asyncio", "node"])
def test_field_bug_07_a_blocked_interpreter_keeps_its_lease(
    language: str, worker: StartWorker, store: Outside, name: str
) -> None:
    """The GIL held in a C call, the event loop in a busy loop, for three times the TTL."""
    holder, waiter = worker(language), worker("rust")
    held = holder.ask("acquire", name=name, ttl=1_000, **{"as": "l"})
    waiting = waiter.start("acquire", name=name, ttl=10_000, **{"as": "l"})
    until_waiting(store, name, 1)

    blocked = holder.start("block", ms=3_000)
    time.sleep(2.8)
    assert not blocked.done()
    assert not waiting.done()
    assert store.holder(name) == held["owner"]
    blocked.result(5)

    holder.ask("check", lease="l")
    assert holder.ask("look", lease="l")["held"] is True
    assert holder.ask("release", lease="l") is True
    waiting.result(5)


@each
def test_a_closing_client_hands_over(language: str, worker: StartWorker, store: Outside, name: str) -> None:
    holder, waiter = worker(language), worker("node" if language == "rust" else "rust")
    holder.ask("acquire", name=name, ttl=30_000, **{"as": "l"})
    waiting = waiter.start("acquire", name=name, ttl=30_000, **{"as": "l"})
    until_waiting(store, name, 1)
    holder.ask("close")
    waiting.result(2)
    with pytest.raises(WorkerError) as closed:
        holder.ask("acquire", name=name, ttl=30_000, **{"as": "m"})
    assert closed.value.code == "CLIENT_CLOSED"


def test_all_count_together(worker: StartWorker, name: str, tmp_path: Path) -> None:
    """A read, an add and a write that are not atomic: one missed exclusion and the sum is short."""
    file = tmp_path / "number"
    file.write_text("0")
    workers = [worker(language) for language in LANGUAGES * 2]
    times = 320
    turns = [each.start("count", name=name, file=str(file), ttl=10_000, up_to=times) for each in workers]
    assert sum(turn.result(60) for turn in turns) == times
    assert file.read_text() == str(times)
    tokens = [int(line) for line in (tmp_path / "number.tokens").read_text().split()]
    assert len(tokens) == times
    assert all(a < b for a, b in itertools.pairwise(tokens)), "the resource saw an older token after a newer one"
