"""Locks that whoever is inside already enters again, under the same lease.

Who that is: the thread, the greenlet and the asyncio task together. A client has a table of those who are inside;
nothing is sent for it.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from leaselock import _decorate
from leaselock._async_lock import AsyncLock
from leaselock._errors import InvalidArgumentError
from leaselock._native import Entries, Lease, Lock, Place

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Hashable
    from types import TracebackType

    from leaselock._async_lease import AsyncLease
    from leaselock._native import AsyncClientCore, Client, Request

P = ParamSpec("P")
R = TypeVar("R")
L = TypeVar("L")

_TABLE = "_inside_reentrant_locks"


class _Inside(Generic[L]):
    """Somebody who is inside, so many times."""

    def __init__(self, key: Hashable, lease: L, request: Request, *, cancels: bool) -> None:
        self.key = key
        self.lease = lease
        self.times = 1
        self._request = request
        self._cancels = cancels

    def again(self, request: Request, *, cancels: bool) -> None:
        """Enters once more.

        Raises:
            InvalidArgumentError: The options are others.
        """
        if not self._request.is_like(request) or cancels is not self._cancels:
            raise InvalidArgumentError(
                f"the lock {request.name!r} is entered again with other options than the first time; "
                "one lease cannot have both"
            )
        self.times += 1

    def leave(self, table: dict[Hashable, _Inside[L]]) -> bool:
        """Leaves once; whether that was the outermost block."""
        self.times -= 1
        if self.times == 0:
            table.pop(self.key, None)
        return self.times == 0


def _table(client: Client | AsyncClientCore) -> dict[Hashable, Any]:
    table: dict[Hashable, Any] = vars(client).setdefault(_TABLE, {})
    return table


def _key(name: str) -> Hashable:
    # The objects themselves: while they are in the table their like cannot come in their place.
    greenlet = sys.modules.get("greenlet")
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop is running
        task = None
    return name, threading.current_thread(), greenlet and greenlet.getcurrent(), task


def _left_too_often(name: str) -> RuntimeError:
    return RuntimeError(f"the lock {name!r} was left more often than it was entered")


class ReentrantLock(Lock):
    """A lock of a `Client` that whoever is inside already enters again."""

    def __init__(self, client: Client, name: str, **options: Any) -> None:  # noqa: ANN401 - those of `lock`
        """As `client.lock(name, reentrant=True)`."""
        super().__init__(client, name, **options)
        self._client = client
        self._blocks: Entries[_Inside[Lease]] = Entries()

    def __enter__(self) -> Lease:
        """Takes a lease, or enters again under the one that is held.

        Raises:
            InvalidArgumentError: The options are others than those of the outermost block.
            LeaseLostError: It is entered again, and the lease is not held any more.
        """
        place, key, table = Place(1), _key(self.name), _table(self._client)
        inside: _Inside[Lease] | None = table.get(key)
        if inside is None:
            inside = _Inside(key, super()._acquire(), self._request, cancels=False)
            table[key] = inside
        else:
            inside.lease.check()
            inside.again(self._request, cancels=False)
        self._blocks.push(place, inside)
        return inside.lease

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Leaves; the outermost block gives the lease back.

        Raises:
            LeaseLostError: The outermost block ended well, and the lease was lost on the way.
        """
        inside = self._blocks.pop(Place(1))
        if inside is None:
            raise _left_too_often(self.name)
        if inside.leave(_table(self._client)):
            inside.lease.__exit__(exc_type, exc, traceback)

    def __call__(self, func: Callable[P, R], /) -> Callable[P, R]:
        """Decorates a function: every call enters, as `with` does."""
        return _decorate.sync(func, lambda: self)


class AsyncReentrantLock(AsyncLock):
    """A lock of an `AsyncClient` that whoever is inside already enters again."""

    def __init__(self, client: AsyncClientCore, request: Request, *, cancel_on_lost: bool) -> None:
        """As `client.lock(name, reentrant=True)`."""
        super().__init__(client, request, cancel_on_lost=cancel_on_lost)
        self._blocks: Entries[_Inside[AsyncLease]] = Entries()

    def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> Coroutine[Any, Any, None]:
        """Leaves; the outermost block gives the lease back."""
        inside = self._blocks.pop(Place(1))
        if inside is None:
            raise _left_too_often(self.name)
        if inside.leave(_table(self._client)):
            return inside.lease.__aexit__(exc_type, exc, traceback)
        return _nothing()

    def __call__(self, func: Callable[P, Awaitable[R]], /) -> Callable[P, Coroutine[Any, Any, R]]:
        """Decorates a coroutine function: every call enters, as `async with` does.

        Raises:
            TypeError: `func` is not a coroutine function.
        """
        _decorate.check_async(func)

        @functools.wraps(func)
        async def locked(*args: P.args, **kwargs: P.kwargs) -> R:
            async with self:
                return await func(*args, **kwargs)

        return locked

    async def _enter(self, place: Place) -> AsyncLease:
        key, table = _key(self.name), _table(self._client)
        inside: _Inside[AsyncLease] | None = table.get(key)
        if inside is None:
            lease = await self._acquire()
            lease._enter()  # noqa: SLF001 - as its own __aenter__ does
            inside = _Inside(key, lease, self._request, cancels=self._cancel_on_lost)
            table[key] = inside
        else:
            inside.lease.check()
            inside.again(self._request, cancels=self._cancel_on_lost)
        self._blocks.push(place, inside)
        return inside.lease


async def _nothing() -> None:
    pass
