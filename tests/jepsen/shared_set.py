"""The set that all programs of a crew add to: outside of the lock, and with a fence, where it asks for tokens."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field


class Fencing(enum.Enum):
    """Which commands have to carry a token that is no older than the newest which the set has seen."""

    NONE = "unfenced"
    WRITES = "fenced writes"
    READS_AND_WRITES = "fenced"


@dataclass
class SharedSet:
    """Whoever adds an element reads it whole, and later writes it whole: so a late write loses what came between."""

    fencing: Fencing
    acknowledged: list[int] = field(default_factory=list)
    refused: int = 0
    _elements: bytes = b"[]"
    _fence: int = 0

    def read(self, token: int) -> bytes | None:
        """The set as JSON, or None: this token is too old."""
        if self.fencing is Fencing.READS_AND_WRITES and not self._admits(token):
            return None
        return self._elements

    def write(self, token: int, element: int, elements: bytes) -> bool:
        """Puts these in the place of all, of which `element` is new; False: this token is too old."""
        if self.fencing is not Fencing.NONE and not self._admits(token):
            return False
        self._elements = elements
        self.acknowledged.append(element)
        return True

    def _admits(self, token: int) -> bool:
        if token < self._fence:
            self.refused += 1
            return False
        self._fence = token
        return True

    @property
    def lost(self) -> set[int]:
        """The elements of acknowledged updates that are not there."""
        there = json.loads(self._elements)
        known = set(self.acknowledged)
        assert len(known) == len(self.acknowledged), "an element was added twice"
        assert known.issuperset(there), "an element is there that nobody added"
        return known.difference(there)
