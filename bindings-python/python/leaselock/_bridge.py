"""How operations get to the core and back: one bridge per event loop, and the one place that knows which serves whom.

`client._acquire(current(), …)` begins and gives an awaitable. An uncontended acquire or release goes by the line that
the client has on this loop, a connection that the loop itself writes and reads. The rest goes to the core's thread,
which queues what has finished and writes the bridge's file descriptor once; the loop then completes all that is ready
in one wake.
"""

from __future__ import annotations

import functools
import weakref
from asyncio import get_running_loop
from typing import TYPE_CHECKING

from leaselock import _native
from leaselock._watcher import Watcher

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

_bridges: dict[int, Bridge] = {}


class Bridge(_native.Bridge):
    """The bridge of one event loop. It ends with the loop, or when its last client is closed."""

    __slots__ = ("_watcher",)

    _watcher: Watcher | None

    def watch(self, loop: AbstractEventLoop) -> None:
        """Has the loop call `on_ready`: by watching the file descriptor, or told by a thread that does."""
        self._watcher = None
        try:
            loop.add_reader(self.fileno(), self.on_ready)
        except NotImplementedError:  # asyncio's usual loop on Windows
            self._watcher = Watcher(loop, self.fileno(), self.on_ready)

    def unwatch(self, loop: AbstractEventLoop | None) -> None:
        """Before the file descriptor is closed."""
        if self._watcher is not None:
            self._watcher.stop()
        elif loop is not None and not loop.is_closed():
            loop.remove_reader(self.fileno())

    def on_ready(self) -> None:
        """The loop's reader callback."""
        if self.drain():
            self.close()

    def close(self) -> None:
        """Gives the file descriptor back; in the loop's own thread."""
        loop = self.loop()
        if loop is not None:
            _bridges.pop(id(loop), None)
        self.unwatch(loop)
        self.shut()


def current() -> Bridge:
    """The bridge of the running loop.

    Raises:
        RuntimeError: No asyncio loop is running.
    """
    loop = get_running_loop()
    bridge = _bridges.get(id(loop))
    return _open(loop) if bridge is None or bridge.inherited else bridge


def part(bridges: list[_native.Bridge]) -> None:
    """Ends what a closed client had on this loop at once; other loops have been told."""
    here = get_running_loop()
    for bridge in bridges:
        if isinstance(bridge, Bridge) and bridge.loop() is here:
            bridge.on_ready()


def _open(loop: AbstractEventLoop) -> Bridge:
    # A loop that was closed but is still referenced keeps its bridge until somebody looks.
    for other in list(_bridges.values()):
        served = other.loop()
        if served is None or served.is_closed():
            other.close()
    bridge = Bridge(weakref.ref(loop, functools.partial(_forget, id(loop))))
    bridge.watch(loop)
    _bridges[id(loop)] = bridge
    return bridge


def _forget(key: int, _ref: object) -> None:
    bridge = _bridges.pop(key, None)
    if bridge is not None:
        bridge.unwatch(None)
        bridge.shut()
