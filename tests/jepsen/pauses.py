"""The pauses: every five seconds one program is stopped between its read and its write, for longer than the TTL."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

TTL_SECONDS = 2
PERIOD_SECONDS = 5
PAUSE_SECONDS = 3
# Where what a pause lasts until does not happen, as when one is stopped within a transaction on a file.
LONGEST_SECONDS = 12
# For a program that runs again to write: it is asked for at once.
WRITE_SECONDS = 5


class Until(enum.Enum):
    """When the stopped program goes on."""

    # When its time is over, whatever the others do.
    TIME = "time"
    # When the next holder has read the set: its write comes before that of the next holder.
    READ = "read"
    # When its time is over, others have written, and the next holder is about to read the set.
    TURN = "turn"


class Member:
    """A program of the crew, as the set knows it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        # The number of its last read, counted over the crew.
        self.turn = 0
        self.pauses = 0
        self.stopped = False
        # Since its last read, which it may have been for less than its TTL.
        self.was_stopped = False
        # While it need not write.
        self.idle = asyncio.Event()
        self.idle.set()

    async def stop(self) -> None:
        """Stops it; when this ends, none of its threads runs, or it has been told to go on."""
        self.stopped = True
        os.kill(self.pid, signal.SIGSTOP)
        while self.stopped and not all(state in "TXZ" for state in self._states()):  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    def go_on(self) -> None:
        self.stopped = False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)

    def _states(self) -> Iterable[str]:
        """Of each of its threads, as Linux tells them."""
        for thread in Path(f"/proc/{self.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                yield (thread / "stat").read_text().rpartition(")")[2].split()[0]


class Pauses:
    """So many pauses. The three ends of one take turns, and so do the programs."""

    def __init__(self, number: int, size: int, *, first: int = 0) -> None:
        self.number = number
        self._size = size
        self._first = first
        self.begun = 0
        # How many went on without what they were stopped for.
        self.in_vain = 0
        self._members: list[Member] = []
        self._next = time.monotonic() + 1
        self._stopped: Member | None = None
        self._until = Until.TIME
        self._since = 0.0
        self._written = 0
        self._timer: asyncio.TimerHandle | None = None
        self.over = asyncio.Event()

    def join(self, member: Member) -> None:
        self._members.append(member)

    def wrote(self, member: Member) -> None:
        """A program has had its write answered."""
        member.idle.set()
        if member is not self._stopped:
            self._written += 1

    async def before_read(self, member: Member) -> None:
        """Where the stopped one goes on at the next holder's turn, this waits for its write."""
        long_enough = time.monotonic() - self._since >= PAUSE_SECONDS and self._written
        if self._until is Until.TURN and long_enough:
            await self._let_write(member)

    async def after_read(self, member: Member) -> None:
        """A program has been given the set: the answer is on its way when this ends."""
        member.idle.clear()
        member.was_stopped = False
        if self._until is Until.READ and self._stopped:
            await self._let_write(member)
        elif not self._stopped and self._is_next(member):
            await self._stop(member)

    def _is_next(self, member: Member) -> bool:
        overdue = time.monotonic() - self._next
        if self.begun >= self.number or overdue < 0 or len(self._members) < self._size:
            return False
        # Where a lock has no order, it may be long until that one's turn.
        return overdue > PERIOD_SECONDS or member.pauses == min(each.pauses for each in self._members)

    async def _stop(self, member: Member) -> None:
        self._until = list(Until)[(self._first + self.begun) % len(Until)]
        self.begun += 1
        member.pauses += 1
        member.was_stopped = True
        self._stopped = member
        self._since = time.monotonic()
        self._next = self._since + PERIOD_SECONDS
        self._written = 0
        seconds = PAUSE_SECONDS if self._until is Until.TIME else LONGEST_SECONDS
        self._timer = asyncio.get_running_loop().call_later(seconds, self._time_is_over)
        await member.stop()

    def _time_is_over(self) -> None:
        self.in_vain += self._until is not Until.TIME
        self._go_on()

    def _go_on(self) -> None:
        if self._timer:
            self._timer.cancel()
        stopped, self._stopped = self._stopped, None
        if stopped:
            stopped.go_on()
        if self.begun == self.number:
            self.over.set()

    async def _let_write(self, member: Member) -> None:
        """The stopped one goes on; this ends when it has written."""
        stopped = self._stopped
        if stopped is None or stopped is member:
            return
        self._go_on()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stopped.idle.wait(), WRITE_SECONDS)
