"""The end of the process, as far as Python has a say in it: what is left is given back by the native part."""

from __future__ import annotations

import atexit
import sys
import threading

from leaselock._native import begin_exit, end_process, flush_observed

# After all other finalizers of `multiprocessing`, which may still use locks.
_LAST = -1_000_000


def prepare() -> None:
    """Sees to the end of this process. Called by the native part, once in each process that uses a client."""
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is None or multiprocessing.parent_process() is None:
        return
    child = multiprocessing.current_process()
    method = getattr(child, "_start_method", None) or multiprocessing.get_start_method(allow_none=True)
    if method != "spawn":
        # A forked child ends by os._exit, so its interpreter has no end; a spawned one ends as any other.
        from multiprocessing.util import Finalize  # noqa: PLC0415 - only where it is loaded already

        Finalize(None, _end_child, exitpriority=_LAST)


def _end_child() -> None:
    """Runs when the child's work is done; other threads that the child would wait for may still be at theirs."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    end_process()
    flush_observed()


atexit.register(begin_exit)
