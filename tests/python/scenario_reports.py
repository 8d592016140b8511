"""What the package logs, as scenarios look at it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from logged import fields


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
