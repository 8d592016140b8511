// Traces what happens to locks, by OpenTelemetry, to the console.

import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { Client } from "leaselock";
import { instrument } from "leaselock/otel";

const exporter = {
  export(spans, done) {
    for (const span of spans) {
      console.log(span.name);
    }
    done({ code: 0 });
  },
  shutdown: async () => {},
};
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));

instrument(); // once in a thread, for all of its clients

const client = new Client("memory:shop", { appId: "shop" });
await trace.getTracer("shop").startActiveSpan("POST /orders/42", async (span) => {
  await client.using("order:42", { ttl: 30_000 }, () => console.log("the order is shipped"));
  span.end();
});
await client.close();
