"""Leading: work under a name that is waited for, and waited for again when it was lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from leaselock import _bridge
from leaselock._async_lease import AsyncLease
from leaselock._decorate import is_coroutine_function, name_of
from leaselock._errors import LeaselockError, LeaseLostError, warn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from leaselock._native import AsyncClientCore, Client, Lease, Request

R = TypeVar("R")


def sync(client: Client, request: Request, work: Callable[[Lease], R]) -> R:
    """Leads in this thread: see `Client.lead`."""
    check(work)
    if is_coroutine_function(work):
        raise TypeError(
            f"the work of Client.lead is a plain function, and {name_of(work)} is a coroutine function; "
            "use AsyncClient.lead"
        )
    while True:
        lease = client._acquire_to_lead(request)  # noqa: SLF001
        try:
            with lease:
                given = work(lease)
        except LeaseLostError:
            if not (client.closed or lease._was_lost()):  # noqa: SLF001 - it is about another lease
                raise
        else:
            if not client.closed:
                return given


async def asynchronous(client: AsyncClientCore, request: Request, work: Callable[[AsyncLease], Awaitable[R]]) -> R:
    """Leads in this task: see `AsyncClient.lead`."""
    check(work)
    while True:
        lease = await client._acquire_to_lead(_bridge.current(), request)  # noqa: SLF001
        term = Term(client, AsyncLease(lease, cancel_on_lost=False), work)
        if (led := await term.run()) is not None:
            return led[0]


def check(work: Callable[..., object]) -> None:
    """Refuses what cannot be called.

    Raises:
        TypeError: It is not callable.
    """
    if not callable(work):
        raise TypeError(f"the work of lead must be a function of the lease, not {type(work).__name__}")


def _ended_well(working: asyncio.Future[R]) -> bool:
    return working.done() and not working.cancelled() and working.exception() is None


class Term(Generic[R]):
    """The work under one lease: a task of its own, which is cancelled when it is to stop, and awaited to its end."""

    def __init__(self, client: AsyncClientCore, lease: AsyncLease, work: Callable[[AsyncLease], Awaitable[R]]) -> None:
        """Nothing is begun."""
        self._client = client
        self._lease = lease
        self._work = work
        self._stopped = False

    async def run(self) -> tuple[R] | None:
        """What the work returned; None where it was stopped for the end of the lease, and is to lead again."""
        working = asyncio.ensure_future(self._begin())
        try:
            cancelled = await self._until_done(working)
        finally:
            await self._give_back(masked=not _ended_well(working))
        if cancelled is not None:
            # What the work made of that counts, unless it is nothing.
            if not working.cancelled() and (error := working.exception()) is not None:
                raise error
            raise cancelled
        try:
            given = working.result()
        except asyncio.CancelledError:
            if self._stopped:
                return None
            raise
        except LeaseLostError:
            if self._is_over:
                return None
            raise
        return None if self._is_over else (given,)

    async def _begin(self) -> R:
        return await self._work(self._lease)

    async def _until_done(self, working: asyncio.Future[R]) -> asyncio.CancelledError | None:
        """Waits for the end of the work, which it stops when the lease is over.

        Returns:
            asyncio.CancelledError | None: The cancellation of this task that came meanwhile, and was passed on.
        """
        cancelled = None
        over = asyncio.ensure_future(self._lease.wait_lost())
        try:
            while not working.done():
                watched: list[asyncio.Future[Any]] = [working] if over.done() else [working, over]
                try:
                    await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                except asyncio.CancelledError as error:
                    cancelled = error
                    working.cancel(*error.args)
                    continue
                if over.done() and self._is_over and not self._stopped and not working.done():
                    self._stopped = True
                    working.cancel(f"the lease {self._lease.owner} was lost")
        finally:
            over.cancel()
        return cancelled

    @property
    def _is_over(self) -> bool:
        """Whether what comes of the work counts for nothing: the lease was lost, or the client closed."""
        return self._client.closed or self._lease._lease.lost_error() is not None  # noqa: SLF001

    async def _give_back(self, *, masked: bool) -> None:
        try:
            if not self._lease._lease.settled:  # noqa: SLF001
                await self._lease.release()
        except LeaselockError as error:
            # A store that will not take it back is a warning: the work was done.
            warn(f"could not give back {self._lease.name!r}, its TTL frees it: {error}", masked=masked)
