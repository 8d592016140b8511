"""What the package logs, as scenarios look at it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from logged import fields

from leaselock import LockEvent, observe


class Reports(logging.Handler):
    """The fields of every record so far, under the names that they have in every language."""

    def __init__(self) -> None:
        super().__init__()
        self._found: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        found = fields(record)
        # A record's `name` is its logger's.
        self._found.append({"name" if name == "lock" else name: value for name, value in found.items()})

    async def first(self, event: str, name: str, seconds: float) -> dict[str, Any] | None:
        """The first of this kind about the lock, once there is one."""
        give_up_at = time.monotonic() + seconds
        while True:
            for report in self._found:
                if report["event"] == event and report.get("name") == name:
                    return report
            if time.monotonic() > give_up_at:
                return None
            await asyncio.sleep(0.01)


REPORTS = Reports()
logging.getLogger("leaselock").addHandler(REPORTS)


class Observations:
    """What observers were told so far, in milliseconds."""

    def __init__(self) -> None:
        self._events: list[LockEvent] = []
        observe(self._events.append)

    async def first(
        self, name: str, label: str | None, renewals: bool, count: int, seconds: float
    ) -> list[dict[str, Any]]:
        """The events of the lock, renewals if asked for, of one label where there is one, once there are so many."""
        give_up_at = time.monotonic() + seconds
        while True:
            found = [
                _fields(event)
                for event in self._events
                if event.name == name
                and (renewals or event.kind != "renewed")
                and (label is None or event.owner.startswith(f"{label}:"))
            ]
            if len(found) >= count or time.monotonic() > give_up_at:
                return found
            await asyncio.sleep(0.01)


def _fields(event: LockEvent) -> dict[str, Any]:
    def millis(seconds: float | None) -> float | None:
        return None if seconds is None else seconds * 1000

    plain = ("kind", "client", "app_id", "name", "owner", "token", "contended", "reason", "error")
    times = ("at", "waited", "held")
    return {field: getattr(event, field) for field in plain} | {field: millis(getattr(event, field)) for field in times}


OBSERVATIONS = Observations()
