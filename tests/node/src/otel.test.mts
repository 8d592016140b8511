// Metrics and traces by OpenTelemetry, as its in-memory exporters show them.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { context, type HrTime, SpanStatusCode } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { Client } from "leaselock";
import { instrument } from "leaselock/otel";

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());

function sdk() {
  const appId = randomUUID();
  const spanExporter = new InMemorySpanExporter();
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spanExporter)] });
  const metricExporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter: metricExporter, exportIntervalMillis: 3_600_000 });
  const meterProvider = new MeterProvider({ readers: [reader] });
  const stop = instrument({ meterProvider, tracerProvider });
  return {
    appId,
    tracer: tracerProvider.getTracer("test"),
    client: new Client(`memory:${appId}`, { appId }),
    stop,
    spans(name: string) {
      const mine = spanExporter
        .getFinishedSpans()
        .filter(({ attributes }) => (attributes["leaselock.app_id"] ?? appId) === appId);
      return mine.filter((span) => span.name === name);
    },
    async points() {
      metricExporter.reset();
      await meterProvider.forceFlush();
      const found = new Map<string, { value: unknown; bounds: number[] | undefined }>();
      for (const { scopeMetrics } of metricExporter.getMetrics()) {
        for (const { descriptor, dataPoints } of scopeMetrics.flatMap(({ metrics }) => metrics)) {
          for (const { attributes, value } of dataPoints) {
            const { "leaselock.app_id": app, ...others } = attributes;
            if (app === appId) {
              const bounds = typeof value === "object" && "buckets" in value ? value.buckets : undefined;
              const key = [descriptor.name, descriptor.unit, ...Object.values(others)].join(" ");
              found.set(key, { value, bounds: (bounds as { boundaries: number[] } | undefined)?.boundaries });
            }
          }
        }
      }
      return found;
    },
  };
}

const millis = ([seconds, nanoseconds]: HrTime) => seconds * 1000 + nanoseconds / 1e6;

test("the spans of an acquire and a lease", async () => {
  const { client, tracer, spans, stop, appId } = sdk();
  const begun = Date.now();
  let owner = "";
  let token = 0;
  await tracer.startActiveSpan("request", async (request) => {
    await client.using("order:1", {}, async (lease) => {
      ({ owner, token } = lease);
      await sleep(100);
      await assert.rejects(client.acquire("order:1", { wait: 200 }));
    });
    request.end();
  });
  await client.acquire("order:2", { ttl: 100, renew: false });
  await sleep(300);
  await client.close();
  stop();
  const [request] = spans("request");
  const [got, timedOut, second] = spans("acquire order:*");
  const [held, lost] = spans("lease order:*");
  assert.ok(request && got && timedOut && second && held && lost);
  for (const child of [got, timedOut, held]) {
    assert.equal(child.parentSpanContext?.spanId, request.spanContext().spanId);
  }
  assert.equal(second.parentSpanContext, undefined);
  assert.equal(lost.parentSpanContext, undefined);
  assert.deepEqual(
    { ...got.attributes },
    {
      "leaselock.app_id": appId,
      "leaselock.name": "order:1",
      "leaselock.owner": owner,
      "leaselock.outcome": "acquired",
      "leaselock.token": token,
      "leaselock.contended": false,
    },
  );
  assert.equal(got.status.code, SpanStatusCode.UNSET);
  assert.equal(timedOut.status.code, SpanStatusCode.ERROR);
  assert.deepEqual(lost.status, { code: SpanStatusCode.ERROR, message: "expired" });
  assert.ok(millis(got.startTime) >= begun - 2 && millis(got.endTime) >= millis(got.startTime));
  assert.ok(millis(held.duration) >= 300);
  assert.ok(millis(timedOut.duration) >= 200 && millis(timedOut.duration) < 2000);
  assert.ok(Math.abs(millis(held.startTime) + millis(held.duration) - millis(held.endTime)) < 1);
});

test("the metrics", async () => {
  const { client, points, stop } = sdk();
  const held = await client.acquire("order:1");
  assert.equal(await client.tryAcquire("order:1"), null);
  const waiter = client.acquire("order:1");
  await sleep(200);
  const now = await points();
  assert.equal(now.get("leaselock.held {lease} order:*")?.value, 1);
  assert.equal(now.get("leaselock.waiting {acquire} order:*")?.value, 1);
  await held.release();
  await (await waiter).release();
  const lost = await client.acquire("order:2", { ttl: 300 });
  await sleep(200);
  await client.forceRelease("order:2");
  for (let n = 0; n < 300 && lost.held; n += 1) {
    await sleep(10);
  }
  await client.close();
  const end = await points();
  stop();
  const count = (key: string) => (end.get(key)?.value as { count: number } | undefined)?.count;
  const acquired = end.get("leaselock.acquire.duration s order:* acquired");
  assert.equal(count("leaselock.acquire.duration s order:* acquired"), 3);
  assert.equal(acquired?.bounds?.[0], 0.001);
  assert.equal(count("leaselock.acquire.duration s order:* busy"), 1);
  assert.equal(count("leaselock.hold.duration s order:* released"), 2);
  assert.equal(count("leaselock.hold.duration s order:* lost"), 1);
  assert.equal(end.get("leaselock.lost {lease} order:* released")?.value, 1);
  assert.equal(end.get("leaselock.contended {acquire} order:*")?.value, 1);
  assert.ok(Number(end.get("leaselock.renewed {renewal} order:*")?.value) >= 1);
  assert.equal(end.get("leaselock.held {lease} order:*")?.value, 0);
  assert.equal(end.get("leaselock.waiting {acquire} order:*")?.value, 0);
});
