"""The logger `leaselock`, and how what the core reports becomes its records."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger("leaselock")

# What the core calls the name of a lock: a record's `name` is its logger's.
_LOCK = "name"
# Leads what a record has already, as one of a program's own record factory may.
_PREFIX = "leaselock_"


def log(level: int, message: str, text: str, fields: Mapping[str, object], *, exc_info: bool = False) -> None:
    """Logs one record, with `fields` as its attributes, and in its message as `text`."""
    if not logger.isEnabledFor(level):
        return
    path, line, function, _ = logger.findCaller()
    error = sys.exc_info() if exc_info else None
    # The template is the same for all records of a kind, by which collectors of errors put them together.
    template = message.replace("%", "%%") + "%s"
    record = logger.makeRecord(logger.name, level, path, line, template, (text,), error, function)
    for name, value in fields.items():
        attribute = "lock" if name == _LOCK else name
        # As `extra` sets them, which raises where there is one of that name.
        setattr(record, _PREFIX + attribute if hasattr(record, attribute) else attribute, value)
    logger.handle(record)
