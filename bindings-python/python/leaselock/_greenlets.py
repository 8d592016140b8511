"""gevent and eventlet: greenlets wait in the way that they are given, and a thread that is needed is a real one."""

from __future__ import annotations

import select
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


def wait(fd: int) -> None:
    """Lets other greenlets run until the file descriptor can be read. Called by the native part."""
    select.select([fd], [], [])


class Threads(NamedTuple):
    """What the system's own module `_thread` has."""

    start: Any
    lock: Any


def real_threads() -> Threads | None:
    """The system's threads, where those of `threading` are greenlets."""
    monkey: Any = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_object_patched("_thread", "start_new_thread"):
        return Threads(*monkey.get_original("_thread", ["start_new_thread", "allocate_lock"]))
    patcher: Any = sys.modules.get("eventlet.patcher")
    if patcher is not None and patcher.is_monkey_patched("thread"):
        original = patcher.original("_thread")
        return Threads(original.start_new_thread, original.allocate_lock)
    return None


class RealThread:
    """A thread of the system in a process whose threads are greenlets."""

    def __init__(self, real: Threads, target: Callable[[], object]) -> None:
        self._start = real.start
        self._target = target
        self._running = real.lock()

    def start(self) -> None:
        """Starts it.

        Raises:
            RuntimeError: The system or the interpreter has no thread for it.
        """
        self._running.acquire()
        self._start(self._run, ())

    def _run(self) -> None:
        try:
            self._target()
        finally:
            self._running.release()

    def join(self, timeout: float) -> None:
        """Waits for its end, `timeout` seconds at most. No greenlet runs meanwhile."""
        if self._running.acquire(timeout=timeout):
            self._running.release()
