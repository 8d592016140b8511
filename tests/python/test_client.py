"""Clients: how they are made, what they show, how they end."""

from __future__ import annotations

import copy
import pickle
import warnings
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from servers import free_port

from leaselock import (
    AsyncClient,
    Client,
    ClientClosedError,
    ExtendStatus,
    InvalidArgumentError,
    LeaselockWarning,
    LockInfo,
    LockTimeoutError,
    ReleaseStatus,
    Stats,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from proxy import Proxy

NOWHERE = "redis://127.0.0.1:1"


def test_a_client_does_no_io_until_first_use(proxy: Proxy) -> None:
    with Client(proxy.url):
        pass
    assert proxy.accepted == 0


@pytest.mark.parametrize("make", [Client, AsyncClient])
def test_without_any_url_the_error_shows_both_ways(make: type[Client | AsyncClient]) -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        make()
    assert "redis://" in str(raised.value)
    assert "LEASELOCK_URL" in str(raised.value)


@pytest.mark.parametrize("make", [Client, AsyncClient])
def test_the_environment_stands_in(make: type[Client | AsyncClient], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEASELOCK_URL", NOWHERE)
    monkeypatch.setenv("LEASELOCK_APP_ID", "from-the-environment")
    assert make().app_id == "from-the-environment"
    assert make(app_id="given").app_id == "given"
    assert make(app_id="").app_id == "", "empty is none, whatever the environment says"


def test_the_environment_is_used_for_the_url(server_url: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEASELOCK_URL", server_url)
    with Client() as client:
        assert client.inspect(name) is None


@pytest.mark.parametrize("make", [Client, AsyncClient])
def test_repr_tells_id_and_app_id(make: type[Client | AsyncClient]) -> None:
    client = make(NOWHERE, app_id="shop")
    assert repr(client) == f'<leaselock.{make.__name__} {client.id} app_id="shop">'
    assert make(NOWHERE).id != client.id


@pytest.mark.parametrize("make", [Client, AsyncClient])
def test_clients_cannot_be_pickled_and_are_copied_as_themselves(make: type[Client | AsyncClient]) -> None:
    client = make(NOWHERE)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot pickle"):
            pickle.dumps(client, protocol)
    assert copy.copy(client) is client
    assert copy.deepcopy(client) is client


def test_values_can_be_pickled(client: Client, name: str) -> None:
    with client.lock(name):
        for value in (client.stats(), client.inspect(name), client.release("nothing-here", "nobody")):
            assert pickle.loads(pickle.dumps(value)) == value


def test_inspect_tells_who_holds(client: Client, name: str) -> None:
    assert client.inspect(name) is None
    with client.lock(name, ttl=10, label="me") as lease:
        info = client.inspect(name)
        assert isinstance(info, LockInfo)
        assert (info.name, info.owner, info.waiters) == (name, lease.owner, 0)
        assert info.expires_in is not None
        assert 9 < info.expires_in <= 10
        assert lease.owner.startswith("me:")


def test_release_by_hand_and_by_force(client: Client, other: Client, name: str) -> None:
    assert client.release(name, "nobody") is ReleaseStatus.NOT_FOUND
    assert client.force_release(name) is ReleaseStatus.NOT_FOUND
    lease = client.acquire(name)
    assert other.release(name, "nobody") is ReleaseStatus.NOT_OWNER
    lease.detach()
    assert other.release(name, lease.owner) is ReleaseStatus.RELEASED
    client.acquire(name).detach()
    assert other.force_release(name) is ReleaseStatus.RELEASED


def test_extend_by_hand(client: Client, other: Client, name: str) -> None:
    assert client.extend(name, "nobody", 10) is ExtendStatus.NOT_FOUND
    assert client.inspect(name) is None
    lease = client.acquire(name, ttl=5)
    lease.detach()
    assert other.extend(name, "nobody", 10) is ExtendStatus.NOT_OWNER
    assert other.extend(name, lease.owner, timedelta(minutes=1)) is ExtendStatus.EXTENDED
    info = client.inspect(name)
    assert info is not None
    assert info.expires_in is not None
    assert 55 < info.expires_in <= 60


def test_locks_lists_what_is_held(client: Client) -> None:
    with client.lock("red-1"), client.lock("red-2") as second, client.lock("blue-1"):
        found = client.locks("red-*")
        assert iter(found) is found
        infos = sorted(found, key=lambda info: info.name)
        assert [info.name for info in infos] == ["red-1", "red-2"]
        assert infos[1].owner == second.owner
        assert {info.name for info in client.locks()} == {"red-1", "red-2", "blue-1"}
    assert list(client.locks()) == []


async def test_locks_lists_what_is_held_in_asyncio(aclient: AsyncClient) -> None:
    async with aclient.lock("red-1"), aclient.lock("blue-1"):
        assert {info.name async for info in aclient.locks()} == {"red-1", "blue-1"}
        assert [info.name async for info in aclient.locks("b*")] == ["blue-1"]
    assert [info async for info in aclient.locks()] == []


async def test_locks_lists_more_than_fits_in_one_page(aclient: AsyncClient) -> None:
    names = {f"job-{i}" for i in range(700)}
    leases = [await aclient.acquire(name) for name in names]
    assert {info.name async for info in aclient.locks()} == names
    for lease in leases:
        await lease.release()


def test_stats_count(client: Client, name: str) -> None:
    assert client.stats() == Stats(*[0] * 11)
    with client.lock(name):
        assert client.try_acquire(name) is None
        assert client.stats().held == 1
    stats = client.stats()
    assert (stats.acquired, stats.released, stats.held, stats.contended) == (1, 1, 0, 1)


async def test_every_verb_in_asyncio(aclient: AsyncClient, name: str) -> None:
    assert await aclient.inspect(name) is None
    lease = await aclient.acquire(name, ttl=timedelta(seconds=20), label="me")
    assert (lease.name, lease.ttl, lease.state, lease.held) == (name, 20.0, "held", True)
    assert 19 < lease.expires_in <= 20
    assert lease.owner.startswith("me:")
    assert 0 < lease.token < 2**53
    assert repr(lease) == f'<leaselock.AsyncLease "{name}" token {lease.token} held>'
    info = await aclient.inspect(name)
    assert info is not None
    assert info.owner == lease.owner
    assert await aclient.try_acquire(name) is None
    with pytest.raises(LockTimeoutError):
        await aclient.acquire(name, wait=0.1)
    await lease.extend(10)
    assert lease.ttl == 10.0
    await lease.extend()
    lease.check()
    assert not await lease.wait_lost(0.05)
    assert await aclient.release(name, "nobody") is ReleaseStatus.NOT_OWNER
    assert await aclient.extend(name, "nobody", 10) is ExtendStatus.NOT_OWNER
    assert await aclient.extend(name, lease.owner, timedelta(seconds=10)) is ExtendStatus.EXTENDED
    assert await lease.release() is True
    assert await lease.release() is True, "asked again"
    assert lease.state == "released"
    tried = await aclient.try_acquire(name, renew=False, max_hold=60)
    assert tried is not None
    assert await aclient.force_release(name) is ReleaseStatus.RELEASED
    assert await tried.release() is False
    stats = aclient.stats()
    assert (stats.acquired, stats.timed_out, stats.released) == (2, 1, 1)


def test_a_closed_client_refuses(client: Client, name: str) -> None:
    lease = client.acquire(name)
    client.close()
    client.close()
    assert client.closed
    assert lease.state == "released"
    for call in (
        lambda: client.acquire(name),
        lambda: client.try_acquire(name),
        lambda: client.inspect(name),
        lambda: client.release(name, "x"),
        lambda: client.force_release(name),
        lambda: client.extend(name, "x", 1),
        lambda: list(client.locks()),
        lambda: client.lock(name).__enter__(),
    ):
        with pytest.raises(ClientClosedError):
            call()


async def test_a_closed_client_refuses_in_asyncio(aclient: AsyncClient, name: str) -> None:
    lease = await aclient.acquire(name)
    await aclient.aclose()
    await aclient.aclose()
    assert aclient.closed
    assert lease.state == "released"
    with pytest.raises(ClientClosedError):
        await aclient.acquire(name)
    with pytest.raises(ClientClosedError):
        await aclient.inspect(name)
    with pytest.raises(ClientClosedError):
        _ = [info async for info in aclient.locks()]


def test_nothing_listens(name: str) -> None:
    client = Client(f"redis://127.0.0.1:{free_port()}", command_timeout=0.5)
    with pytest.raises(StoreUnavailableError) as raised:
        client.acquire(name, wait=0)
    assert isinstance(raised.value, ConnectionError)
    assert raised.value.code == "STORE_UNAVAILABLE"


def test_closing_without_a_server_is_a_warning_at_the_end_of_a_block(proxy: Proxy, name: str) -> None:
    with pytest.warns(LeaselockWarning, match="TTL"), Client(proxy.url, command_timeout=1) as client:
        lease = client.acquire(name, ttl=2)
        proxy.drop_all()
    assert not lease.held


async def test_closing_without_a_server_is_a_warning_at_the_end_of_an_async_block(proxy: Proxy, name: str) -> None:
    with pytest.warns(LeaselockWarning, match="TTL") as caught:
        async with AsyncClient(proxy.url, command_timeout=1) as client:
            lease = await client.acquire(name, ttl=2)
            proxy.drop_all()
    assert not lease.held
    assert caught[0].filename == __file__, "it points at the block, not into the package"


def test_an_exception_of_the_body_wins_over_a_failing_close(proxy: Proxy, name: str) -> None:
    with (
        warnings.catch_warnings(),
        pytest.raises(ZeroDivisionError),
        Client(proxy.url, command_timeout=1) as client,
    ):
        warnings.simplefilter("error")
        client.acquire(name, ttl=2).detach()
        lease = client.acquire(f"{name}-2", ttl=2)
        assert lease.held
        proxy.drop_all()
        raise ZeroDivisionError


def test_an_iterator_of_locks_outlives_its_client(client: Client) -> None:
    found = client.locks()
    client.close()
    with pytest.raises(ClientClosedError):
        next(found)
