"""Metrics of the locks of this process for Prometheus, by `prometheus_client`: `pip install "leaselock[prometheus]"`.

    >>> from leaselock import prometheus
    >>> stop = prometheus.instrument()  # doctest: +SKIP

One call is enough for all clients of the process, made before or after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from leaselock._labels import Labels, family
from leaselock._observe import observe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prometheus_client import CollectorRegistry

    from leaselock._native import LockEvent

__all__ = ["ACQUIRE_BUCKETS", "HOLD_BUCKETS", "family", "instrument"]

ACQUIRE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Seconds: the buckets of `leaselock_acquire_seconds`."""
HOLD_BUCKETS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
"""Seconds: the buckets of `leaselock_hold_seconds`."""


def instrument(
    registry: CollectorRegistry = REGISTRY,
    *,
    label: Callable[[str], str] = family,
    acquire_buckets: Sequence[float] = ACQUIRE_BUCKETS,
    hold_buckets: Sequence[float] = HOLD_BUCKETS,
) -> Callable[[], None]:
    """Begins to count what happens to the locks of this process.

    Args:
        registry: Where the metrics are registered.
        label: Makes the label `lock` of a lock's name. More than 100 labels are not told apart: the rest is `other`.
        acquire_buckets: Seconds that acquires take.
        hold_buckets: Seconds that leases are held.

    Returns:
        A function that ends it, and takes the metrics out of the registry.

    Raises:
        ValueError: The registry has these metrics already.

    Examples:
        >>> stop = instrument(label=lambda name: name.partition(":")[0])
    """
    metrics = _Metrics(registry, Labels(label), acquire_buckets, hold_buckets)
    stop_observing = observe(metrics.on_event)

    def stop() -> None:
        stop_observing()
        metrics.unregister()

    return stop


class _Series(NamedTuple):
    """The metrics of one kind of locks."""

    acquire: dict[str, Histogram]
    hold: Histogram
    held: Gauge
    waiting: Gauge
    contended: Counter
    renewed: Counter
    unsure: Counter


class _Metrics:
    """The metrics of a registry."""

    def __init__(
        self, registry: CollectorRegistry, labels: Labels, acquire: Sequence[float], hold: Sequence[float]
    ) -> None:
        self._labels = labels
        self._series: dict[tuple[str, str], _Series] = {}
        # Of whom it is known that they hold, and wait: it may have begun in between.
        self._holding: set[str] = set()
        self._waiting: set[str] = set()
        names = ("app_id", "lock")

        def histogram(name: str, text: str, buckets: Sequence[float], *more: str) -> Histogram:
            return Histogram(f"leaselock_{name}", text, (*names, *more), buckets=buckets, registry=registry)

        def counter(name: str, text: str, *more: str) -> Counter:
            return Counter(f"leaselock_{name}", text, (*names, *more), registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"leaselock_{name}", text, names, registry=registry, multiprocess_mode="livesum")

        took = "Time that acquires took, by what came of them"
        self._acquire = histogram("acquire_seconds", took, acquire, "outcome")
        self._hold = histogram("hold_seconds", "Time that leases were held", hold)
        self._held = gauge("held", "Leases held now")
        self._queue = gauge("waiting", "Acquires waiting in line now")
        self._contended = counter("contended", "Acquires that got a lock which someone else held at first")
        self._lost = counter("lost", "Leases lost, by why", "reason")
        self._renewed = counter("renewed", "Renewals and extensions of leases")
        self._unsure = counter("unsure", "Leases that became unsure: a renewal had failed")
        self._registry = registry

    def unregister(self) -> None:
        """Takes the metrics out of the registry."""
        for metric in (self._acquire, self._hold, self._held, self._queue):
            self._registry.unregister(metric)
        for counter in (self._contended, self._lost, self._renewed, self._unsure):
            self._registry.unregister(counter)

    def on_event(self, event: LockEvent) -> None:
        """Counts an event."""
        key = (event.app_id, self._labels.of(event.name))
        series = self._series.get(key) or self._new(key)
        kind = event.kind
        if (waited := event.waited) is not None:
            self._acquired(series, key, event, waited)
        elif (held := event.held) is not None:
            series.hold.observe(held)
            if event.owner in self._holding:
                self._holding.discard(event.owner)
                series.held.dec()
            if kind == "lost":
                self._lost.labels(*key, event.reason).inc()
        elif kind == "queued":
            self._waiting.add(event.owner)
            series.waiting.inc()
        elif kind == "renewed":
            series.renewed.inc()
        elif kind == "unsure":
            series.unsure.inc()

    def _acquired(self, series: _Series, key: tuple[str, str], event: LockEvent, waited: float) -> None:
        kind, owner = event.kind, event.owner
        histogram = series.acquire.get(kind)
        if histogram is None:
            histogram = series.acquire[kind] = self._acquire.labels(*key, kind)
        histogram.observe(waited)
        if owner in self._waiting:
            self._waiting.discard(owner)
            series.waiting.dec()
        if kind == "acquired":
            self._holding.add(owner)
            series.held.inc()
            if event.contended:
                series.contended.inc()

    def _new(self, key: tuple[str, str]) -> _Series:
        series = self._series[key] = _Series(
            {},
            self._hold.labels(*key),
            self._held.labels(*key),
            self._queue.labels(*key),
            self._contended.labels(*key),
            self._renewed.labels(*key),
            self._unsure.labels(*key),
        )
        return series
