"""Requests, answers, and the meters that every contestant reads."""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

TTL = 30  # seconds, as in every language


def requests() -> Iterator[dict[str, Any]]:
    for line in sys.stdin:
        yield json.loads(line)


def answer(**value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def names(inflight: int) -> list[str]:
    return [f"bench-{at:02}" for at in range(inflight)]


def sleep_until(at: int) -> float:
    """Seconds until a time of `time.monotonic_ns`."""
    return max(0, at - time.monotonic_ns()) / 1e9


class Slice:
    """Measures one slice."""

    def __init__(self, seconds: float) -> None:
        self._cpu = _cpu()
        self._started = time.perf_counter()
        self.end = self._started + seconds

    def answer(self, ops: int) -> None:
        seconds = time.perf_counter() - self._started
        answer(ops=ops, seconds=seconds, cpu=_cpu() - self._cpu)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
