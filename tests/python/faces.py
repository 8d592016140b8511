"""Both clients of the package under one set of awaited words, for tests that ask the same of each."""

from __future__ import annotations

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from leaselock import AsyncClient, AsyncLease, Client, Lease, LockInfo, Stats

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from proxy import Proxy

AnyLease = Lease | AsyncLease
# Blocking calls of a test that wait at once.
_THREADS = ThreadPoolExecutor(128)
# Enough acquires for every connection that a client may have.
_WARMING = 25


async def eventually(what: str, holds: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not so after {seconds} s: {what}"
        await asyncio.sleep(0.01)


class Face:
    """A `Client`, whose calls go to threads, or an `AsyncClient`."""

    def __init__(self, client: Client | AsyncClient) -> None:
        self.client = client
        self.kind = type(client).__name__

    async def acquire(self, name: str, **options: Any) -> AnyLease:
        lease: AnyLease = await self._call(self.client.acquire, name, **options)
        return lease

    async def try_acquire(self, name: str, **options: Any) -> AnyLease | None:
        lease: AnyLease | None = await self._call(self.client.try_acquire, name, **options)
        return lease

    async def release(self, lease: AnyLease) -> bool:
        return bool(await self._call(lease.release))

    async def inspect(self, name: str) -> LockInfo | None:
        found: LockInfo | None = await self._call(self.client.inspect, name)
        return found

    async def locks(self, pattern: str) -> list[LockInfo]:
        if isinstance(self.client, AsyncClient):
            return [found async for found in self.client.locks(pattern)]
        return list(self.client.locks(pattern))

    def stats(self) -> Stats:
        return self.client.stats()

    async def warm(self, name: str, proxy: Proxy) -> None:
        """Uses it until it has its connection for uncontended calls beside the shared one."""
        before = proxy.accepted
        await self.inspect(name)
        for _ in range(_WARMING):
            assert await self.release(await self.acquire(name))
        await eventually("a connection of its own", lambda: proxy.accepted - before >= 2)
        assert await self.release(await self.acquire(name))

    async def close(self) -> None:
        await self._call(self.client.aclose if isinstance(self.client, AsyncClient) else self.client.close)

    async def _call(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if isinstance(self.client, AsyncClient):
            awaited: Awaitable[Any] = function(*args, **options)
            return await awaited
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_THREADS, partial(function, *args, **options))


@contextlib.asynccontextmanager
async def face(kind: type[Client | AsyncClient], url: str, app_id: str, **options: Any) -> AsyncIterator[Face]:
    """A client of that kind, closed at the end, whatever is left of its network by then."""
    one = Face(kind(url, app_id=app_id, **options))
    try:
        yield one
    finally:
        with contextlib.suppress(ConnectionError):
            await one.close()
