"""Names of locks as labels of metrics: few, however many names there are."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from leaselock._logging import log

if TYPE_CHECKING:
    from collections.abc import Callable

# So many labels are told apart, and every other name is OTHER.
MOST = 100
OTHER = "other"
ACQUIRE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Seconds: the buckets of how long acquires take."""
HOLD_BUCKETS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
"""Seconds: the buckets of how long leases are held."""
# Names whose label is remembered.
_CACHED = 10_000

_END = re.compile(r"[:/#]|\d|[0-9A-Fa-f]{8}")


def family(name: str) -> str:
    """
    What names of one kind have in common: up to the first `:`, `/`, `#`, digit or 8 hexadecimal digits, and a `*`.

    `order:42` is `order:*`, `job-7` is `job-*`, and `nightly-report` is itself.
    """
    found = _END.search(name)
    if found is None:
        return name
    end = found.end() if found[0] in ":/#" else found.start()
    return name[:end] + "*"


class Labels:
    """The label of each name, by a function, and no more than MOST of them."""

    def __init__(self, function: Callable[[str], str]) -> None:
        self._function = function
        self._labels: set[str] = set()
        self._failed = False
        self._cache: dict[str, str] = {}

    def of(self, name: str) -> str:
        """The label of a name."""
        label = self._cache.get(name)
        if label is None:
            label = self._bounded(self._asked(name))
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            self._cache[name] = label
        return label

    def _asked(self, name: str) -> str:
        try:
            return str(self._function(name))
        except Exception:  # noqa: BLE001 - it is logged with its traceback
            if not self._failed:
                self._failed = True
                text = f": label({name!r}); it is {OTHER!r}, and what else fails is not logged"
                log(logging.ERROR, "a function for labels failed", text, {"event": "callback_failed"}, exc_info=True)
            return OTHER

    def _bounded(self, label: str) -> str:
        if label not in self._labels:
            if len(self._labels) >= MOST:
                return OTHER
            self._labels.add(label)
        return label
