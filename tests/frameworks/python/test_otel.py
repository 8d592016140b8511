"""Metrics and traces by OpenTelemetry, as its in-memory exporters show them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from leaselock import AsyncClient, Client, LockTimeoutError, otel
from leaselock._native import flush_observed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan


class Seen:
    """What exporters got about one app id."""

    def __init__(self) -> None:
        self.app_id = uuid.uuid4().hex
        self._reader = InMemoryMetricReader()
        self._spans = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meters = MeterProvider([self._reader])

    def spans(self) -> dict[str, list[ReadableSpan]]:
        found: dict[str, list[ReadableSpan]] = {}
        for span in self._spans.get_finished_spans():
            if (span.attributes or {}).get("leaselock.app_id", self.app_id) == self.app_id:
                found.setdefault(span.name, []).append(span)
        return found

    def points(self) -> dict[str, Any]:
        data = self._reader.get_metrics_data()
        assert data is not None
        metrics = [m for r in data.resource_metrics for scope in r.scope_metrics for m in scope.metrics]
        found = {}
        for metric in metrics:
            for point in metric.data.data_points:
                attributes = dict(point.attributes or {})
                if attributes.pop("leaselock.app_id") == self.app_id:
                    found[" ".join([metric.name, metric.unit or "", *map(str, attributes.values())])] = point
        return found


@pytest.fixture
def seen() -> Iterator[Seen]:
    seen = Seen()
    stop = otel.instrument(meter_provider=seen.meters, tracer_provider=seen.tracers)
    yield seen
    stop()
    seen.tracers.shutdown()
    seen.meters.shutdown()


def test_the_spans_of_an_acquire_and_a_lease(seen: Seen) -> None:
    tracer = seen.tracers.get_tracer("test")
    with Client(f"memory:{seen.app_id}", app_id=seen.app_id) as client:
        before = time.time_ns()
        with tracer.start_as_current_span("request"), client.lock("order:1") as lease:
            time.sleep(0.1)
            with pytest.raises(LockTimeoutError):
                client.acquire("order:1", wait=0.2)
        token = lease.token
        unrenewed = client.acquire("order:2", ttl=0.1, renew=False)
        time.sleep(0.2)
        assert not unrenewed.held
    spans = seen.spans()
    request = spans["request"][0]
    got, timed_out, second = spans["acquire order:*"]
    held, lost = spans["lease order:*"]
    for child in (got, timed_out, held):
        assert child.parent is not None
        assert child.parent.span_id == request.context.span_id
    assert second.parent is None
    assert lost.parent is None
    assert dict(got.attributes or {}) == {
        "leaselock.app_id": seen.app_id,
        "leaselock.name": "order:1",
        "leaselock.owner": lease.owner,
        "leaselock.outcome": "acquired",
        "leaselock.token": token,
        "leaselock.contended": False,
    }
    assert got.status.status_code is StatusCode.UNSET
    assert timed_out.status.status_code is StatusCode.ERROR
    assert (lost.status.status_code, lost.status.description) == (StatusCode.ERROR, "expired")
    assert got.start_time is not None
    assert got.end_time is not None
    assert held.start_time is not None
    assert held.end_time is not None
    assert timed_out.start_time is not None
    assert timed_out.end_time is not None
    assert before - 1_000_000 < got.start_time <= got.end_time < held.end_time
    # A lease counts from when its command was sent, as its deadline does.
    assert got.start_time - 1_000_000 <= held.start_time <= got.end_time + 1_000_000
    assert held.end_time - held.start_time >= 300_000_000
    assert 200_000_000 <= timed_out.end_time - timed_out.start_time < 2_000_000_000


async def test_the_spans_of_tasks(seen: Seen) -> None:
    tracer = seen.tracers.get_tracer("test")
    async with AsyncClient(f"memory:{seen.app_id}", app_id=seen.app_id) as client:

        async def task(n: int) -> None:
            with tracer.start_as_current_span(f"task {n}"):
                async with client.lock("one"):
                    await asyncio.sleep(0.01)

        await asyncio.gather(*(task(n) for n in range(8)))
    spans = seen.spans()
    parents = {spans[f"task {n}"][0].context.span_id for n in range(8)}
    for what in ("acquire one", "lease one"):
        assert {span.parent.span_id for span in spans[what] if span.parent} == parents
    assert seen.points()["leaselock.contended {acquire} one"].value == 7


def test_the_metrics(seen: Seen) -> None:
    with Client(f"memory:{seen.app_id}", app_id=seen.app_id) as client:
        held = client.acquire("order:1")
        assert client.try_acquire("order:1") is None
        waiter = threading.Thread(target=lambda: client.acquire("order:1").release())
        waiter.start()
        while client.stats().waiting == 0:
            time.sleep(0.01)
        time.sleep(0.2)
        flush_observed()
        points = seen.points()
        assert points["leaselock.held {lease} order:*"].value == 1
        assert points["leaselock.waiting {acquire} order:*"].value == 1
        held.release()
        waiter.join()
        lost = client.acquire("order:2", ttl=0.3)
        time.sleep(0.2)
        client.force_release("order:2")
        assert lost.wait_lost(5)
    points = seen.points()
    acquired = points["leaselock.acquire.duration s order:* acquired"]
    assert acquired.count == 3
    assert 0.2 <= acquired.sum < 5
    assert acquired.explicit_bounds[0] == 0.001
    assert points["leaselock.acquire.duration s order:* busy"].count == 1
    assert points["leaselock.hold.duration s order:* released"].count == 2
    assert points["leaselock.hold.duration s order:* lost"].count == 1
    assert points["leaselock.lost {lease} order:* released"].value == 1
    assert points["leaselock.renewed {renewal} order:*"].value >= 1
    assert points["leaselock.contended {acquire} order:*"].value == 1
    assert points["leaselock.held {lease} order:*"].value == 0
    assert points["leaselock.waiting {acquire} order:*"].value == 0


def test_a_failed_acquire_says_its_error(seen: Seen) -> None:
    with Client("redis://127.0.0.1:1", app_id=seen.app_id, command_timeout=0.1) as client, pytest.raises(Exception):  # noqa: B017
        client.acquire("n", wait=0.1)
    (span,) = seen.spans()["acquire n"]
    assert (span.attributes or {})["error.type"] == "STORE_UNAVAILABLE"
    assert span.status.status_code is StatusCode.ERROR
    assert seen.points()["leaselock.acquire.duration s n failed STORE_UNAVAILABLE"].count == 1


def test_opentelemetry_instrument_finds_it(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from leaselock import Client\nwith Client('memory:x') as client, client.lock('order:1'):\n    pass\n"
    )
    command = [str(Path(sys.executable).with_name("opentelemetry-instrument"))]
    options = ["--traces_exporter", "console", "--metrics_exporter", "none", "--logs_exporter", "none"]
    command += [*options, sys.executable, str(program)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60)
    decoder, text, names = json.JSONDecoder(), done.stdout.strip(), []
    while text:
        span, end = decoder.raw_decode(text)
        names.append(span["name"])
        text = text[end:].strip()
    assert names == ["acquire order:*", "lease order:*"]
