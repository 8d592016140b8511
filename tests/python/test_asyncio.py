"""asyncio: cancelling, many operations at once, loops that come and go, and what is left behind."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
import time
import warnings
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvloop

from leaselock import AsyncClient, Client, LeaselockError, LockTimeoutError, _bridge

if TYPE_CHECKING:
    from proxy import Proxy
    from resp import Connection


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def until_free(client: AsyncClient, name: str, seconds: float = 3.0) -> None:
    """Waits for something that happens in the background."""
    deadline = time.monotonic() + seconds
    while await client.inspect(name) is not None:
        assert time.monotonic() < deadline, f"{name} is still held"
        await asyncio.sleep(0.01)


async def test_a_cancelled_acquire_is_undone(aclient: AsyncClient, other: Client, name: str) -> None:
    """FIELD-BUGS 20: neither a lock nor a place in the queue is left."""
    with other.lock(name):
        waiting = asyncio.create_task(aclient.acquire(name))
        while (info := other.inspect(name)) is None or info.waiters == 0:
            await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        while (info := other.inspect(name)) is None or info.waiters > 0:
            await asyncio.sleep(0.01)
    assert await aclient.inspect(name) is None
    assert aclient.stats().cancelled == 1


@pytest.mark.parametrize("turns", range(8))
async def test_an_acquire_cancelled_at_any_moment_leaves_nothing(aclient: AsyncClient, name: str, turns: int) -> None:
    """FIELD-BUGS 20: also where the lease has arrived just now."""
    for microseconds in (0, 50, 100, 200, 400, 800, 1600):
        task = asyncio.create_task(aclient.acquire(name))
        for _ in range(turns):
            await asyncio.sleep(0)
        time.sleep(microseconds / 1e6)
        task.cancel()
        try:
            lease = await task
        except asyncio.CancelledError:
            pass
        else:
            await lease.release()
        await until_free(aclient, name)
    assert aclient.stats().held == 0


async def test_a_lease_that_arrives_in_a_cancelled_task_is_given_back(aclient: AsyncClient, name: str) -> None:
    """FIELD-BUGS 20: the answer is there, the task is cancelled before it runs again."""
    task = asyncio.create_task(aclient.acquire(name))
    while aclient.stats().acquired == 0:
        await asyncio.sleep(0)
        time.sleep(0.005)  # the core's thread works, the loop does not
        if aclient.stats().acquired:
            break
    _bridge.current().on_ready()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_free(aclient, name)


async def test_a_cancelled_release_goes_on(aclient: AsyncClient, name: str) -> None:
    """FIELD-BUGS 21."""
    lease = await aclient.acquire(name)
    task = asyncio.create_task(lease.release())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_free(aclient, name)
    assert await lease.release() is True


async def test_a_release_in_a_cancelled_task(aclient: AsyncClient, name: str) -> None:
    """FIELD-BUGS 21: a `finally` of a cancelled task can still release."""
    held = asyncio.Event()

    async def work() -> None:
        lease = await aclient.acquire(name)
        try:
            held.set()
            await asyncio.sleep(20)
        finally:
            assert await lease.release() is True

    task = asyncio.create_task(work())
    await held.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await aclient.inspect(name) is None


async def test_wait_for_takes_a_time_out_of_its_own(aclient: AsyncClient, name: str) -> None:
    async with aclient.lock(name):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(aclient.acquire(name), 0.1)
        with pytest.raises(LockTimeoutError):
            await aclient.acquire(name, wait=0.1)


async def test_hundreds_at_once(aclient: AsyncClient, name: str) -> None:
    inside = 0

    async def work(i: int) -> int:
        nonlocal inside
        async with aclient.lock(f"{name}-{i % 50}") as lease:
            inside += 1
            await asyncio.sleep(0)
            return lease.token

    tokens = await asyncio.gather(*(work(i) for i in range(400)))
    assert inside == 400
    assert len(set(tokens)) == 400


async def test_first_come_first_served(aclient: AsyncClient, name: str) -> None:
    order: list[int] = []

    async def work(i: int) -> None:
        async with aclient.lock(name):
            order.append(i)

    lease = await aclient.acquire(name)
    tasks = []
    for i in range(10):
        tasks.append(asyncio.create_task(work(i)))
        while (info := await aclient.inspect(name)) is None or info.waiters <= i:
            await asyncio.sleep(0.005)
    await lease.release()
    await asyncio.gather(*tasks)
    assert order == list(range(10))


async def test_a_coroutine_that_is_never_awaited_takes_nothing(aclient: AsyncClient, name: str) -> None:
    with pytest.warns(RuntimeWarning, match="never awaited"):
        _ = aclient.acquire(name)
        del _
        gc.collect()
    assert await aclient.inspect(name) is None


async def test_a_collected_lease_is_given_back_with_a_warning(aclient: AsyncClient, name: str) -> None:
    lease = await aclient.acquire(name)
    lease.on_lost(functools.partial(print, lease))  # a cycle
    reference = weakref.ref(lease)
    with pytest.warns(ResourceWarning, match=name):
        del lease
        gc.collect()
    assert reference() is None
    await until_free(aclient, name)


def test_a_client_is_not_bound_to_one_loop(server_url: str, name: str) -> None:
    client = AsyncClient(server_url)
    lock = client.lock(name)

    async def take() -> int:
        async with lock as lease:
            return lease.token

    tokens = [asyncio.run(take()) for _ in range(3)]
    assert tokens == sorted(set(tokens))

    async def acquire() -> object:
        return await client.acquire(name, ttl=30)

    async def leave(lease: object) -> None:
        assert await lease.release() is True  # type: ignore[attr-defined]
        await client.aclose()

    asyncio.run(leave(asyncio.run(acquire())))


def test_one_client_on_loops_of_several_threads(server_url: str, name: str) -> None:
    client = AsyncClient(server_url)
    inside = 0
    most = 0

    async def work() -> None:
        nonlocal inside, most
        for _ in range(10):
            async with client.lock(name):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.001)
                inside -= 1

    threads = [threading.Thread(target=lambda: asyncio.run(work())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    asyncio.run(client.aclose())


def test_on_uvloop(server_url: str, name: str) -> None:
    async def main() -> None:
        async with AsyncClient(server_url) as client:
            async with client.lock(name, ttl=0.6) as lease:
                await asyncio.sleep(0.8)
                lease.check()
            waiting = asyncio.create_task(client.acquire(name))
            (await waiting).detach()
            waiting = asyncio.create_task(client.acquire(name))
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await client.force_release(name)

    def run() -> None:
        loop = uvloop.new_event_loop()
        loop.run_until_complete(main())
        loop.close()

    run()  # the first one opens what uvloop keeps
    time.sleep(0.2)
    before = descriptors()
    for _ in range(3):
        run()
    until_there_are(before)


def until_there_are(most: int) -> None:
    """Waits until no more descriptors are open: connections end in the background."""
    deadline = time.monotonic() + 3
    while descriptors() > most:
        assert time.monotonic() < deadline, f"{descriptors()} descriptors are open, {most} before"
        time.sleep(0.02)


@pytest.mark.parametrize("close", [True, False])
def test_loops_leave_no_descriptors(server_url: str, name: str, close: bool) -> None:
    async def main() -> None:
        client = AsyncClient(server_url)
        async with client.lock(name):
            pass
        if close:
            await client.aclose()

    asyncio.run(main())
    gc.collect()
    before = descriptors()
    for _ in range(20):
        asyncio.run(main())
    gc.collect()
    until_there_are(before)


def test_closing_the_last_client_closes_the_bridge(server_url: str, name: str) -> None:
    loop = asyncio.new_event_loop()

    async def main() -> None:
        first, second = AsyncClient(server_url), AsyncClient(server_url)
        await first.inspect(name)
        await second.inspect(name)
        await first.aclose()
        assert _bridge.current().fileno() >= 0
        await second.aclose()
        await asyncio.sleep(0.01)
        assert id(loop) not in _bridge._bridges

    loop.run_until_complete(main())
    loop.close()


def test_collecting_the_last_client_closes_the_bridge(server_url: str, name: str) -> None:
    loop = asyncio.new_event_loop()

    async def main() -> None:
        client = AsyncClient(server_url)
        lease = await client.acquire(name)
        del client
        gc.collect()
        await lease.release()
        await asyncio.sleep(0.01)
        assert id(loop) not in _bridge._bridges

    loop.run_until_complete(main())
    loop.close()


def test_a_closed_loop_that_is_still_referenced_gives_its_bridge_back(server_url: str, name: str) -> None:
    async def main(client: AsyncClient) -> None:
        await client.inspect(name)

    client = AsyncClient(server_url)
    loops = [asyncio.new_event_loop() for _ in range(5)]
    for loop in loops:
        loop.run_until_complete(main(client))
        loop.close()
    assert sum(id(loop) in _bridge._bridges for loop in loops) == 1
    asyncio.run(client.aclose())


def test_without_a_loop() -> None:
    client = AsyncClient("redis://127.0.0.1:1")
    coroutine = client.acquire("a")
    with pytest.raises(RuntimeError, match="no running event loop"):
        coroutine.send(None)


def test_a_loop_that_ends_with_operations_under_way(server_url: str, other: Client, name: str) -> None:
    """Nothing is printed, and the acquire is undone."""
    client = AsyncClient(server_url, app_id=other.app_id)
    with other.lock(name):

        async def main() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: pytest.fail(str(context)))
            task = asyncio.create_task(client.acquire(name))
            while (info := other.inspect(name)) is None or info.waiters == 0:
                await asyncio.sleep(0.01)
            assert not task.done()

        asyncio.run(main())
        deadline = time.monotonic() + 2
        while (info := other.inspect(name)) is None or info.waiters > 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    asyncio.run(client.aclose())


async def test_a_blocked_loop_keeps_its_leases(aclient: AsyncClient, name: str) -> None:
    """FIELD-BUGS 7: renewal does not need the loop."""
    async with aclient.lock(name, ttl=0.5) as lease:
        time.sleep(1.5)
        lease.check()
    assert aclient.stats().renewals >= 3


async def test_an_operation_without_answer_is_cancelled_at_once(proxy: Proxy, name: str) -> None:
    client = AsyncClient(proxy.url, command_timeout=2)
    await client.inspect(name)
    proxy.black_hole()
    task = asyncio.create_task(client.acquire(name))
    await asyncio.sleep(0.1)
    started = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - started < 0.1
    proxy.heal()
    await until_free(client, name)
    await client.aclose()


async def test_errors_have_a_traceback_into_the_caller(aclient: AsyncClient) -> None:
    with pytest.raises(LeaselockError) as raised:
        await aclient.acquire("")
    assert Path(raised.traceback[0].path).name == "test_asyncio.py"


async def test_keys_are_those_of_the_protocol(aclient: AsyncClient, redis: Connection, name: str) -> None:
    async with aclient.lock(name) as lease:
        assert redis.command("GET", f"lock||{aclient.app_id}||{name}") == lease.owner
    assert redis.command("EXISTS", f"lock||{aclient.app_id}||{name}") == 0


async def test_no_warning_from_a_busy_life(aclient: AsyncClient, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(20):
            async with aclient.lock(name):
                task = asyncio.create_task(aclient.acquire(name))
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        gc.collect()
