"""Locks that whoever is inside already enters again: over threads, tasks, greenlets and functions."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from leaselock import AsyncClient, AsyncLease, Client, InvalidArgumentError, Lease, LeaseLostError, LockTimeoutError


def test_the_outermost_block_gives_it_back(client: Client, name: str) -> None:
    with client.lock(name, reentrant=True) as outer:
        # A lock object of its own, as another function has it.
        with client.lock(name, reentrant=True) as inner:
            assert inner is outer
            with client.lock(name, reentrant=True, ttl=30):
                pass
        assert outer.held
        assert client.try_acquire(name) is None
    assert outer.state == "released"
    stats = client.stats()
    assert (stats.acquired, stats.released, stats.held) == (1, 1, 0)


def test_a_method_calls_another_under_the_same_lock(client: Client, name: str) -> None:
    class Account:
        balance = 0

        @client.lock(name, reentrant=True, wait=1)
        def add(self, amount: int) -> int:
            self.balance += amount
            return self.balance

        @client.lock(name, reentrant=True, wait=1)
        def add_twice(self, amount: int) -> int:
            self.add(amount)
            return self.add(amount)

    assert Account().add_twice(4) == 8
    assert client.stats().acquired == 1
    assert client.inspect(name) is None


def test_an_error_leaves_every_block(client: Client, name: str) -> None:
    lock = client.lock(name, reentrant=True)
    with pytest.raises(ZeroDivisionError), lock, lock, lock:
        raise ZeroDivisionError
    assert client.inspect(name) is None
    with lock as lease, contextlib.suppress(KeyError), lock:
        raise KeyError
    assert lease.state == "released"


def test_another_thread_is_not_inside(client: Client, name: str) -> None:
    def enter() -> str:
        try:
            with client.lock(name, reentrant=True, wait=0):
                return "inside"
        except LockTimeoutError:
            return "outside"

    with ThreadPoolExecutor(1) as threads:
        with client.lock(name, reentrant=True, wait=0):
            assert enter() == "inside"
            assert threads.submit(enter).result() == "outside"
        assert threads.submit(enter).result() == "inside"


def test_threads_exclude_each_other(client: Client, name: str) -> None:
    lock, inside, most = client.lock(name, reentrant=True), 0, 0
    both = threading.Barrier(4)

    def work() -> None:
        nonlocal inside, most
        both.wait(5)
        for _ in range(10):
            with lock, lock:
                inside += 1
                most = max(most, inside)
                inside -= 1

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(work) for _ in range(4)]:
            done.result(30)
    assert most == 1
    assert client.stats().acquired == 40


def test_another_client_and_another_name_are_not_inside(client: Client, other: Client, name: str) -> None:
    with client.lock(name, reentrant=True) as lease:
        with pytest.raises(LockTimeoutError), other.lock(name, reentrant=True, wait=0):
            pass
        with client.lock(f"{name}-2", reentrant=True) as second:
            assert second is not lease
        # Only who asks for it enters again.
        with pytest.raises(LockTimeoutError), client.lock(name, wait=0):
            pass


@pytest.mark.parametrize(
    "options", [{"ttl": 31}, {"wait": 5}, {"renew": False}, {"max_hold": 60}, {"label": "x"}, {"shared": True}]
)
def test_other_options_are_refused(client: Client, name: str, options: dict[str, float]) -> None:
    with client.lock(name, reentrant=True) as lease:
        with pytest.raises(InvalidArgumentError, match="other options"), client.lock(name, reentrant=True, **options):  # type: ignore[call-overload]
            pass
        assert lease.held
    assert client.inspect(name) is None


def test_a_lost_lease_is_not_entered_again(client: Client, name: str) -> None:
    lock = client.lock(name, reentrant=True, ttl=0.5)
    with pytest.raises(LeaseLostError), lock as lease:
        client.force_release(name)
        assert lease.wait_lost(5)
        with pytest.raises(LeaseLostError), lock:
            pass
    with lock as lease:
        assert lease.held


def test_a_failed_entry_leaves_nobody_inside(client: Client, name: str) -> None:
    lock = client.lock(name, reentrant=True, wait=0)
    with client.acquire(name), pytest.raises(LockTimeoutError), lock:
        pass
    with lock as lease:
        assert lease.held
    with pytest.raises(RuntimeError, match="more often"):
        lock.__exit__(None, None, None)


def test_wrong_types(client: Client, name: str) -> None:
    with pytest.raises(TypeError, match="reentrant must be a bool, not int"):
        client.lock(name, reentrant=1)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="unexpected keyword argument 'reentrant'"):
        client.acquire(name, reentrant=True)  # type: ignore[call-arg]


async def test_tasks(server_url: str, name: str) -> None:
    async with AsyncClient(server_url) as client:
        lock = client.lock(name, reentrant=True, wait=0)

        async def enter() -> AsyncLease | None:
            try:
                async with lock as lease:
                    return lease
            except LockTimeoutError:
                return None

        async with lock as outer:
            assert await enter() is outer
            # A child is a task of its own.
            assert await asyncio.create_task(enter()) is None
            async with client.lock(name, reentrant=True, wait=0) as inner:
                assert inner is outer
            assert outer.held
        assert outer.state == "released"
        assert await asyncio.create_task(enter()) is not None
        with pytest.raises(TypeError, match="must be a bool"):
            client.lock(name, reentrant=1)  # type: ignore[call-overload]


async def test_a_coroutine_function_calls_another(server_url: str, name: str) -> None:
    async with AsyncClient(server_url) as client:

        @client.lock(name, reentrant=True)
        async def count(down: int) -> int:
            return 0 if down == 0 else 1 + await count(down - 1)

        assert await asyncio.gather(*(count(5) for _ in range(4))) == [5] * 4
        assert client.stats().acquired == 4
        assert await client.inspect(name) is None


async def test_a_loss_cancels_the_outermost_block(server_url: str, name: str) -> None:
    async with AsyncClient(server_url) as client:
        lock = client.lock(name, reentrant=True, ttl=0.5)
        with pytest.raises(LeaseLostError):
            async with lock, lock:
                await client.force_release(name)
                await asyncio.sleep(5)
        async with lock as lease:
            with pytest.raises(InvalidArgumentError):
                async with client.lock(name, reentrant=True, ttl=0.5, cancel_on_lost=False):
                    pass
            assert lease.held


async def test_tasks_in_blocks_of_a_blocking_client(client: Client, name: str) -> None:
    held: list[Lease] = []

    async def enter() -> bool:
        try:
            with client.lock(name, reentrant=True, wait=0) as lease:
                held.append(lease)
                await asyncio.sleep(0.1)
                return True
        except LockTimeoutError:
            return False

    assert sorted(await asyncio.gather(enter(), enter())) == [False, True]
    assert [lease.state for lease in held] == ["released"]


def test_another_greenlet_is_not_inside(client: Client, name: str) -> None:
    greenlet = pytest.importorskip("greenlet")

    def enter() -> bool:
        try:
            with client.lock(name, reentrant=True, wait=0):
                return True
        except LockTimeoutError:
            return False

    with client.lock(name, reentrant=True, wait=0):
        assert enter()
        assert greenlet.greenlet(enter).switch() is False
    assert greenlet.greenlet(enter).switch() is True
