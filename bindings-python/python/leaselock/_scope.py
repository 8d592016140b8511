"""`async with` over a lease: the entering task is cancelled once when the lease is lost, and told apart from others."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from leaselock import _bridge

if TYPE_CHECKING:
    from leaselock._errors import LeaseLostError
    from leaselock._native import AsyncGroupCore, AsyncLeaseCore


class Scope:
    """One entered `async with`. It works as `asyncio.timeout` does, with a loss in place of a deadline."""

    __slots__ = ("_cancelled", "_earlier", "_hook", "_lease", "_task")

    def __init__(self, lease: AsyncLeaseCore | AsyncGroupCore) -> None:
        """Begins the scope, in the task that enters.

        Raises:
            RuntimeError: There is no task to cancel.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("`async with` over a lease needs a task; run it by asyncio.run or asyncio.create_task")
        self._task = task
        self._earlier = _cancelling(task)
        self._cancelled = False
        self._lease = lease
        self._hook = lease.hook(_bridge.current(), self._lost)

    def _lost(self, _error: LeaseLostError) -> None:
        """Called by the loop, at most once."""
        if not self._task.done():
            self._cancelled = self._task.cancel(self._message)

    @property
    def _message(self) -> str:
        # Python 3.10 counts no cancellations: there the message says whose it is, so it must be of this lease alone.
        return f"the lease {self._lease.owner} was lost"

    def end(self) -> bool:
        """Ends the scope; tells whether this task was cancelled by it, which `uncancel` has to undo."""
        self._lease.unhook(self._hook)
        return self._cancelled and asyncio.current_task() is self._task

    async def uncancel(self, error: BaseException | None) -> bool:
        """Undoes the cancellation; tells whether the body's `error` is no more than that.

        Raises:
            asyncio.CancelledError: Somebody else has cancelled the task too, and the body ended without meeting that.
        """
        foreign = sys.version_info >= (3, 11) and self._task.uncancel() > self._earlier
        if isinstance(error, asyncio.CancelledError):
            return self._is_ours(error)
        if error is None or not foreign:
            await self._meet()
        return False

    async def _meet(self) -> None:
        """Takes a cancellation that the body ended too early to meet; only a foreign one goes on."""
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as late:
            if not self._is_ours(late):
                raise

    def _is_ours(self, error: asyncio.CancelledError) -> bool:
        if sys.version_info >= (3, 11):
            return self._task.cancelling() <= self._earlier
        # A task that was awaited drops the message, and keeps the cancellation that carried it as the context.
        told: BaseException | None = error
        while isinstance(told, asyncio.CancelledError) and not told.args:
            told = told.__context__
        return told is not None and told.args[:1] == (self._message,)


def _cancelling(task: asyncio.Task[object]) -> int:
    if sys.version_info >= (3, 11):
        return task.cancelling()
    return 0
