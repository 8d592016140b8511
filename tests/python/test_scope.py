"""`async with` and loss: who is cancelled, how often, and which exception comes out."""

from __future__ import annotations

import asyncio
import sys
import time
import warnings
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

import anyio
import pytest

from leaselock import AsyncClient, LeaselockWarning, LeaseLostError, _bridge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from proxy import Proxy
    from resp import Connection

    from leaselock import AsyncLease

TTL = 0.6
LONG = 20.0

COUNTS_CANCELLATIONS = sys.version_info >= (3, 11)


def nobody_cancels(task: asyncio.Task[object] | None = None) -> bool:
    """Whether no cancellation is left over on a task."""
    if sys.version_info >= (3, 11):
        task = task or asyncio.current_task()
        assert task is not None
        return task.cancelling() == 0
    return True


class Thief:
    """Takes locks away, by force, without asking the loop."""

    def __init__(self, redis: Connection, client: AsyncClient) -> None:
        self._redis = redis
        self._app_id = client.app_id

    def steal(self, name: str) -> None:
        self._redis.command("SET", f"lock||{self._app_id}||{name}", "thief", "PX", 2000)


@pytest.fixture
def thief(redis: Connection, aclient: AsyncClient) -> Thief:
    return Thief(redis, aclient)


async def test_a_loss_cancels_the_body_and_comes_out_as_lease_lost(
    aclient: AsyncClient, thief: Thief, name: str
) -> None:
    started = time.monotonic()
    with pytest.raises(LeaseLostError) as raised:
        async with aclient.lock(name, ttl=TTL):
            thief.steal(name)
            await asyncio.sleep(LONG)
    assert time.monotonic() - started < TTL
    assert raised.value.reason == "taken"
    assert isinstance(raised.value.__cause__, asyncio.CancelledError)
    assert nobody_cancels()
    await asyncio.sleep(0.01)


async def test_a_lease_acquired_by_hand_is_a_scope_too(aclient: AsyncClient, thief: Thief, name: str) -> None:
    with pytest.raises(LeaseLostError):
        async with await aclient.acquire(name, ttl=TTL) as lease:
            thief.steal(name)
            await asyncio.sleep(LONG)
    assert lease.state == "lost"
    assert nobody_cancels()


async def test_a_deadline_cancels_too(aclient: AsyncClient, name: str) -> None:
    with pytest.raises(LeaseLostError) as raised:
        async with aclient.lock(name, ttl=0.2, renew=False):
            await asyncio.sleep(LONG)
    assert raised.value.reason == "expired"


async def test_max_hold_cancels_too(aclient: AsyncClient, name: str) -> None:
    with pytest.raises(LeaseLostError) as raised:
        async with aclient.lock(name, ttl=0.3, max_hold=0.5):
            await asyncio.sleep(LONG)
    assert raised.value.reason == "max_hold"


async def test_the_task_is_cancelled_once(aclient: AsyncClient, thief: Thief, name: str) -> None:
    met = 0
    with pytest.raises(LeaseLostError):
        async with aclient.lock(name, ttl=TTL):
            thief.steal(name)
            try:
                await asyncio.sleep(LONG)
            except asyncio.CancelledError:
                met += 1
                await asyncio.sleep(0.3)  # cleaning up is not disturbed
                met += 1
                raise
    assert met == 2
    assert nobody_cancels()


async def test_a_body_that_swallows_the_cancellation(aclient: AsyncClient, thief: Thief, name: str) -> None:
    with pytest.raises(LeaseLostError) as raised:
        async with aclient.lock(name, ttl=TTL):
            thief.steal(name)
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(LONG)
    assert raised.value.__cause__ is None
    assert nobody_cancels()
    await asyncio.sleep(0.01)


async def test_a_body_that_ends_without_meeting_the_cancellation(aclient: AsyncClient, thief: Thief, name: str) -> None:
    with pytest.raises(LeaseLostError):
        async with aclient.lock(name, ttl=TTL) as lease:
            thief.steal(name)
            hear_of_the_loss(lease)
    assert nobody_cancels()
    await asyncio.sleep(0.01)


