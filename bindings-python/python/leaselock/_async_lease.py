"""`AsyncLease` and `AsyncLeaseGroup`: leases whose calls are awaited, and which are `async with` blocks."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, NoReturn

from leaselock import _bridge
from leaselock._decorate import is_coroutine_function, name_of
from leaselock._errors import LeaselockError, warn
from leaselock._scope import Scope

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from leaselock._errors import LeaseLostError
    from leaselock._native import AsyncGroupCore, AsyncLeaseCore
    from leaselock._records import LeaseState, Seconds


class AsyncHeld:
    """What is held under one lease or several: what the two have in common."""

    __slots__ = ("__dict__", "__weakref__", "_cancel_on_lost", "_lease", "_scope")

    def __init__(self, lease: AsyncLeaseCore | AsyncGroupCore, *, cancel_on_lost: bool) -> None:
        """Made by a client."""
        self._lease = lease
        self._cancel_on_lost = cancel_on_lost
        self._scope: Scope | None = None

    @property
    def ttl(self) -> float:
        """The lease's length in seconds, as renewals set it."""
        return self._lease.ttl

    @property
    def expires_in(self) -> float:
        """Seconds until the lease ends if no renewal succeeds, by the local clock; 0 when it is over."""
        return self._lease.expires_in

    @property
    def state(self) -> LeaseState:
        """`"held"`, `"unsure"` (a renewal has failed; still held), `"lost"` or `"released"`. No network."""
        return self._lease.state

    @property
    def held(self) -> bool:
        """Whether it is held right now, by the local deadline. No network."""
        return self._lease.held

    def check(self) -> None:
        """Does nothing while the lease is held. No network.

        Raises:
            LeaseLostError: It is not held any more.
        """
        self._lease.check()

    async def extend(self, ttl: Seconds | None = None) -> None:
        """Makes the lease last exactly `ttl` seconds from now, and renewals set that from now on.

        Args:
            ttl (float | timedelta | None): Seconds, 0.1 to 365 days; None for the TTL it has.

        Raises:
            InvalidArgumentError: `ttl` is out of its range, or reaches past `max_hold`.
            LeaseLostError: It is over.
            StoreUnavailableError: The server did not answer in time; it is unsure.
            StoreRefusedError: The server refused.
        """
        await self._lease.extend(_bridge.current(), ttl)

    async def release(self) -> bool:
        """Gives the name back. From the call on the lease is not held, whatever comes of it.

        A cancelled release goes on in the background.

        Returns:
            bool: True when this lease gave the name back, also when asked again; False when it had already gone.

        Raises:
            StoreUnavailableError: The server did not answer in time. Try again, or let the TTL free the name.
            StoreRefusedError: The server refused.
        """
        return await self._lease.release(_bridge.current())

    async def wait_lost(self, timeout: Seconds | None = None) -> bool:
        """Waits until the lease is lost, or released.

        Args:
            timeout (float | timedelta | None): Seconds to wait at most; None for as long as it takes.

        Returns:
            bool: True when it is lost, False when it was released or the time-out came first.
        """
        return await self._lease.wait_lost(_bridge.current(), timeout)

    def on_lost(self, callback: Callable[[LeaseLostError], object]) -> None:
        """Calls `callback(error)` in the running loop when the lease is lost, once; soon, if it is lost already.

        It is never called for a release, nor for a lease that is collected. What it raises is logged to `leaselock`.

        Args:
            callback (Callable[[LeaseLostError], object]): A plain function; the error's `reason` says why.

        Raises:
            TypeError: It is not a plain function.
            RuntimeError: No loop is running.
        """
        if not callable(callback):
            raise TypeError(f"callback must be callable, not {type(callback).__name__}")
        if is_coroutine_function(callback):
            raise TypeError(f"on_lost calls a plain function, not the coroutine function {name_of(callback)}")
        context = contextvars.copy_context()

        def in_context(error: LeaseLostError) -> None:
            context.run(callback, error)

        self._lease.hook(_bridge.current(), in_context)

    async def __aenter__(self) -> Self:
        """Enters the scope of the lease.

        Raises:
            LeaseLostError: It is not held any more.
            RuntimeError: It is inside an `async with` already.
        """
        self._enter()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Gives the lease back. An exception of the body always wins.

        Raises:
            LeaseLostError: The body ended well, or by the cancellation that a loss is, and the lease was lost.
        """
        scope, self._scope = self._scope, None
        if scope is not None and scope.end() and await scope.uncancel(exc):
            self._raise_lost(exc)
        if not self._lease.settled:
            try:
                await self._lease.release(_bridge.current())
            except LeaselockError as error:
                # A store that will not take it back is a warning: the work was done.
                warn(f"could not give back {self._called}: {error}", masked=exc is not None)
        if exc is None:
            self._raise_lost(None)

    def _enter(self) -> None:
        if self._scope is not None:
            raise RuntimeError(f"{self._what} is inside an `async with` already")
        self._lease.check()
        if self._cancel_on_lost:
            self._scope = Scope(self._lease)

    def _raise_lost(self, cause: BaseException | None) -> None:
        error = self._lease.lost_error()
        if error is not None:
            raise error from cause

    def __copy__(self) -> Self:
        """The lease itself."""
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        """The lease itself."""
        return self

    @property
    def _what(self) -> str:
        raise NotImplementedError

    @property
    def _called(self) -> str:
        raise NotImplementedError


class AsyncLease(AsyncHeld):
    """A name that is held, until it is released, lost, or its TTL runs out. Made by `AsyncClient.acquire`.

    In an `async with` block it is given back at the end, and the entering task is cancelled once if it is lost on the
    way; the block then raises `LeaseLostError`. A lease that is collected without being released is given back in the
    background, with a ResourceWarning. It is not bound to an event loop.

    Examples:
        >>> async with await client.acquire("nightly-report", ttl=30) as lease:
        ...     await write_report(token=lease.token)
    """

    __slots__ = ()
    _lease: AsyncLeaseCore

    @property
    def name(self) -> str:
        """The lock's name."""
        return self._lease.name

    @property
    def owner(self) -> str:
        """What this lease is stored as; unique. With it any process can give the name back: `client.release`."""
        return self._lease.owner

    @property
    def token(self) -> int:
        """The fencing token: larger than that of every earlier lease on this name, below 2**53."""
        return self._lease.token

    def detach(self) -> None:
        """Stops renewal and leaves the name to its TTL, or to `client.release(name, owner)` somewhere else."""
        self._lease.detach()

    def __repr__(self) -> str:
        """Name, token and state."""
        return f"<leaselock.AsyncLease {self._lease.describe()}>"

    def __reduce__(self) -> NoReturn:
        """A lease belongs to its process."""
        raise TypeError("cannot pickle 'leaselock.AsyncLease': it belongs to its process; send its owner and token")

    @property
    def _what(self) -> str:
        return f"the lease on {self.name!r}"

    @property
    def _called(self) -> str:
        return f"{self.name!r}, its TTL frees it"


