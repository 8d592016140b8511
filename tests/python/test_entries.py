"""Whose lease a lock object gives back when a block is left: each entry its own, whoever else has entered meanwhile.

Two entries of one lock object are live at once only where the first one's lease was lost; that is when it shows.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import greenlet
import pytest

from leaselock import AsyncClient, Client, Lease, LeaseLostError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator

    from leaselock import AsyncLock, Lock


def lost(lease: Lease, other: Client) -> None:
    """The lease is over, and its name free for the next entry."""
    other.force_release(lease.name)
    lease.wait_lost(0.01)


def body(lock: Lock, held: list[Lease]) -> Generator[None, None, None]:
    """A block that is left when it is resumed."""
    with lock as lease:
        held.append(lease)
        yield


def suspend() -> None:
    """Goes on with the greenlet that switched to this one."""
    parent = greenlet.getcurrent().parent
    assert parent is not None
    parent.switch()


def in_greenlets(lock: Lock, held: list[Lease]) -> list[Callable[[], object]]:
    """Two greenlets of this thread, each in a block; they leave it when they are called."""

    def block() -> None:
        with lock as lease:
            held.append(lease)
            suspend()

    return [greenlet.greenlet(block).switch for _ in range(2)]


def in_generators(lock: Lock, held: list[Lease]) -> list[Callable[[], object]]:
    return [partial(next, body(lock, held), None) for _ in range(2)]


def in_context_managers(lock: Lock, held: list[Lease]) -> list[Callable[[], object]]:
    """As fixtures and dependencies are written."""

    @contextmanager
    def locked() -> Iterator[None]:
        with lock as lease:
            held.append(lease)
            yield

    def switch(manager: Any, entered: list[int]) -> None:
        if entered:
            manager.__exit__(None, None, None)
        else:
            entered.append(1)
            manager.__enter__()

    return [partial(switch, locked(), []) for _ in range(2)]


def in_generators_that_change_threads(lock: Lock, held: list[Lease]) -> list[Callable[[], object]]:
    """As a web framework runs its dependencies: each step in whichever thread of a pool is free."""

    def in_a_thread(call: Callable[[], object]) -> None:
        raised: list[BaseException] = []

        def run() -> None:
            try:
                call()
            except LeaseLostError as error:
                raised.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if raised:
            raise raised[0]

    return [partial(in_a_thread, call) for call in in_generators(lock, held)]


def in_stacks_of_greenlets(lock: Lock, held: list[Lease]) -> list[Callable[[], object]]:
    """An ExitStack enters and leaves in calls of its own."""

    def block() -> None:
        with ExitStack() as stack:
            held.append(stack.enter_context(lock))
            suspend()

    return [greenlet.greenlet(block).switch for _ in range(2)]


ALL = [
    in_greenlets,
    in_generators,
    in_context_managers,
    in_generators_that_change_threads,
    in_stacks_of_greenlets,
]


@pytest.mark.parametrize("how", ALL)
def test_field_bug_63_each_entry_gives_back_its_own_lease(
    client: Client, other: Client, name: str, how: Callable[[Lock, list[Lease]], list[Callable[[], object]]]
) -> None:
    held: list[Lease] = []
    first, second = how(client.lock(name, wait=5), held)
    first()
    lost(held[0], other)
    second()
    assert held[1].held
    with pytest.raises(LeaseLostError):
        first()
    assert held[1].held, "the second block's lease is its own"
    assert other.inspect(name) is not None
    second()
    assert other.inspect(name) is None


def test_field_bug_63_tasks_in_blocks_of_a_blocking_client(client: Client, other: Client, name: str) -> None:
    lock = client.lock(name, wait=5)
    held: list[Lease] = []

    async def block(leave: asyncio.Event) -> None:
        # In a stack: the frame that leaves is not the one that entered.
        with ExitStack() as stack:
            held.append(stack.enter_context(lock))
            await leave.wait()

    async def main() -> None:
        leave = [asyncio.Event(), asyncio.Event()]
        first = asyncio.create_task(block(leave[0]))
        await asyncio.sleep(0.01)
        lost(held[0], other)
        second = asyncio.create_task(block(leave[1]))
        await asyncio.sleep(0.01)
        leave[0].set()
        with pytest.raises(LeaseLostError):
            await first
        assert held[1].held
        leave[1].set()
        await second

    asyncio.run(main())
    assert other.inspect(name) is None


def test_nested_entries_of_one_frame_are_left_in_turn(client: Client, other: Client, name: str) -> None:
    lock = client.lock(name, wait=5)
    with pytest.raises(LeaseLostError), lock as outer:
        lost(outer, other)
        with lock as inner:
            assert inner.held
        assert inner.state == "released"
        assert outer.state != "released"
    with ExitStack() as stack:
        first = stack.enter_context(lock)
        lost(first, other)
        second = stack.enter_context(lock)
        with pytest.raises(LeaseLostError):
            stack.close()
        assert second.state == "released"


async def test_field_bug_63_async_generators_of_one_task(aclient: AsyncClient, other: Client, name: str) -> None:
    lock = aclient.lock(name, wait=5, cancel_on_lost=False)
    held: list[Any] = []

    @asynccontextmanager
    async def locked() -> AsyncIterator[None]:
        async with lock as lease:
            held.append(lease)
            yield

    await each_its_own(locked(), locked(), held, other, name)


async def test_field_bug_63_async_generators_that_change_tasks(aclient: AsyncClient, other: Client, name: str) -> None:
    """As the fixtures of a test framework."""
    lock = aclient.lock(name, wait=5, cancel_on_lost=False)
    held: list[Any] = []

    @asynccontextmanager
    async def locked() -> AsyncIterator[None]:
        async with lock as lease:
            held.append(lease)
            yield

    class InTasks:
        def __init__(self) -> None:
            self.manager = locked()

        async def __aenter__(self) -> None:
            await asyncio.create_task(self.manager.__aenter__())

        async def __aexit__(self, *error: object) -> None:
            await asyncio.create_task(self.manager.__aexit__(None, None, None))

    await each_its_own(InTasks(), InTasks(), held, other, name)


async def each_its_own(first: Any, second: Any, held: list[Any], other: Client, name: str) -> None:
    await first.__aenter__()
    other.force_release(name)
    await second.__aenter__()
    assert held[1].held
    with pytest.raises(LeaseLostError):
        await first.__aexit__(None, None, None)
        # Its loss may not have been noticed before it was given back.
        raise LeaseLostError
    assert held[1].state == "held"
    assert other.inspect(name) is not None
    await second.__aexit__(None, None, None)
    assert other.inspect(name) is None


async def test_an_async_stack_leaves_what_it_entered(aclient: AsyncClient, other: Client, name: str) -> None:
    lock: AsyncLock = aclient.lock(name, wait=5)
    async with AsyncExitStack() as stack:
        lease = await stack.enter_async_context(lock)
        assert lease.held
    assert lease.state == "released"
    assert other.inspect(name) is None
    with pytest.raises(RuntimeError, match="more often"):
        await lock.__aexit__(None, None, None)
