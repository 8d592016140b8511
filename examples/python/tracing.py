"""Traces what happens to locks, by OpenTelemetry."""

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from leaselock import Client, otel

exporter = InMemorySpanExporter()  # yours sends them to a collector
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

otel.instrument()  # once in a process, for all of its clients

tracer = trace.get_tracer("shop")
with (
    Client("memory:shop", app_id="shop") as client,
    tracer.start_as_current_span("POST /orders/42"),
    client.lock("order:42", ttl=30),
):
    print("the order is shipped")

for name in sorted(span.name for span in exporter.get_finished_spans()):
    print(name)
