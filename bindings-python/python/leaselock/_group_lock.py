"""`GroupLock` and `AsyncGroupLock`: several names with their options, to enter again and again and to decorate with."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from leaselock import _bridge, _decorate
from leaselock._async_lease import AsyncLeaseGroup
from leaselock._native import Entries, LeaseGroup, Place

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from types import TracebackType

    from typing_extensions import Self

    from leaselock._native import AsyncClientCore, Client, GroupRequest

P = ParamSpec("P")
R = TypeVar("R")


class _Names:
    """The names of a lock on several of them."""

    __slots__ = ("__dict__", "__weakref__", "_request")

    def __init__(self, request: GroupRequest) -> None:
        self._request = request

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order in which they are taken: that of their bytes."""
        return self._request.names

    def _left_too_often(self) -> RuntimeError:
        return RuntimeError(f"the lock on {_listed(self.names)} was left more often than it was entered")

    def __repr__(self) -> str:
        """The names."""
        return f"<leaselock.{type(self).__name__} {_listed(self.names)}>"

    def __copy__(self) -> Self:
        """The lock itself."""
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        """The lock itself."""
        return self

    def __reduce__(self) -> NoReturn:
        """A lock belongs to its client."""
        raise TypeError(f"cannot pickle 'leaselock.{type(self).__name__}': it belongs to the client of this process")


class GroupLock(_Names):
    """Several names to use as `with client.lock_all(names) as group:` or as a decorator. Made by `Client.lock_all`.

    It may be shared by threads: each entry takes fresh leases, and waits for them like any other. As a decorator it
    takes them for each call.

    Examples:
        >>> with client.lock_all([payer, payee], wait=10) as both:
        ...     move_money(payer, payee, fence=both.tokens)
    """

    __slots__ = ("_client", "_entered")

    def __init__(self, client: Client, request: GroupRequest) -> None:
        """Locks are made by a client."""
        super().__init__(request)
        self._client = client
        self._entered: Entries[LeaseGroup] = Entries()

    def __enter__(self) -> LeaseGroup:
        """Takes the leases, waiting for them as the options say.

        Raises:
            LockTimeoutError: The wait ran out.
            StoreUnavailableError: The server could not be reached.
            StoreRefusedError: The server refused.
            ClientClosedError: The client was closed.
        """
        place = Place(1)
        group = self._acquire()
        self._entered.push(place, group)
        return group

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Gives those leases back, as `LeaseGroup` does at the end of its own block.

        Raises:
            LeaseLostError: The body ended well, and a lease was lost on the way.
        """
        group = self._entered.pop(Place(1))
        if group is None:
            raise self._left_too_often()
        group.__exit__(exc_type, exc, traceback)

    def __call__(self, func: Callable[P, R], /) -> Callable[P, R]:
        """Decorates a function: every call takes fresh leases, as `with` does.

        Raises:
            TypeError: `func` is a generator or a coroutine function, or no function at all.
        """
        return _decorate.sync(func, self._acquire)

    def _acquire(self) -> LeaseGroup:
        return self._client._acquire_all(self._request)  # noqa: SLF001


class AsyncGroupLock(_Names):
    """Several names to use as `async with client.lock_all(names) as group:` or as a decorator of coroutine functions.

    Made by `AsyncClient.lock_all`. It may be shared by tasks: each entry takes fresh leases, and waits for them like
    any other. As a decorator it takes them for each call.

    Examples:
        >>> async with client.lock_all([payer, payee], wait=10) as both:
        ...     await move_money(payer, payee, fence=both.tokens)
    """

    __slots__ = ("_cancel_on_lost", "_client", "_entered")

    def __init__(self, client: AsyncClientCore, request: GroupRequest, *, cancel_on_lost: bool) -> None:
        """Locks are made by a client."""
        super().__init__(request)
        self._client = client
        self._cancel_on_lost = cancel_on_lost
        self._entered: Entries[AsyncLeaseGroup] = Entries()

    def __aenter__(self) -> Coroutine[Any, Any, AsyncLeaseGroup]:
        """Takes the leases, waiting for them as the options say.

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
        """Gives those leases back, as `AsyncLeaseGroup` does at the end of its own block."""
        group = self._entered.pop(Place(1))
        if group is None:
            raise self._left_too_often()
        return group.__aexit__(exc_type, exc, traceback)

    def __call__(self, func: Callable[P, Awaitable[R]], /) -> Callable[P, Coroutine[Any, Any, R]]:
        """Decorates a coroutine function: every call takes fresh leases, as `async with` does.

        Raises:
            TypeError: `func` is not a coroutine function.
        """
        _decorate.check_async(func)

        @functools.wraps(func)
        async def locked(*args: P.args, **kwargs: P.kwargs) -> R:
            async with await self._acquire():
                return await func(*args, **kwargs)

        return locked

    async def _acquire(self) -> AsyncLeaseGroup:
        group = await self._client._acquire_all_checked(_bridge.current(), self._request)  # noqa: SLF001
        return AsyncLeaseGroup(group, cancel_on_lost=self._cancel_on_lost)

    async def _enter(self, place: Place) -> AsyncLeaseGroup:
        group = await self._acquire()
        group._enter()  # noqa: SLF001 - as its own __aenter__ does
        self._entered.push(place, group)
        return group


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(map(repr, names))
