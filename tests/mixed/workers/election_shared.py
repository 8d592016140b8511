"""What the two Python candidates of the election share: their orders, and what a leader says in the log."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

import leaselock

if TYPE_CHECKING:
    from collections.abc import Callable

NS = 1_000_000_000
BEAT_SECONDS = 0.025
# Losses are what this is about.
logging.getLogger("leaselock").setLevel(logging.ERROR)


class OwnError(Exception):
    """What the work raises when it is told to."""


class Candidate:
    """Who it is in the log, what it leads, and what it is told: `raise` on a line; the end of its input ends it."""

    def __init__(self) -> None:
        orders = json.loads(sys.argv[1])
        self.name: str = orders["name"]
        self.ttl: float = orders["ttl"] / 1000
        self.tag: str = orders["tag"]
        self._log = os.open(orders["log"], os.O_WRONLY | os.O_APPEND)
        self.raising = threading.Event()

    def listen(self, ended: Callable[[], object]) -> None:
        """Does what it is told, in a thread; then calls `ended`."""

        def read() -> None:
            for _ in sys.stdin:
                self.raising.set()
            ended()

        threading.Thread(target=read, daemon=True).start()

    def note(self, event: str, token: int = 0, until: int = 0, more: str = "", *, at: int = 0) -> None:
        line = f"{at or time.monotonic_ns()} {self.tag} {event} {self.name} {token} {until} {more}".rstrip()
        os.write(self._log, f"{line}\n".encode())

    def writes(self, lease: leaselock.Lease | leaselock.AsyncLease) -> bool:
        """A write to the resource if the lease is held; else one that comes too late, and False. It may raise."""
        at = time.monotonic_ns()
        until = at + int(lease.expires_in * NS)
        try:
            lease.check()
        except leaselock.LeaseLostError as lost:
            self.note("lost", lease.token, more=lost.reason)
            self.note("late", lease.token)
            return False
        self.note("holds", lease.token, until, at=at)
        if self.raising.is_set():
            self.raising.clear()
            self.note("ends", lease.token)
            raise OwnError
        return True
