"""Loss signals: on_lost and wait_lost, and the thread or the loop they come on."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from leaselock import AsyncClient, Client, LeaseLostError

if TYPE_CHECKING:
    from collections.abc import Callable

TTL = 0.6


def test_on_lost_is_called_once_on_its_own_thread(client: Client, other: Client, name: str) -> None:
    """FIELD-BUGS 6: there is a way to learn of it."""
    heard: list[tuple[LeaseLostError, str]] = []
    called = threading.Event()

    def callback(error: LeaseLostError) -> None:
        heard.append((error, threading.current_thread().name))
        called.set()

    lease = client.acquire(name, ttl=TTL)
    lease.on_lost(callback)
    other.force_release(name)
    assert called.wait(3)
    time.sleep(0.1)
    [(error, thread)] = heard
    assert isinstance(error, LeaseLostError)
    assert error.reason == "released"
    assert thread == "leaselock-callbacks"
    assert not lease.held


def test_on_lost_of_a_lost_lease_is_called_at_once(client: Client, name: str) -> None:
    lease = client.acquire(name, ttl=0.1, renew=False)
    assert lease.wait_lost(1)
    called = threading.Event()
    lease.on_lost(lambda _: called.set())
    assert called.wait(1)


def test_on_lost_is_never_called_for_a_release(client: Client, name: str) -> None:
    called = threading.Event()
    lease = client.acquire(name, ttl=0.2)
    lease.on_lost(lambda _: called.set())
    lease.release()
    assert not called.wait(0.4)
    lease.on_lost(lambda _: called.set())
    assert not called.wait(0.1)


def test_on_lost_is_not_called_for_a_collected_lease(client: Client, name: str) -> None:
    called = threading.Event()
    lease = client.acquire(name, ttl=0.2, renew=False)
    lease.on_lost(lambda _: called.set())
    with pytest.warns(ResourceWarning):
        del lease
        gc.collect()
    assert not called.wait(0.4)


def test_a_failing_callback_is_logged_and_others_are_called(
    client: Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    called = threading.Event()

    def fail(_: LeaseLostError) -> None:
        raise ZeroDivisionError

    def leave(_: LeaseLostError) -> None:
        raise SystemExit

    lease = client.acquire(name, ttl=0.1, renew=False)
    lease.on_lost(fail)
    lease.on_lost(leave)
    lease.on_lost(lambda _: called.set())
    assert called.wait(3)
    errors = [r for r in caplog.records if r.name == "leaselock" and r.levelno == logging.ERROR]
    assert [type(r.exc_info[1]) for r in errors if r.exc_info] == [ZeroDivisionError, SystemExit]


@pytest.mark.parametrize("bad", [None, 7, "call me"])
def test_on_lost_takes_a_callable(client: Client, name: str, bad: Any) -> None:
    with client.lock(name) as lease, pytest.raises(TypeError, match="callable"):
        lease.on_lost(bad)


def test_wait_lost(client: Client, other: Client, name: str) -> None:
    lease = client.acquire(name, ttl=TTL)
    started = time.monotonic()
    assert lease.wait_lost(0.1) is False
    assert time.monotonic() - started < 0.5
    assert lease.wait_lost(0) is False
    other.force_release(name)
    assert lease.wait_lost(3) is True
    assert lease.wait_lost() is True


def test_wait_lost_ends_with_a_release(client: Client, name: str) -> None:
    lease = client.acquire(name)
    waited: list[bool] = []
    thread = threading.Thread(target=lambda: waited.append(lease.wait_lost()))
    thread.start()
    time.sleep(0.1)
    lease.release()
    thread.join(3)
    assert waited == [False]
    assert lease.wait_lost() is False


async def test_asyncio_on_lost_is_called_once_on_the_loop(aclient: AsyncClient, other: Client, name: str) -> None:
    heard: list[tuple[str, int, str]] = []
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    variable.set("as at the call")
    lease = await aclient.acquire(name, ttl=TTL)
    lease.on_lost(lambda error: heard.append((error.reason, threading.get_ident(), variable.get())))
    variable.set("changed")
    other.force_release(name)
    assert await lease.wait_lost(3)
    await asyncio.sleep(0.1)
    assert heard == [("released", threading.get_ident(), "as at the call")]


async def test_asyncio_on_lost_of_a_lost_lease_is_called_soon(aclient: AsyncClient, name: str) -> None:
    lease = await aclient.acquire(name, ttl=0.1, renew=False)
    assert await lease.wait_lost(1)
    called = asyncio.Event()
    lease.on_lost(lambda _: called.set())
    assert not called.is_set(), "not in the middle of the call"
    await asyncio.wait_for(called.wait(), 1)


async def test_asyncio_a_failing_callback_is_logged(
    aclient: AsyncClient, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: LeaseLostError) -> None:
        raise ZeroDivisionError

    called = asyncio.Event()
    lease = await aclient.acquire(name, ttl=0.1, renew=False)
    lease.on_lost(fail)
    lease.on_lost(lambda _: called.set())
    await asyncio.wait_for(called.wait(), 2)
    assert any(r.exc_info and r.exc_info[0] is ZeroDivisionError for r in caplog.records if r.name == "leaselock")


async def test_asyncio_on_lost_takes_a_plain_function(aclient: AsyncClient, name: str) -> None:
    async def coroutine(_: LeaseLostError) -> None:
        pass

    bad: list[Any] = [coroutine, None, 7]
    async with aclient.lock(name) as lease:
        for callback in bad:
            with pytest.raises(TypeError):
                lease.on_lost(callback)


async def test_asyncio_on_lost_is_never_called_for_a_release(aclient: AsyncClient, name: str) -> None:
    called: list[object] = []
    lease = await aclient.acquire(name, ttl=0.2)
    lease.on_lost(called.append)
    await lease.release()
    await asyncio.sleep(0.4)
    assert called == []


async def test_asyncio_wait_lost(aclient: AsyncClient, other: Client, name: str) -> None:
    lease = await aclient.acquire(name, ttl=TTL)
    assert await lease.wait_lost(0.05) is False
    waiting = asyncio.create_task(lease.wait_lost())
    other.force_release(name)
    assert await waiting is True
    lease = await aclient.acquire(name)
    waiting = asyncio.create_task(lease.wait_lost())
    await asyncio.sleep(0.05)
    await lease.release()
    assert await asyncio.wait_for(waiting, 2) is False


def test_a_loss_is_signalled_while_another_callback_of_asyncio_blocks(client: Client, name: str) -> None:
    """FIELD-BUGS 7: the deadline is known with the thread busy, and told as soon as it is not."""

    async def main() -> None:
        lease = client.acquire(name, ttl=0.2, renew=False)
        time.sleep(0.3)
        assert not lease.held

    asyncio.run(main())


def test_the_core_logs_to_the_logger(
    client: Client, other: Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    lease = client.acquire(name, ttl=TTL)
    with caplog.at_level(logging.INFO, logger="leaselock"):
        other.force_release(name)
        assert lease.wait_lost(3)
        until(lambda: any(name in r.getMessage() for r in caplog.records))
    [record] = [r for r in caplog.records if name in r.getMessage()]
    assert record.name == "leaselock"
    assert record.levelno == logging.WARNING
    assert record.threadName == "leaselock-callbacks"


def until(true: Callable[[], bool], seconds: float = 3.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