async def test_a_failing_body_that_does_not_meet_the_cancellation(
    aclient: AsyncClient, thief: Thief, name: str
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with aclient.lock(name, ttl=TTL) as lease:
            thief.steal(name)
            hear_of_the_loss(lease)
            raise ZeroDivisionError
    assert nobody_cancels()
    await asyncio.sleep(0.01)


async def test_a_body_that_ends_without_meeting_a_foreign_cancellation(
    aclient: AsyncClient, thief: Thief, name: str
) -> None:
    async def work() -> None:
        async with aclient.lock(name, ttl=TTL) as lease:
            thief.steal(name)
            hear_of_the_loss(lease)
            task = asyncio.current_task()
            assert task is not None
            task.cancel("foreign")

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(work())


def hear_of_the_loss(lease: AsyncLease) -> None:
    """Blocks the loop until the lease is lost, and then does what the loop would do next."""
    while lease.held:
        time.sleep(0.01)
    time.sleep(0.01)
    _bridge.current().on_ready()


async def test_an_error_of_the_body_wins(aclient: AsyncClient, thief: Thief, name: str) -> None:
    with pytest.raises(ZeroDivisionError):
        async with aclient.lock(name, ttl=TTL) as lease:
            thief.steal(name)
            try:
                await asyncio.sleep(LONG)
            except asyncio.CancelledError:
                raise ZeroDivisionError from None
    assert lease.state == "lost"
    assert nobody_cancels()
    await asyncio.sleep(0.01)


async def test_a_foreign_cancellation_alone(aclient: AsyncClient, name: str) -> None:
    entered = asyncio.Event()

    async def work() -> None:
        async with aclient.lock(name):
            entered.set()
            await asyncio.sleep(LONG)

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await aclient.inspect(name) is None


async def test_a_foreign_cancellation_wins_over_the_loss(aclient: AsyncClient, thief: Thief, name: str) -> None:
    lost = asyncio.Event()

    async def work() -> None:
        async with aclient.lock(name, ttl=TTL) as lease:
            thief.steal(name)
            try:
                await asyncio.sleep(LONG)
            finally:
                assert not lease.held
                lost.set()
                await asyncio.sleep(LONG)  # the foreign cancellation arrives here

    task = asyncio.create_task(work())
    await lost.wait()
    task.cancel("foreign")
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("message", [None, "foreign"])
async def test_a_foreign_cancellation_first_and_the_loss_second(
    aclient: AsyncClient, thief: Thief, name: str, message: str | None
) -> None:
    entered = asyncio.Event()

    async def work() -> None:
        async with aclient.lock(name, ttl=TTL):
            thief.steal(name)
            entered.set()
            try:
                await asyncio.sleep(LONG)
            except asyncio.CancelledError:
                with pytest.raises(asyncio.CancelledError):
                    await asyncio.sleep(LONG)  # the loss arrives here
                raise

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel(message)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancel_on_lost_turned_off(aclient: AsyncClient, thief: Thief, name: str) -> None:
    finished = False
    with pytest.raises(LeaseLostError):
        async with aclient.lock(name, ttl=TTL, cancel_on_lost=False) as lease:
            thief.steal(name)
            assert await lease.wait_lost(3)
            await asyncio.sleep(0.05)
            finished = True
    assert finished
    assert nobody_cancels()


async def test_leaving_in_another_task_cancels_nobody(aclient: AsyncClient, thief: Thief, name: str) -> None:
    stack = AsyncExitStack()

    async def enter() -> None:
        await stack.enter_async_context(aclient.lock(name, ttl=TTL))

    await asyncio.create_task(enter())
    thief.steal(name)
    await asyncio.sleep(TTL)
    assert nobody_cancels()
    with pytest.raises(LeaseLostError):
        await stack.aclose()
    assert nobody_cancels()
    await asyncio.sleep(0.01)


async def test_leaving_in_another_task_gives_back(aclient: AsyncClient, name: str) -> None:
    stack = AsyncExitStack()
    lock = aclient.lock(name)
    await asyncio.create_task(stack.enter_async_context(lock))
    await stack.aclose()
    assert await aclient.inspect(name) is None


async def test_after_the_block_nobody_is_cancelled(aclient: AsyncClient, thief: Thief, name: str) -> None:
    lease = await aclient.acquire(name, ttl=TTL)
    async with lease:
        lease.detach()
    thief.steal(name)
    await asyncio.sleep(TTL)
    assert nobody_cancels()


async def test_one_scope_at_a_time(aclient: AsyncClient, name: str) -> None:
    async with await aclient.acquire(name) as lease:
        with pytest.raises(RuntimeError, match="already"):
            async with lease:
                pytest.fail("entered twice")


async def test_a_lease_that_is_over_cannot_be_entered(aclient: AsyncClient, name: str) -> None:
    """FIELD-BUGS 36."""
    lease = await aclient.acquire(name)
    await lease.release()
    with pytest.raises(LeaseLostError):
        async with lease:
            pytest.fail("the body ran")


async def test_two_nested_leases_lost_at_once(aclient: AsyncClient, thief: Thief, name: str) -> None:
    seen: list[str] = []
    with pytest.raises(LeaseLostError) as raised:
        async with aclient.lock(name, ttl=TTL):
            try:
                async with aclient.lock(f"{name}-inner", ttl=TTL):
                    thief.steal(name)
                    thief.steal(f"{name}-inner")
                    await asyncio.sleep(LONG)
            except BaseException as error:
                seen.append(type(error).__name__)
                raise
    assert name in str(raised.value)
    assert seen in (["CancelledError"], ["LeaseLostError"])
    assert nobody_cancels()


async def test_only_the_inner_lease_is_lost(aclient: AsyncClient, thief: Thief, name: str) -> None:
    async with aclient.lock(name, ttl=TTL) as outer:
        with pytest.raises(LeaseLostError):
            async with aclient.lock(f"{name}-inner", ttl=TTL):
                thief.steal(f"{name}-inner")
                await asyncio.sleep(LONG)
        await asyncio.sleep(0.05)
        outer.check()


async def test_only_the_outer_lease_is_lost(aclient: AsyncClient, thief: Thief, name: str) -> None:
    with pytest.raises(LeaseLostError) as raised:
        async with aclient.lock(name, ttl=TTL):
            with pytest.raises(asyncio.CancelledError):
                async with aclient.lock(f"{name}-inner", ttl=30):
                    thief.steal(name)
                    await asyncio.sleep(LONG)
            assert await aclient.inspect(f"{name}-inner") is None, "the inner one was given back"
    assert f'"{name}"' in str(raised.value)
    assert nobody_cancels()


@pytest.mark.skipif(not COUNTS_CANCELLATIONS, reason="asyncio.timeout came with Python 3.11")
async def test_with_asyncio_timeout_around(aclient: AsyncClient, name: str) -> None:
    if sys.version_info >= (3, 11):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), aclient.lock(name):
                await asyncio.sleep(LONG)
        assert await aclient.inspect(name) is None


