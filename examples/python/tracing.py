"""Traces what happens to locks, by OpenTelemetry, to the console."""

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from leaselock import Client, otel

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda span: f"{span.name}\n")))
trace.set_tracer_provider(provider)

otel.instrument()  # once in a process, for all of its clients

tracer = trace.get_tracer("shop")
with (
    Client("memory:shop", app_id="shop") as client,
    tracer.start_as_current_span("POST /orders/42"),
    client.lock("order:42", ttl=30),
):
    print("the order is shipped")
