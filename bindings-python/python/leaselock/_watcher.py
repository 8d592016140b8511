"""Event loops that cannot watch a file descriptor: a thread does it for them.

asyncio's usual loop on Windows is one (`ProactorEventLoop`). All goes through here, also what is uncontended, since
such a loop has no line.
"""

from __future__ import annotations

import select
import socket
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable


class Watcher:
    """Tells a loop, in the loop's own thread, whenever a file descriptor can be read."""

    def __init__(self, loop: AbstractEventLoop, fd: int, on_ready: Callable[[], None]) -> None:
        self._loop = weakref.ref(loop)
        self._fd = fd
        self._on_ready = on_ready
        self._told = threading.Event()
        self._stopped = False
        self._stopping = threading.Lock()
        self._stop, self._stopper = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="leaselock-watcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """From here on nobody is told, and the file descriptor may be closed. Any thread may, and more than once."""
        with self._stopping:
            if self._stopped:
                return
            self._stopped = True
            self._stopper.send(b"\0")
            self._told.set()
            # It may have dropped the last reference to the loop, and so be here itself.
            if threading.current_thread() is not self._thread:
                self._thread.join()
            self._stop.close()
            self._stopper.close()

    def _run(self) -> None:
        while not self._stopped:
            watched = [self._fd, self._stop.fileno()]
            readable, _, _ = select.select(watched, [], [])
            if self._stop.fileno() in readable:
                return
            self._told.clear()
            if self._stopped:  # told before it was cleared
                return
            loop = self._loop()
            try:
                if loop is not None:
                    loop.call_soon_threadsafe(self._tell)
            except RuntimeError:  # it is closed, and whoever finds that stops this
                pass
            del loop
            # What can be read stays so until the loop has looked.
            self._told.wait()

    def _tell(self) -> None:
        if not self._stopped:
            self._on_ready()
        self._told.set()
