"""Metrics and traces of the locks of this process by OpenTelemetry: `pip install "leaselock[otel]"`.

    >>> from leaselock import otel
    >>> stop = otel.instrument()  # doctest: +SKIP

One call is enough for all clients of the process, made before or after. `opentelemetry-instrument` makes it by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace
from opentelemetry.trace import Status, StatusCode

from leaselock._labels import ACQUIRE_BUCKETS, HOLD_BUCKETS, Labels, family
from leaselock._native import __version__
from leaselock._observe import observe

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.metrics import Meter, MeterProvider, UpDownCounter
    from opentelemetry.trace import Tracer, TracerProvider
    from opentelemetry.util.types import AttributeValue

    from leaselock._native import LockEvent

__all__ = ["LeaselockInstrumentor", "family", "instrument"]

# What makes the span of an acquire one of an error.
_ERRORS = {"timed_out", "failed"}


def instrument(
    *,
    meter_provider: MeterProvider | None = None,
    tracer_provider: TracerProvider | None = None,
    label: Callable[[str], str] = family,
) -> Callable[[], None]:
    """Begins to measure and to trace what happens to the locks of this process.

    Each acquire becomes a span, and each lease one when it ends; both are children of the span that was current
    when the lock was asked for.

    Args:
        meter_provider: Where the metrics go; the global one if None.
        tracer_provider: Where the spans go; the global one if None.
        label: Makes the attribute `leaselock.lock` of a lock's name, and the names of spans. More than 100 of them are
            not told apart: the rest is `other`. Spans have the whole name as well, as `leaselock.name`.

    Returns:
        A function that ends it.
    """
    if meter_provider is None:
        meter_provider = metrics.get_meter_provider()
    labels = Labels(label)
    measures = _Measures(meter_provider.get_meter("leaselock", __version__), labels)
    spans = _Spans(trace.get_tracer("leaselock", __version__, tracer_provider), labels)

    def on_event(event: LockEvent) -> None:
        measures.on_event(event)
        spans.on_event(event)

    stop_observing = observe(on_event)

    def stop() -> None:
        stop_observing()
        measures.stop()

    return stop


class LeaselockInstrumentor:
    """What `opentelemetry-instrument` looks for: it has one `instrument` for each library."""

    _stop: Callable[[], None] | None = None

    def instrument(self, **options: Any) -> None:  # noqa: ANN401 - whatever instrumentors are given
        """Calls `instrument` with those of the options that it knows, unless that was done before."""
        if type(self)._stop is None:  # noqa: SLF001 - of its own class
            known = {name: options[name] for name in ("meter_provider", "tracer_provider", "label") if name in options}
            type(self)._stop = instrument(**known)  # noqa: SLF001

    def uninstrument(self, **_options: Any) -> None:  # noqa: ANN401
        """Ends it."""
        stop, type(self)._stop = type(self)._stop, None  # noqa: SLF001
        if stop is not None:
            stop()


def enter(counter: UpDownCounter, inside: dict[str, dict[str, str]], event: LockEvent, about: dict[str, str]) -> None:
    """Counts an owner in."""
    inside[event.owner] = about
    counter.add(1, about)


def leave(counter: UpDownCounter, inside: dict[str, dict[str, str]], owner: str) -> None:
    """Counts an owner out, if it was counted in."""
    if (about := inside.pop(owner, None)) is not None:
        counter.add(-1, about)


class _Measures:
    """The metrics of a meter."""

    def __init__(self, meter: Meter, labels: Labels) -> None:
        self._labels = labels
        # Who is counted in what, and as what.
        self._holding: dict[str, dict[str, str]] = {}
        self._waiting: dict[str, dict[str, str]] = {}
        self._uncertain: dict[str, dict[str, str]] = {}
        self._acquire = meter.create_histogram(
            "leaselock.acquire.duration",
            "s",
            "Time that acquires took, by what came of them",
            explicit_bucket_boundaries_advisory=ACQUIRE_BUCKETS,
        )
        self._hold = meter.create_histogram(
            "leaselock.hold.duration",
            "s",
            "Time that leases were held, by how they ended",
            explicit_bucket_boundaries_advisory=HOLD_BUCKETS,
        )
        self._held = meter.create_up_down_counter("leaselock.held", "{lease}", "Leases held now")
        self._queue = meter.create_up_down_counter("leaselock.waiting", "{acquire}", "Acquires waiting in line now")
        contended = "Acquires that got a lock which someone else held at first"
        self._contended = meter.create_counter("leaselock.contended", "{acquire}", contended)
        self._lost = meter.create_counter("leaselock.lost", "{lease}", "Leases lost, by why")
        self._renewed = meter.create_counter("leaselock.renewed", "{renewal}", "Renewals and extensions of leases")
        unsure = "Leases of which a renewal has failed, so that they may be lost"
        self._unsure = meter.create_up_down_counter("leaselock.unsure", "{lease}", unsure)

    def on_event(self, event: LockEvent) -> None:
        """Measures an event."""
        about = {"leaselock.app_id": event.app_id, "leaselock.lock": self._labels.of(event.name)}
        if (waited := event.waited) is not None:
            self._on_acquire(event, waited, about)
        elif (held := event.held) is not None:
            self._on_end(event, held, about)
        elif event.kind == "queued":
            enter(self._queue, self._waiting, event, about)
        elif event.kind == "renewed":
            self._renewed.add(1, about)
            leave(self._unsure, self._uncertain, event.owner)
        elif event.kind == "unsure":
            enter(self._unsure, self._uncertain, event, about)

    def stop(self) -> None:
        """Takes out of the counters for now what is in them, for whoever counts next."""
        for counter, inside in (
            (self._queue, self._waiting),
            (self._held, self._holding),
            (self._unsure, self._uncertain),
        ):
            for owner in list(inside):
                leave(counter, inside, owner)

    def _on_acquire(self, event: LockEvent, waited: float, about: dict[str, str]) -> None:
        ended = {**about, "leaselock.outcome": event.kind}
        if event.error is not None:
            ended["error.type"] = event.error
        self._acquire.record(waited, ended)
        leave(self._queue, self._waiting, event.owner)
        if event.kind == "acquired":
            enter(self._held, self._holding, event, about)
            if event.contended:
                self._contended.add(1, about)

    def _on_end(self, event: LockEvent, held: float, about: dict[str, str]) -> None:
        self._hold.record(held, {**about, "leaselock.outcome": event.kind})
        leave(self._held, self._holding, event.owner)
        leave(self._unsure, self._uncertain, event.owner)
        if event.reason is not None:
            self._lost.add(1, {**about, "leaselock.reason": event.reason})


class _Spans:
    """The spans of a tracer. An event comes in the context in which the lock was asked for."""

    def __init__(self, tracer: Tracer, labels: Labels) -> None:
        self._tracer = tracer
        self._labels = labels

    def on_event(self, event: LockEvent) -> None:
        """Makes a span of what has ended."""
        if event.waited is not None:
            self._span("acquire", event, event.waited)
        elif event.held is not None:
            self._span("lease", event, event.held)

    def _span(self, what: str, event: LockEvent, seconds: float) -> None:
        attributes: dict[str, AttributeValue] = {
            "leaselock.app_id": event.app_id,
            "leaselock.name": event.name,
            "leaselock.owner": event.owner,
            "leaselock.outcome": event.kind,
        }
        if event.token is not None:
            attributes["leaselock.token"] = event.token
        if event.contended is not None:
            attributes["leaselock.contended"] = event.contended
        if event.reason is not None:
            attributes["leaselock.reason"] = event.reason
        if event.error is not None:
            attributes["error.type"] = event.error
        name = f"{what} {self._labels.of(event.name)}"
        span = self._tracer.start_span(name, attributes=attributes, start_time=_nanoseconds(event.at - seconds))
        if event.kind in _ERRORS or event.kind == "lost":
            span.set_status(Status(StatusCode.ERROR, event.reason or event.error or event.kind))
        span.end(_nanoseconds(event.at))


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
