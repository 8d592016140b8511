"""Several names, all or none, as blocks and decorators of both clients; more in the scenarios."""

from __future__ import annotations

import asyncio
import copy
import gc
import os
import pickle
import threading
import uuid

import pytest

from leaselock import (
    AsyncClient,
    AsyncLeaseGroup,
    Client,
    InvalidArgumentError,
    LeaseGroup,
    LeaseLostError,
    LockTimeoutError,
)


@pytest.fixture
def names() -> list[str]:
    run = uuid.uuid4().hex
    return [f"b-{run}", f"a-{run}"]


def test_a_block_holds_all_of_them(client: Client, names: list[str]) -> None:
    lock = client.lock_all(names, ttl=10, label="me")
    assert lock.names == tuple(sorted(names))
    with lock as group:
        assert group.names == tuple(sorted(names))
        assert list(group.tokens) == list(group.names)
        assert group.owners == {name: info.owner for name in names if (info := client.inspect(name)) is not None}
        assert 8 < group.expires_in <= group.ttl == 10
        with pytest.raises(LockTimeoutError, match="none of the 2 names is held"):
            client.acquire_all(names, wait=0)
    assert group.state == "released"
    assert [client.inspect(name) for name in names] == [None, None]


def test_a_function_takes_them_for_each_call(client: Client, names: list[str]) -> None:
    @client.lock_all(names)
    def work(fails: bool) -> int:
        assert client.try_acquire_all(names) is None
        if fails:
            raise KeyError
        return 7

    assert work(False) == 7
    with pytest.raises(KeyError):
        work(True)
    assert client.stats().held == 0


def test_a_loss_is_raised_at_the_end(client: Client, names: list[str]) -> None:
    told: list[LeaseLostError] = []
    called = threading.Event()

    def on_lost(error: LeaseLostError) -> None:
        told.append(error)
        called.set()

    with pytest.raises(LeaseLostError, match=names[0]) as raised, client.lock_all(names, ttl=0.5) as group:
        group.on_lost(on_lost)
        client.force_release(names[0])
        assert group.wait_lost(5)
        with pytest.raises(LeaseLostError, match=names[0]):
            group.check()
    assert raised.value.reason == "released"
    assert called.wait(5)
    assert [str(error) for error in told] == [str(raised.value)]
    with client.acquire(names[1], wait=5) as other:
        assert other.held


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_arguments(client: Client, names: list[str]) -> None:
    for wrong in ("ab", b"ab", 5, None):
        with pytest.raises(TypeError, match="names must be an iterable of str"):
            client.lock_all(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="each of names must be a str, not int"):
        client.try_acquire_all(["a", 5])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="unexpected keyword argument 'waits'"):
        client.acquire_all(names, waits=5)  # type: ignore[call-arg]
    with client.acquire_all(name for name in names) as group:
        assert copy.copy(group) is group
        assert "held" in repr(group)
        with pytest.raises(TypeError, match="cannot pickle"):
            pickle.dumps(group)
    with pytest.raises(TypeError, match="cannot create"):
        LeaseGroup()


def test_a_collected_group_is_given_back_with_a_warning(client: Client, names: list[str]) -> None:
    group = client.acquire_all(names)
    with pytest.warns(ResourceWarning, match="the group of leases on"):
        del group
        gc.collect()
    again = client.acquire_all(names, wait=5)
    assert again.release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_it_stays_with_its_process(client: Client, names: list[str]) -> None:
    with client.acquire_all(names) as group:
        if (child := os.fork()) == 0:
            os._exit(0 if group.state == "lost" and group.names and not group.release() else 1)
        assert os.waitpid(child, 0)[1] == 0
        group.check()


def test_readers_and_permits_of_several_names(client: Client, names: list[str]) -> None:
    with client.lock_all(names, shared=True) as one, client.lock_all(names, shared=True, wait=0) as other:
        assert all(one.tokens[name] < other.tokens[name] for name in names)
        assert client.try_acquire_all(names) is None
    with client.lock_all(names, permits=2), client.acquire_all(names, permits=2, wait=0):
        assert client.try_acquire_all(names, permits=2) is None
        assert client.try_acquire_all(names[:1], shared=True).release()  # type: ignore[union-attr]
    with pytest.raises(InvalidArgumentError, match="shared and permits are given together"):
        client.lock_all(names, shared=True, permits=2)
    with pytest.raises(TypeError, match="permits must be an int, not float"):
        client.acquire_all(names, permits=2.0)  # type: ignore[arg-type]
    assert client.stats().held == 0


async def test_readers_and_permits_of_several_names_in_asyncio(server_url: str, names: list[str]) -> None:
    async with AsyncClient(server_url) as client:
        readers = client.lock_all(names, shared=True, wait=0)
        async with readers, readers:
            assert await client.try_acquire_all(names) is None
        async with client.lock_all(names, permits=2), await client.acquire_all(names, permits=2, wait=0):
            assert await client.try_acquire_all(names, permits=2) is None
        with pytest.raises(InvalidArgumentError, match="shared and permits are given together"):
            await client.try_acquire_all(names, shared=True, permits=2)


async def test_asyncio(server_url: str, names: list[str]) -> None:
    async with AsyncClient(server_url) as client:
        lock = client.lock_all(names, wait=5)

        @lock
        async def work() -> int:
            assert await client.try_acquire_all(names) is None
            return 7

        assert await asyncio.gather(*(work() for _ in range(5))) == [7] * 5
        async with lock as group:
            assert isinstance(group, AsyncLeaseGroup)
            waiting = asyncio.create_task(client.acquire_all(names))
            await asyncio.sleep(0.2)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        async with await client.acquire_all(names, wait=5) as group:
            assert list(group.tokens) == sorted(names)
        with pytest.raises(TypeError, match="iterable of str"):
            client.lock_all("ab")


async def test_asyncio_cancels_on_loss(server_url: str, names: list[str]) -> None:
    async with AsyncClient(server_url) as client:
        with pytest.raises(LeaseLostError, match=names[1]):
            async with client.lock_all(names, ttl=0.5):
                await client.force_release(names[1])
                await asyncio.sleep(5)
        async with client.lock_all(names, ttl=0.5, wait=5, cancel_on_lost=False) as group:
            assert not await group.wait_lost(0.1)
