"""Callbacks and log records of the core, and the thread they run on: the core's own thread never needs the GIL."""

from __future__ import annotations

import atexit
import logging
import threading
from typing import TYPE_CHECKING

from leaselock import _greenlets
from leaselock._greenlets import RealThread
from leaselock._logging import log
from leaselock._native import next_event, stop_events
from leaselock._observe import deliver

if TYPE_CHECKING:
    from collections.abc import Callable

    from leaselock._errors import LeaseLostError

# A callback that still runs when the interpreter ends is not waited for longer than this, in seconds.
_PATIENCE = 0.2

_thread: threading.Thread | RealThread | None = None


def start() -> None:
    """Starts the thread, once in a process. Called by the native part."""
    global _thread  # noqa: PLW0603 - one thread for the process is the point
    real = _greenlets.real_threads()
    if real is None:
        thread: threading.Thread | RealThread = threading.Thread(target=_run, name="leaselock-callbacks", daemon=True)
    else:
        # A greenlet that waits in the native part would keep all others from running.
        thread = RealThread(real, _run)
    try:
        thread.start()
    except RuntimeError:
        # Since Python 3.12 no thread can be started when the interpreter is ending; then nobody waits for callbacks.
        return
    _thread = thread


def call(callback: Callable[[LeaseLostError], object], error: LeaseLostError) -> None:
    """Runs a callback; whatever it raises is logged."""
    try:
        callback(error)
    except BaseException:  # noqa: BLE001 - it is logged with its traceback
        log(logging.ERROR, "an on_lost callback failed", f": {callback!r}", {"event": "callback_failed"}, exc_info=True)


def _run() -> None:
    while (event := next_event()) is not None:
        if len(event) == 1:
            deliver(*event)
        elif len(event) == 2:  # noqa: PLR2004 - a callback and its argument
            call(*event)
        else:
            log(*event)
        # While it waits, this thread keeps no callback alive.
        del event


def _stop() -> None:
    stop_events()
    if _thread is not None:
        _thread.join(_PATIENCE)


atexit.register(_stop)
