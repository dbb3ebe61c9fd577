// A service with OpenTelemetry's SDK that asks Spanlake at what rate it samples, and sends what it keeps.
// node client.mjs SAMPLING_URL TRACES_URL: prints a line of JSON a second; ends when its standard input does.
import { ROOT_CONTEXT, SpanKind, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { JaegerRemoteSampler } from "@opentelemetry/sampler-jaeger-remote";
import { AlwaysOnSampler, BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";

const [sampling, traces] = process.argv.slice(2);
const TICK_MS = 20;
// Roots in each tick: 300, 50 and one a second.
const PLAN = { "GET /cart": 6, "GET /health": 1, "POST /order": 0.02 };

const sampler = new JaegerRemoteSampler({
  endpoint: sampling,
  serviceName: "shop",
  initialSampler: new AlwaysOnSampler(),
  poolingInterval: 250,
});
const exporter = new OTLPTraceExporter({ url: traces });
const provider = new TracerProvider({
  resource: resourceFromAttributes({ "service.name": "shop" }),
  sampler,
  spanProcessors: [new BatchSpanProcessor({ exporter, scheduledDelayMillis: 100, maxQueueSize: 100_000 })],
});
const tracer = provider.getTracer("client");

let counts = {};
let due = {};

function request(name) {
  const root = tracer.startSpan(name, { kind: SpanKind.SERVER, root: true });
  const child = tracer.startSpan("work", {}, trace.setSpan(ROOT_CONTEXT, root));
  child.end();
  root.end();
  const count = (counts[name] ??= { started: 0, kept: 0 });
  count.started += 1;
  count.kept += root.spanContext().traceFlags;
}

function tick() {
  for (const [name, rate] of Object.entries(PLAN)) {
    due[name] = (due[name] ?? 0) + rate;
    for (; due[name] >= 1; due[name] -= 1) request(name);
  }
}

setInterval(tick, TICK_MS);
setInterval(() => {
  console.log(JSON.stringify(counts));
  counts = {};
}, 1000);
process.stdin.resume();
process.stdin.on("end", async () => {
  await provider.shutdown();
  process.exit(0);
});
