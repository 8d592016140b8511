"""Leading in Python: what the types and the tasks of the language make special. The rest is in the scenarios."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from leaselock import AsyncClient, Client, ClientClosedError, LeaseLostError, StoreRefusedError

if TYPE_CHECKING:
    from conftest import Program
    from proxy import Proxy
    from servers import Server

    from leaselock import AsyncLease, Lease


class OwnError(Exception):
    """What a work raises."""


def lose(other: Client, name: str, seconds: float = 0.2) -> None:
    """Breaks the lock, a moment later."""
    threading.Timer(seconds, other.force_release, [name]).start()


# -- sync --


def test_what_work_returns_after_a_loss_is_thrown_away(client: Client, other: Client, name: str) -> None:
    tokens = []

    def work(lease: Lease) -> int:
        tokens.append(lease.token)
        if len(tokens) == 1:
            lose(other, name)
            assert lease.wait_lost(5)
        return len(tokens)

    assert client.lead(name, work, ttl=0.6) == 2
    assert tokens == sorted(set(tokens))
    assert client.inspect(name) is None


def test_an_error_of_the_work_after_a_loss_is_the_callers(client: Client, other: Client, name: str) -> None:
    def work(lease: Lease) -> None:
        lose(other, name)
        assert lease.wait_lost(5)
        raise OwnError

    with pytest.raises(OwnError):
        client.lead(name, work, ttl=0.6)


def test_the_loss_of_another_lease_is_the_callers(client: Client, other: Client, name: str) -> None:
    def work(_lease: Lease) -> None:
        with client.lock(f"{name}-too", ttl=0.6) as inner:
            lose(other, f"{name}-too")
            assert inner.wait_lost(5)

    with pytest.raises(LeaseLostError, match="-too"):
        client.lead(name, work)
    assert client.inspect(name) is None


def test_a_loss_that_only_the_release_notices_is_one(client: Client, other: Client, name: str) -> None:
    terms = 0

    def work(_lease: Lease) -> int:
        nonlocal terms
        terms += 1
        if terms == 1:
            # Nobody is told: the next renewal is ten minutes away.
            other.force_release(name)
        return terms

    assert client.lead(name, work, ttl=1800) == 2


def test_work_that_gives_its_lease_back_has_led(client: Client, name: str) -> None:
    assert client.lead(name, lambda lease: lease.release()) is True


@pytest.mark.parametrize(
    ("work", "message"),
    [(7, "must be a function of the lease, not int"), (asyncio.sleep, "sleep is a coroutine function")],
)
def test_what_cannot_be_work_is_refused(client: Client, name: str, work: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        client.lead(name, work)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unexpected keyword argument 'renew'"):
        client.lead(name, print, renew=False)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'permits'"):
        client.lead(name, print, permits=2)  # type: ignore[call-arg]
    assert client.stats().acquired == 0


def test_ctrl_c_ends_it_and_gives_the_name_back(program: Program, client: Client) -> None:
    running = program.start(
        """
        def work(lease):
            print("leads", flush=True)
            while True:
                lease.wait_lost(60)
        try:
            Client(URL, app_id=APP).lead(NAME, work)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
            time.sleep(60)
        """
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "leads\n"
    assert client.inspect(program.name) is not None
    running.send_signal(signal.SIGINT)
    assert running.stdout.readline() == "interrupted\n"
    assert client.inspect(program.name) is None
    running.kill()
    running.communicate()


def test_a_store_that_cannot_be_reached_is_tried_again_and_told_once(
    proxy: Proxy, app_id: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.refuse = True
    threading.Timer(1.5, proxy.heal).start()
    with (
        caplog.at_level(logging.WARNING, "leaselock"),
        Client(proxy.url, app_id=app_id, command_timeout=0.3) as client,
    ):
        assert client.lead(name, lambda lease: lease.held) is True
        # The log's thread has its say.
        time.sleep(0.1)
    told = [record for record in caplog.records if getattr(record, "event", "") == "lead_failed"]
    assert len(told) == 1
    assert vars(told[0])["lock"] == name
    assert vars(told[0])["client"] == client.id
    assert "cannot be reached" in vars(told[0])["error"]


def test_a_store_that_refuses_ends_it(own_server: Server, app_id: str, name: str) -> None:
    own_server.command("CONFIG", "SET", "requirepass", "secret")
    with Client(own_server.url, app_id=app_id) as client, pytest.raises(StoreRefusedError):
        client.lead(name, print)


# -- asyncio --


async def test_a_loss_cancels_the_work_and_awaits_it(aclient: AsyncClient, other: Client, name: str) -> None:
    said: list[str] = []

    async def work(lease: AsyncLease) -> int:
        said.append(f"begins {lease.held}")
        try:
            if len(said) == 1:
                lose(other, name)
                await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.3)
            said.append(f"cleaned up {lease.held}")
            raise
        return len(said)

    assert await aclient.lead(name, work, ttl=0.6) == 3
    assert said == ["begins True", "cleaned up False", "begins True"]


async def test_work_that_swallows_the_cancellation_leads_again(aclient: AsyncClient, other: Client, name: str) -> None:
    terms = 0

    async def work(_lease: AsyncLease) -> int:
        nonlocal terms
        terms += 1
        if terms == 1:
            lose(other, name)
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                return -1
        return terms

    assert await aclient.lead(name, work, ttl=0.6) == 2


async def test_an_error_of_the_work_as_it_is_cancelled_is_the_callers(
    aclient: AsyncClient, other: Client, name: str
) -> None:
    async def work(_lease: AsyncLease) -> None:
        lose(other, name)
        try:
            await asyncio.sleep(60)
        finally:
            raise OwnError

    with pytest.raises(OwnError):
        await aclient.lead(name, work, ttl=0.6)


async def test_cancelling_the_leader_cancels_the_work_and_then_gives_the_name_back(
    aclient: AsyncClient, client: Client, name: str
) -> None:
    at_work = asyncio.Event()
    held = []

    async def work(lease: AsyncLease) -> None:
        at_work.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.2)
            held.append(lease.held)

    leader = asyncio.create_task(aclient.lead(name, work))
    await at_work.wait()
    leader.cancel("enough")
    with pytest.raises(asyncio.CancelledError):
        await leader
    assert leader.cancelled()
    assert held == [True]
    assert client.inspect(name) is None


async def test_a_leader_that_waits_can_be_cancelled(aclient: AsyncClient, client: Client, name: str) -> None:
    async def work(_lease: AsyncLease) -> None:
        raise OwnError

    with client.lock(name):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(aclient.lead(name, work), 0.3)
        deadline = time.monotonic() + 5
        while (info := client.inspect(name)) and info.waiters:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)


async def test_a_cancellation_during_the_loss_is_the_callers(aclient: AsyncClient, other: Client, name: str) -> None:
    stopping = asyncio.Event()

    async def work(lease: AsyncLease) -> None:
        lose(other, name)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            assert not lease.held
            stopping.set()
            await asyncio.sleep(60)

    leader = asyncio.create_task(aclient.lead(name, work, ttl=0.6))
    await stopping.wait()
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    assert other.inspect(name) is None


async def test_work_that_cancels_itself_is_not_stopped_by_a_loss(
    aclient: AsyncClient, client: Client, name: str
) -> None:
    async def work(_lease: AsyncLease) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(60)

    with pytest.raises(asyncio.CancelledError):
        await aclient.lead(name, work)
    assert client.inspect(name) is None


async def test_a_time_limit_around_the_leader_and_inside_the_work(aclient: AsyncClient, name: str) -> None:
    async def work(_lease: AsyncLease) -> str:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.sleep(60), 0.05)
        return "led"

    assert await asyncio.wait_for(aclient.lead(name, work), 5) == "led"


async def test_closing_the_client_stops_the_work(aclient: AsyncClient, client: Client, name: str) -> None:
    at_work = asyncio.Event()
    stopped = False

    async def work(_lease: AsyncLease) -> None:
        nonlocal stopped
        at_work.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped = True
            raise

    leader = asyncio.create_task(aclient.lead(name, work))
    await at_work.wait()
    await aclient.aclose()
    with pytest.raises(ClientClosedError):
        await asyncio.wait_for(leader, 5)
    assert stopped
    assert client.inspect(name) is None


async def test_what_cannot_be_awaited_is_refused(aclient: AsyncClient, name: str) -> None:
    with pytest.raises(TypeError, match="must be a function of the lease, not NoneType"):
        await aclient.lead(name, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="await"):
        await aclient.lead(name, lambda _: 7)  # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError, match="unexpected keyword argument 'shared'"):
        await aclient.lead(name, asyncio.sleep, shared=True)  # type: ignore[call-arg, arg-type]
    assert await aclient.inspect(name) is None
