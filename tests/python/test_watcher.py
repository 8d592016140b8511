"""Event loops that cannot watch a file descriptor, as asyncio's usual one on Windows: everything works there, too."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from typing import TYPE_CHECKING, NoReturn

from leaselock import AsyncClient, Client, _bridge

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Unwatching(asyncio.SelectorEventLoop):
    """Refuses to watch, as `ProactorEventLoop` does."""

    def add_reader(self, *_args: object) -> NoReturn:
        raise NotImplementedError


def run(work: Coroutine[object, object, None]) -> None:
    with closing(Unwatching()) as loop:
        loop.run_until_complete(work)


def watchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "leaselock-watcher"]


def test_locks_are_taken_waited_for_and_given_back(server_url: str, name: str) -> None:
    """Uncontended ones, which others have a line for, and handed-over ones."""

    async def work() -> None:
        async with AsyncClient(server_url) as client:
            for _ in range(5):
                async with await client.acquire(name) as lease:
                    assert lease.held
            first = await client.acquire(name)
            waiting = [asyncio.create_task(client.acquire(name)) for _ in range(20)]
            await asyncio.sleep(0.05)
            await first.release()
            for following in asyncio.as_completed(waiting):
                lease = await following
                assert await lease.release()
            assert len(watchers()) == 1

    run(work())
    assert watchers() == []


def test_a_loss_is_told(server_url: str, name: str) -> None:
    async def work() -> None:
        async with AsyncClient(server_url) as client:
            lease = await client.acquire(name, ttl=5)
            with Client(server_url) as other:
                other.force_release(name)
            assert await lease.wait_lost(5)

    run(work())


def test_a_loop_closed_with_an_open_client_leaves_no_thread(server_url: str, name: str) -> None:
    """The next loop looks after those that have ended."""

    async def leave() -> None:
        assert await AsyncClient(server_url).inspect(name) is None

    async def come() -> None:
        _bridge.current()
        assert len(watchers()) == 1
        _bridge.current().close()

    run(leave())
    run(come())
    assert watchers() == []
