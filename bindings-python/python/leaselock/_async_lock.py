"""`AsyncLock`: a name with its options, to enter again and again and to decorate coroutine functions with."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from leaselock import _bridge, _decorate
from leaselock._async_lease import AsyncLease
from leaselock._native import Entries, Place

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from types import TracebackType

    from typing_extensions import Self

    from leaselock._native import AsyncClientCore, Request

P = ParamSpec("P")
R = TypeVar("R")


class AsyncLock:
    """A lock to use as `async with client.lock(name) as lease:` or `@client.lock(name)`. Made by `AsyncClient.lock`.

    It may be shared by tasks and by recursive calls: each entry takes a fresh lease, and waits for it like any other.
    As a decorator of coroutine functions it takes one for each call.

    Examples:
        >>> @client.lock("nightly-report", ttl=30, wait=10)
        ... async def report() -> None: ...
    """

    __slots__ = ("__dict__", "__weakref__", "_cancel_on_lost", "_client", "_entered", "_request")

    def __init__(self, client: AsyncClientCore, request: Request, *, cancel_on_lost: bool) -> None:
        """Locks are made by a client."""
        self._client = client
        self._request = request
        self._cancel_on_lost = cancel_on_lost
        self._entered: Entries[AsyncLease] = Entries()

    @property
    def name(self) -> str:
        """The lock's name."""
        return self._request.name

    def __aenter__(self) -> Coroutine[Any, Any, AsyncLease]:
        """Takes a lease, waiting for it as the options say.

        Raises:
            LockTimeoutError: The wait ran out.
            StoreUnavailableError: The server could not be reached.
            StoreRefusedError: The server refused.
            ClientClosedError: The client was closed.
        """
        return self._enter(Place(1))

    def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> Coroutine[Any, Any, None]:
        """Gives that lease back, as `AsyncLease` does at the end of its own block."""
        lease = self._entered.pop(Place(1))
        if lease is None:
            raise RuntimeError(f"the lock {self.name!r} was left more often than it was entered")
        return lease.__aexit__(exc_type, exc, traceback)

    def __call__(self, func: Callable[P, Awaitable[R]], /) -> Callable[P, Coroutine[Any, Any, R]]:
        """Decorates a coroutine function: every call takes a fresh lease, as `async with` does.

        Raises:
            TypeError: `func` is not a coroutine function.
        """
        _decorate.check_async(func)

        @functools.wraps(func)
        async def locked(*args: P.args, **kwargs: P.kwargs) -> R:
            async with await self._acquire():
                return await func(*args, **kwargs)

        return locked

    def __repr__(self) -> str:
        """The name."""
        return f"<leaselock.AsyncLock {self.name!r}>"

    def __copy__(self) -> Self:
        """The lock itself."""
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        """The lock itself."""
        return self

    def __reduce__(self) -> NoReturn:
        """A lock belongs to its client."""
        raise TypeError("cannot pickle 'leaselock.AsyncLock': it belongs to the client of this process")

    async def _acquire(self) -> AsyncLease:
        lease = await self._client._acquire_checked(_bridge.current(), self._request)  # noqa: SLF001
        return AsyncLease(lease, cancel_on_lost=self._cancel_on_lost)

    async def _enter(self, place: Place) -> AsyncLease:
        lease = await self._acquire()
        lease._enter()  # noqa: SLF001 - as its own __aenter__ does
        self._entered.push(place, lease)
        return lease
