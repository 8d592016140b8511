"""Observers: functions that are told what happens to the locks of this process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any, cast

from leaselock._logging import log
from leaselock._native import flush_observed, keep, observing

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context
    from typing import Literal, TypeAlias

    from leaselock._native import LockEvent

    _Kind: TypeAlias = Literal["each", "batches"]
    _Kept: TypeAlias = dict[_Kind, dict[int, Callable[[Any], object]]]

# What observes, one by one and in batches. A package that is imported again has those that it had.
_kept = cast("_Kept", keep({"_observers": {"each": {}, "batches": {}}})["_observers"])


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

    return _add("each", one)


def observe_batches(callback: Callable[[list[LockEvent]], object]) -> Callable[[], None]:
    """The same for a function that is called once for all that has come together, and in no context: for metrics.

    Returns:
        A function that ends it.
    """

    def one(events: list[LockEvent]) -> object:
        return callback(events)

    return _add("batches", one)


def _add(kind: _Kind, one: Callable[[Any], object]) -> Callable[[], None]:
    def stop() -> None:
        if _kept[kind].pop(id(one), None) is not None:
            observing(-1, in_context=kind == "each")

    _kept[kind][id(one)] = one
    observing(1, in_context=kind == "each")
    return stop


async def flush() -> None:
    """Waits until the observers have heard of all that has happened so far, for a second at most."""
    if not any(_kept.values()):
        return
    loop = asyncio.get_running_loop()
    told = loop.create_future()

    def done() -> None:
        if not told.done():
            told.set_result(None)

    def wait() -> None:
        flush_observed()
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(done)

    try:
        # The loop's executor may be busy, or shut down.
        threading.Thread(target=wait, name="leaselock-flush", daemon=True).start()
    except RuntimeError:
        return  # The interpreter is ending.
    await told


def deliver(batch: list[tuple[LockEvent, Context | None]]) -> None:
    """Tells the observers. Called on the callback thread."""
    if batches := list(_kept["batches"].values()):
        events = [event for event, _ in batch]
        for observer in batches:
            _tell(observer, events, None)
    if each := list(_kept["each"].values()):
        for event, context in batch:
            for observer in each:
                _tell(observer, event, context)


def _tell(observer: Callable[[Any], object], told: object, context: Context | None) -> None:
    try:
        if context is None:
            observer(told)
        else:
            context.run(observer, told)
    except BaseException:  # noqa: BLE001 - it is logged with its traceback
        of = f"{len(told)} events" if isinstance(told, list) else repr(told)
        log(logging.ERROR, "an observer failed", f": {of}", {"event": "callback_failed"}, exc_info=True)
