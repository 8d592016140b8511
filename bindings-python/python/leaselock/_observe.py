"""Observers: functions that are told what happens to the locks of this process."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, cast

from leaselock._logging import log
from leaselock._native import flush_observed, keep, observing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextvars import Context

    from leaselock._native import LockEvent

# A package that is imported again has those that it had. The list is replaced and never changed.
_kept = cast("dict[str, list[Callable[[LockEvent], object]]]", keep({"_observers": {"all": []}})["_observers"])


def observe(callback: Callable[[LockEvent], object]) -> Callable[[], None]:
    """Has a function called for everything that happens to locks of this process: for metrics and traces.

    It hears of every client, sync and asyncio, made before or after, also in children of a fork. It is called within
    some 50 ms, on a thread of its own, which callbacks of `on_lost` share: it must not block. It runs in a copy of the
    context (`contextvars`) in which the lock was acquired. What it raises is logged, and the rest goes on.
    `client.close()` waits until it was told all, for a second at most, and so does the end of the process, for 0.2 s.

    Args:
        callback: Called with one `LockEvent`.

    Returns:
        A function that ends it. Calling it again does nothing.

    Examples:
        >>> stop = observe(lambda event: print(event.kind, event.name, event.waited))
    """

    def one(event: LockEvent) -> object:
        return callback(event)

    def stop() -> None:
        _kept["all"] = [other for other in _kept["all"] if other is not one]
        observing(bool(_kept["all"]))

    _kept["all"] = [*_kept["all"], one]
    observing(True)
    return stop


async def flush() -> None:
    """Waits until the observers have heard of all that has happened so far, for a second at most."""
    if _kept["all"]:
        await asyncio.get_running_loop().run_in_executor(None, flush_observed)


def deliver(batch: Iterable[tuple[LockEvent, Context | None]]) -> None:
    """Tells the observers. Called on the callback thread."""
    observers = _kept["all"]
    for event, context in batch:
        for observer in observers:
            _tell(observer, event, context)


def _tell(observer: Callable[[LockEvent], object], event: LockEvent, context: Context | None) -> None:
    try:
        if context is None:
            observer(event)
        else:
            context.run(observer, event)
    except BaseException:  # noqa: BLE001 - it is logged with its traceback
        log(logging.ERROR, "an observer failed", f": {event!r}", {"event": "callback_failed"}, exc_info=True)