@pytest.mark.skipif(not COUNTS_CANCELLATIONS, reason="asyncio.timeout came with Python 3.11")
async def test_with_asyncio_timeout_inside(aclient: AsyncClient, thief: Thief, name: str) -> None:
    if sys.version_info >= (3, 11):
        async with aclient.lock(name):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await asyncio.sleep(LONG)
        with pytest.raises(LeaseLostError):
            async with aclient.lock(name, ttl=TTL), asyncio.timeout(LONG):
                thief.steal(name)
                await asyncio.sleep(LONG)


@pytest.mark.skipif(not COUNTS_CANCELLATIONS, reason="asyncio.TaskGroup came with Python 3.11")
async def test_with_a_task_group(aclient: AsyncClient, thief: Thief, name: str) -> None:
    if sys.version_info >= (3, 11):
        ended: list[str] = []

        async def child(label: str) -> None:
            try:
                await asyncio.sleep(LONG)
            finally:
                ended.append(label)

        with pytest.raises(LeaseLostError):
            async with aclient.lock(name, ttl=TTL), asyncio.TaskGroup() as group:
                group.create_task(child("a"))
                group.create_task(child("b"))
                await asyncio.sleep(0)
                thief.steal(name)
        assert sorted(ended) == ["a", "b"]
        assert nobody_cancels()


@pytest.mark.skipif(not COUNTS_CANCELLATIONS, reason="asyncio.TaskGroup came with Python 3.11")
async def test_inside_the_child_of_a_task_group(aclient: AsyncClient, thief: Thief, name: str) -> None:
    if sys.version_info >= (3, 11):
        caught: list[str] = []

        async def child() -> None:
            try:
                async with aclient.lock(name, ttl=TTL):
                    thief.steal(name)
                    await asyncio.sleep(LONG)
            except LeaseLostError as error:
                caught.append(error.reason)

        async with asyncio.TaskGroup() as group:
            group.create_task(child())
        assert caught == ["taken"]


