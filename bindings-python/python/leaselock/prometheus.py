"""Metrics of the locks of this process for Prometheus, by `prometheus_client`: `pip install "leaselock[prometheus]"`.

    >>> from leaselock import prometheus
    >>> stop = prometheus.instrument()  # doctest: +SKIP

One call is enough for all clients of the process, made before or after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from leaselock._labels import ACQUIRE_BUCKETS, HOLD_BUCKETS, Labels, family
from leaselock._observe import observe_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prometheus_client import CollectorRegistry

    from leaselock._native import LockEvent
    from leaselock._records import LossReason

__all__ = ["ACQUIRE_BUCKETS", "HOLD_BUCKETS", "family", "instrument"]

REASONS: tuple[LossReason, ...] = ("expired", "taken", "released", "max_hold")


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
    stop_observing = observe_batches(metrics.on_batch)

    def stop() -> None:
        stop_observing()
        metrics.unregister()

    return stop


class _Series:
    """The metrics of one kind of locks."""

    __slots__ = (
        *("acquire", "contended", "held", "hold", "lost", "queue", "renewed", "unsure"),
        *("held_by", "unsure_by", "waiting_by"),
    )

    def __init__(self, metrics: _Metrics, key: tuple[str, str]) -> None:
        self.acquire = {"acquired": metrics.acquire.labels(*key, "acquired")}
        self.hold = metrics.hold.labels(*key)
        self.held = metrics.held.labels(*key)
        self.queue = metrics.queue.labels(*key)
        self.contended = metrics.contended.labels(*key)
        self.renewed = metrics.renewed.labels(*key)
        self.unsure = metrics.unsure.labels(*key)
        # From 0 on: an increase is seen only of what was there before.
        self.lost = {reason: metrics.lost.labels(*key, reason) for reason in REASONS}
        # What the gauges are to change by, at the end of a batch.
        self.held_by = 0
        self.waiting_by = 0
        self.unsure_by = 0


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
        self._unsure: set[str] = set()
        names = ("app_id", "lock")

        def histogram(name: str, text: str, buckets: Sequence[float], *more: str) -> Histogram:
            return Histogram(f"leaselock_{name}", text, (*names, *more), buckets=buckets, registry=registry)

        def counter(name: str, text: str, *more: str) -> Counter:
            return Counter(f"leaselock_{name}", text, (*names, *more), registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"leaselock_{name}", text, names, registry=registry, multiprocess_mode="livesum")

        took = "Time that acquires took, by what came of them"
        self.acquire = histogram("acquire_seconds", took, acquire, "outcome")
        self.hold = histogram("hold_seconds", "Time that leases were held", hold)
        self.held = gauge("held", "Leases held now")
        self.queue = gauge("waiting", "Acquires waiting in line now")
        self.contended = counter("contended", "Acquires that got a lock which someone else held at first")
        self.lost = counter("lost", "Leases lost, by why", "reason")
        self.renewed = counter("renewed", "Renewals and extensions of leases")
        self.unsure = gauge("unsure", "Leases of which a renewal has failed, so that they may be lost")
        self._registry = registry

    def unregister(self) -> None:
        """Takes the metrics out of the registry."""
        for metric in (self.acquire, self.hold, self.held, self.queue, self.unsure):
            self._registry.unregister(metric)
        for counter in (self.contended, self.lost, self.renewed):
            self._registry.unregister(counter)

    def on_batch(self, events: list[LockEvent]) -> None:
        """Counts events."""
        changed: set[_Series] = set()
        for event in events:
            series = self._series_of(event.app_id, event.name)
            kind, owner = event.kind, event.owner
            if kind == "acquired":
                series.acquire["acquired"].observe(event.waited or 0)
                self._holding.add(owner)
                series.held_by += 1
                if event.contended:
                    series.contended.inc()
                    self._leave_queue(series, owner)
            elif (held := event.held) is not None:
                series.hold.observe(held)
                if owner in self._holding:
                    self._holding.discard(owner)
                    series.held_by -= 1
                if event.reason is not None:
                    series.lost[event.reason].inc()
                self._sure(series, owner)
            else:
                self._on_rest(series, event)
            changed.add(series)
        for series in changed:
            series.held.inc(series.held_by)
            series.queue.inc(series.waiting_by)
            series.unsure.inc(series.unsure_by)
            series.held_by = series.waiting_by = series.unsure_by = 0

    def _on_rest(self, series: _Series, event: LockEvent) -> None:
        kind = event.kind
        if kind == "queued":
            self._waiting.add(event.owner)
            series.waiting_by += 1
        elif kind == "renewed":
            series.renewed.inc()
            self._sure(series, event.owner)
        elif kind == "unsure":
            self._unsure.add(event.owner)
            series.unsure_by += 1
        else:
            histogram = series.acquire.get(kind)
            if histogram is None:
                labels = (event.app_id, self._labels.of(event.name), kind)
                histogram = series.acquire[kind] = self.acquire.labels(*labels)
            histogram.observe(event.waited or 0)
            self._leave_queue(series, event.owner)

    def _sure(self, series: _Series, owner: str) -> None:
        if owner in self._unsure:
            self._unsure.discard(owner)
            series.unsure_by -= 1

    def _leave_queue(self, series: _Series, owner: str) -> None:
        if owner in self._waiting:
            self._waiting.discard(owner)
            series.waiting_by -= 1

    def _series_of(self, app_id: str, name: str) -> _Series:
        key = (app_id, self._labels.of(name))
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series(self, key)
        return series