class AsyncLeaseGroup(AsyncHeld):
    """Several names that are held together, until the first lease is over. Made by `AsyncClient.acquire_all`.

    Each name has a lease and a fencing token of its own. The first lease that is lost loses the group, and the others
    are given back at once. In an `async with` block all are given back at the end, and the entering task is cancelled
    once if one is lost on the way; the block then raises `LeaseLostError`. A group that is collected without being
    released is given back in the background, with a ResourceWarning. It is not bound to an event loop.

    Examples:
        >>> async with await client.acquire_all([payer, payee]) as both:
        ...     await move_money(payer, payee, fence=both.tokens)
    """

    __slots__ = ()
    _lease: AsyncGroupCore

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order in which they were taken: that of their bytes."""
        return self._lease.names

    @property
    def tokens(self) -> dict[str, int]:
        """The fencing token of each name, larger than that of every earlier lease on it."""
        return self._lease.tokens

    @property
    def owners(self) -> dict[str, str]:
        """What the lease of each name is stored as. With it any process can give that name back: `client.release`."""
        return self._lease.owners

    def __repr__(self) -> str:
        """Names and state."""
        return f"<leaselock.AsyncLeaseGroup {self._lease.describe()}>"

    def __reduce__(self) -> NoReturn:
        """A group belongs to its process."""
        raise TypeError("cannot pickle 'leaselock.AsyncLeaseGroup': it belongs to its process; send its tokens")

    @property
    def _what(self) -> str:
        return f"the group of leases on {', '.join(map(repr, self.names))}"

    @property
    def _called(self) -> str:
        return f"{', '.join(map(repr, self.names))}, their TTLs free them"