async def test_with_shield(aclient: AsyncClient, thief: Thief, name: str) -> None:
    inner = asyncio.ensure_future(asyncio.sleep(1, "done"))
    with pytest.raises(LeaseLostError):
        async with aclient.lock(name, ttl=TTL):
            thief.steal(name)
            await asyncio.shield(inner)
    assert await inner == "done", "what is shielded goes on"


async def test_while_awaiting_another_task(aclient: AsyncClient, thief: Thief, name: str) -> None:
    with pytest.raises(LeaseLostError):
        async with aclient.lock(name, ttl=TTL):
            thief.steal(name)
            await asyncio.create_task(asyncio.sleep(LONG))


async def test_with_gather_and_wait_for(aclient: AsyncClient, thief: Thief, name: str) -> None:
    with pytest.raises(LeaseLostError):
        async with aclient.lock(name, ttl=TTL):
            thief.steal(name)
            await asyncio.gather(asyncio.sleep(LONG), asyncio.wait_for(asyncio.sleep(LONG), LONG))


async def test_with_an_anyio_task_group(aclient: AsyncClient, thief: Thief, name: str) -> None:
    with pytest.raises(LeaseLostError):
        async with aclient.lock(name, ttl=TTL), anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, LONG)
            thief.steal(name)
            await anyio.sleep(LONG)
    assert nobody_cancels()
    await anyio.sleep(0.01)


async def test_with_an_anyio_cancel_scope_around(aclient: AsyncClient, name: str) -> None:
    with anyio.move_on_after(0.1) as scope:
        async with aclient.lock(name):
            await anyio.sleep(LONG)
    assert scope.cancelled_caught
    # Under anyio a cancelled scope interrupts the release, too: it goes on in the background.
    deadline = time.monotonic() + 2
    while await aclient.inspect(name) is not None:
        assert time.monotonic() < deadline
        await anyio.sleep(0.01)
    assert nobody_cancels()


async def test_with_an_anyio_cancel_scope_inside(aclient: AsyncClient, thief: Thief, name: str) -> None:
    async with aclient.lock(name):
        with anyio.move_on_after(0.05) as scope:
            await anyio.sleep(LONG)
        assert scope.cancelled_caught
    with pytest.raises(LeaseLostError):
        async with aclient.lock(name, ttl=TTL):
            with anyio.move_on_after(LONG):
                thief.steal(name)
                await anyio.sleep(LONG)
    assert nobody_cancels()


async def test_with_an_anyio_shield(aclient: AsyncClient, thief: Thief, name: str) -> None:
    with pytest.raises(LeaseLostError):
        async with aclient.lock(name, ttl=TTL):
            thief.steal(name)
            with anyio.CancelScope(shield=True):
                # A native cancellation goes through anyio's shield, as a foreign task.cancel() would.
                await anyio.sleep(LONG)
    assert nobody_cancels()


async def test_decorated_coroutines_are_cancelled(aclient: AsyncClient, thief: Thief, name: str) -> None:
    @aclient.lock(name, ttl=TTL)
    async def work() -> None:
        thief.steal(name)
        await asyncio.sleep(LONG)

    with pytest.raises(LeaseLostError):
        await work()


async def test_an_async_generator_may_hold_a_lock(aclient: AsyncClient, name: str) -> None:
    async def items() -> AsyncIterator[int]:
        async with aclient.lock(name):
            yield 1
            yield 2

    seen = [item async for item in items()]
    assert seen == [1, 2]
    assert await aclient.inspect(name) is None


async def test_an_unreachable_server_at_the_end_is_a_warning(proxy: Proxy, name: str) -> None:
    """FIELD-BUGS 13."""
    client = AsyncClient(proxy.url, command_timeout=0.3)
    with pytest.warns(LeaselockWarning, match=name) as caught:
        async with client.lock(name, ttl=2):
            proxy.drop_all()
    assert caught[0].filename == __file__, "it points at the block, not into the package"
    proxy.heal()
    await client.aclose()


async def test_the_body_wins_over_a_failing_release(proxy: Proxy, name: str) -> None:
    """FIELD-BUGS 13, also where warnings are errors."""
    client = AsyncClient(proxy.url, command_timeout=0.3)
    with warnings.catch_warnings(), pytest.raises(ZeroDivisionError):
        warnings.simplefilter("error")
        async with client.lock(name, ttl=2):
            proxy.drop_all()
            raise ZeroDivisionError
    proxy.heal()
    await client.aclose()
