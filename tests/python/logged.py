"""What a log record carries beside its text."""

from __future__ import annotations

import logging

# What every record has, and what formatters and pytest add.
ORDINARY = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


def fields(record: logging.LogRecord) -> dict[str, object]:
    """What a formatter of JSON finds in it."""
    return {name: value for name, value in vars(record).items() if name not in ORDINARY}
