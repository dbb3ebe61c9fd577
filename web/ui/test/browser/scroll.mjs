// A benchmark, not a test: how soon the waterfall of a trace of 100,000 spans is there, and how smoothly it scrolls and zooms.
// node test/browser/scroll.mjs --server-binary PATH [--file FILE] [--page FOLDER] [--out FOLDER]
// With a file (such as `chrome_catapult.otlp.pb.gz`, or `real` for it) its largest trace is taken instead.
// Leaves `scroll-trace.json` (open it in chrome://tracing or ui.perfetto.dev) and prints frame times as JSON.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { rows, startServer } from "./server.mjs";
import { hugeBodies } from "./spans.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const data = process.env["SPANLAKE_TEST_DATA"] ?? join(here, "../../../../../shared/data");
const { values } = parseArgs({
  options: { "server-binary": { type: "string" }, page: { type: "string" }, file: { type: "string" }, out: { type: "string", default: "." } },
});
const file = values.file === "real" ? join(data, "converted/chrome_catapult.otlp.pb.gz") : values.file;
if (!values["server-binary"] || (file && !existsSync(file))) {
  console.error(values["server-binary"] ? `skipped: ${file} is absent` : "usage: node test/browser/scroll.mjs --server-binary PATH");
  process.exit(values["server-binary"] ? 0 : 2);
}

/** Lets the browser draw frames without a GPU as it would with one: at 60 a second. */
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"];
const FRAMES = 240;
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

const rank = (sorted, share) => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
const rounded = (value) => Math.round(value * 100) / 100;

/** Frames of `act` (called in the page once a frame): milliseconds between them, and of script, layout and paint in each. */
async function measure(page, client, act) {
  const times = async () => Object.fromEntries((await client.send("Performance.getMetrics")).metrics.map((metric) => [metric.name, metric.value]));
  const before = await times();
  const stamps = await page.evaluate(act, FRAMES);
  const after = await times();
  const gaps = stamps.slice(1).map((at, index) => at - stamps[index]).sort((a, b) => a - b);
  const each = (name) => rounded(((after[name] - before[name]) * 1000) / FRAMES);
  return {
    frames: FRAMES,
    frame_ms: { p50: rounded(rank(gaps, 0.5)), p95: rounded(rank(gaps, 0.95)), p99: rounded(rank(gaps, 0.99)), max: rounded(rank(gaps, 1)) },
    frames_per_second: rounded(1000 / (gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length)),
    late_frames: gaps.filter((gap) => gap > 1000 / 60 + 8).length,
    main_thread_ms_a_frame: { task: each("TaskDuration"), script: each("ScriptDuration"), layout: each("LayoutDuration"), style: each("RecalcStyleDuration") },
  };
}

/** Scrolls by what a wheel moves in a frame. */
const scroll = (count) => new Promise((resolve) => {
  const element = document.querySelector(".wf-scroll");
  element.scrollTop = 0;
  const stamps = [];
  const step = (now) => {
    stamps.push(now);
    element.scrollTop += 137;
    if (stamps.length <= count) requestAnimationFrame(step);
    else resolve(stamps);
  };
  requestAnimationFrame(step);
});

/** Zooms in and out around the middle, as Ctrl and wheel do. */
const zoom = (count) => new Promise((resolve) => {
  const element = document.querySelector(".wf-scroll");
  const box = element.getBoundingClientRect();
  const stamps = [];
  const step = (now) => {
    stamps.push(now);
    const deltaY = stamps.length % 120 < 60 ? -30 : 30;
    element.dispatchEvent(new WheelEvent("wheel", { deltaY, ctrlKey: true, clientX: box.left + box.width * 0.7, clientY: box.top + 100, bubbles: true, cancelable: true }));
    if (stamps.length <= count) requestAnimationFrame(step);
    else resolve(stamps);
  };
  requestAnimationFrame(step);
});

async function traced(client, act) {
  const events = [];
  client.on("Tracing.dataCollected", ({ value }) => events.push(...value));
  await client.send("Tracing.start", { transferMode: "ReportEvents", categories: "devtools.timeline,devtools.timeline.frame,disabled-by-default-devtools.timeline,benchmark" });
  const result = await act();
  const done = new Promise((resolve) => client.once("Tracing.tracingComplete", resolve));
  await client.send("Tracing.end");
  await done;
  return { result, events };
}

async function sendHuge() {
  for (const body of hugeBodies(Date.now())) {
    const answer = await fetch(server.otlp, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(await answer.text());
  }
}

function importFile(path) {
  const done = spawnSync(values["server-binary"], ["import", path, "--shift-to-now", "--server", new URL(server.otlp).origin], { encoding: "utf8" });
  if (done.status !== 0) throw new Error(done.stdout + done.stderr);
}

const server = await startServer(values["server-binary"]);
const browser = await chromium.launch({ executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium", args: FLAGS });
try {
  await (file ? importFile(file) : sendHuge());
  const [largest] = await rows(server, "/api/v1/sql", "SELECT trace_id, count(*) AS spans FROM spans GROUP BY trace_id ORDER BY spans DESC LIMIT 1");
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  if (values.page) {
    const policy = (await fetch(server.page)).headers.get("content-security-policy");
    await page.route(/./, (route) => {
      const path = new URL(route.request().url()).pathname;
      if (path.startsWith("/api/")) return route.continue();
      const file = join(values.page, /\.\w+$/.test(path) ? path : "index.html");
      return route.fulfill({ path: file, headers: { "content-security-policy": policy, "content-type": TYPES[extname(file)] ?? "text/plain" } });
    });
  }
  const client = await page.context().newCDPSession(page);
  await client.send("Performance.enable");
  // Once before: a person's browser has started, and the page's files are in its cache.
  await page.goto(server.page);
  await page.locator(".rail").waitFor();
  const opened = Date.now();
  await page.goto(`${server.page}/trace/${largest.trace_id}`);
  await page.waitForFunction(() => performance.getEntriesByName("trace-first-paint").length === 1);
  const first = Date.now() - opened;
  const marks = await page.evaluate(() => Object.fromEntries(performance.getEntriesByType("mark").map((mark) => [mark.name, Math.round(mark.startTime)])));
  const answer = await page.evaluate(() => {
    const entry = performance.getEntriesByType("resource").find((one) => one.name.includes("/traces/"));
    return { asked_ms: Math.round(entry.startTime), first_byte_ms: Math.round(entry.responseStart), last_byte_ms: Math.round(entry.responseEnd), bytes: entry.encodedBodySize, decoded_bytes: entry.decodedBodySize };
  });
  const { result, events } = await traced(client, async () => ({ scroll: await measure(page, client, scroll), zoom: await measure(page, client, zoom) }));
  const { usedSize } = await client.send("Runtime.getHeapUsage");
  mkdirSync(values.out, { recursive: true });
  writeFileSync(join(values.out, "scroll-trace.json"), JSON.stringify({ traceEvents: events }));
  console.log(JSON.stringify({ spans: largest.spans, open_to_first_paint_ms: first, marks_ms: marks, answer, heap_mib: rounded(usedSize / 2 ** 20), ...result }, null, 2));
} finally {
  await browser.close();
  await server.stop();
}
