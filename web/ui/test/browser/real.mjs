// The pages with data that real systems made: numbers equal the API's, and the largest trace opens and scrolls.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { rows, startServer } from "./server.mjs";

const TIMEOUT = 60_000;
const DATA = join(process.env["SPANLAKE_TEST_DATA"] ?? join(import.meta.dirname, "../../../../../shared/data"), "converted");
const SETS = ["nezha_ob_0822", "jaeger_ui", "chrome_catapult"];
const skip = !existsSync(DATA) && "../shared/data is absent";
const CATAPULT_SPANS = 66_373;

/** A server of its own with one of the sets. */
async function withSet(binary, name, act) {
  const server = await startServer(binary);
  try {
    const done = spawnSync(binary, ["import", join(DATA, `${name}.otlp.pb.gz`), "--shift-to-now", "--server", new URL(server.otlp).origin], { encoding: "utf8" });
    assert.equal(done.status, 0, done.stdout + done.stderr);
    await act(server);
  } finally {
    await server.stop();
  }
}

export function realTests({ binary, open, table, figure, digits, shots }) {
  for (const name of SETS) {
    test(`the pages show ${name} as the API answers it`, { timeout: TIMEOUT * 5, skip }, () =>
      withSet(binary, name, async (server) => {
        const ask = async (statement) => (await rows(server, "/api/v1/sql", statement))[0];
        const all = await ask("SELECT count(*) AS traces, sum(CASE WHEN errors > 0 THEN 1 ELSE 0 END) AS failed FROM traces()");
        await open(server, "/?from=all", async (page) => {
          const services = await rows(server, "/api/v1/sql", "SELECT service, count(*) AS n FROM spans WHERE kind IN ('SERVER', 'CONSUMER') OR parent_span_id IS NULL GROUP BY service");
          const shown = await table(page, "services");
          assert.deepEqual(new Map(shown.map((row) => [row.service.text, digits(row.requests.title)])), new Map(services.map((row) => [row.service, row.n])));
        });
        await open(server, "/traces?from=all", async (page) => {
          await table(page, "traces");
          if (all.traces > 100) await page.locator(".heat svg").waitFor();
          assert.equal(digits((await page.locator('[data-figure="traces"]').getAttribute("title")) ?? ""), all.traces);
        });
        await open(server, "/latency?from=all", async (page) => {
          const expected = await rows(server, "/api/v1/latency");
          const shown = await table(page, "latency");
          assert.deepEqual(shown.map((row) => `${row.service.text} ${row.name.text} ${digits(row.p99.title)}`).sort(), expected.map((row) => `${row.root_service} ${row.root_name} ${row.p99_nano}`).slice(0, shown.length).sort());
          await page.locator(".heat svg").waitFor();
          assert.equal(Number(await page.locator(".heat svg").getAttribute("data-total")), all.traces);
        });
        await open(server, "/dependencies?from=all", async (page) => {
          const expected = await rows(server, "/api/v1/dependencies");
          if (expected.length === 0) return page.locator("main .empty").waitFor();
          const shown = await table(page, "dependencies");
          const key = (row) => `${row.caller} → ${row.callee} (${row.kind}): ${row.calls}`;
          assert.deepEqual(shown.map((row) => key({ caller: row.caller.text, callee: row.callee.text, kind: row.kind.text, calls: digits(row.calls.title) })).sort(), expected.map(key).sort());
        });
        await open(server, "/patterns?from=all", async (page) => {
          await table(page, "patterns");
          assert.equal(digits((await figure(page, "patterns"))), (await rows(server, "/api/v1/patterns")).length);
        });
        const largest = await ask("SELECT trace_id, spans, errors FROM traces() ORDER BY spans DESC, trace_id LIMIT 1");
        await open(server, `/trace/${largest.trace_id}`, async (page) => {
          await page.locator(".wf-row").first().waitFor();
          assert.equal(digits((await page.locator('[data-figure="spans"]').getAttribute("title")) ?? ""), largest.spans);
          assert.equal(digits(await figure(page, "errors")), largest.errors);
          const path = await rows(server, `/api/v1/traces/${largest.trace_id}/critical-path`);
          await page.locator(`.waterfall[data-critical="${path.reduce((sum, piece) => sum + piece.path_nano, 0)}"]`).waitFor();
        });
      }));
  }

  test("a trace of 66,373 spans is drawn and scrolled with little work of the page; a performance trace is kept", { timeout: TIMEOUT * 4, skip }, () =>
    withSet(binary, "chrome_catapult", async (server) => {
      const [largest] = await rows(server, "/api/v1/sql", "SELECT trace_id, count(*) AS spans FROM spans GROUP BY trace_id ORDER BY spans DESC LIMIT 1");
      assert.equal(largest.spans, CATAPULT_SPANS);
      await open(server, "/tail", async (page) => {
        await page.locator('[data-figure="connection"]').waitFor();
        const client = await page.context().newCDPSession(page);
        // Processor time of the page's thread, whatever else the machine does.
        await client.send("Performance.enable", { timeDomain: "threadTicks" });
        const cost = async (act) => {
          const task = async () => (await client.send("Performance.getMetrics")).metrics.find((metric) => metric.name === "TaskDuration").value * 1000;
          const before = await task();
          await act();
          return (await task()) - before;
        };
        const events = [];
        client.on("Tracing.dataCollected", ({ value }) => events.push(...value));
        await client.send("Tracing.start", { transferMode: "ReportEvents", categories: "devtools.timeline,devtools.timeline.frame,disabled-by-default-devtools.timeline,benchmark" });
        const drawn = await cost(async () => {
          await page.evaluate((id) => {
            history.pushState(null, "", `/trace/${id}`);
            dispatchEvent(new PopStateEvent("popstate"));
          }, largest.trace_id);
          await page.waitForFunction(() => performance.getEntriesByName("trace-first-paint").length === 1);
        });
        await page.locator(".waterfall[data-critical]").waitFor();
        const frames = 120;
        const scrolled = await cost(() =>
          page.evaluate((count) => new Promise((resolve) => {
            const element = document.querySelector(".wf-scroll");
            const step = (left) => {
              element.scrollTop += 137;
              if (left > 0) requestAnimationFrame(() => step(left - 1));
              else resolve();
            };
            step(count);
          }), frames));
        const ended = new Promise((resolve) => client.once("Tracing.tracingComplete", resolve));
        await client.send("Tracing.end");
        await ended;
        mkdirSync(shots, { recursive: true });
        writeFileSync(join(shots, "waterfall-trace.json"), JSON.stringify({ traceEvents: events }));
        assert.equal(await page.locator(".waterfall").getAttribute("data-rows"), String(CATAPULT_SPANS));
        assert.ok((await page.locator(".wf-row").count()) < 60, "rows out of sight are in the page");
        const { usedSize } = await client.send("Runtime.getHeapUsage");
        assert.ok(usedSize < 300 * 2 ** 20, `${usedSize} bytes of heap`);
        assert.ok(drawn < 700, `${drawn.toFixed(0)} ms of processor time until the first picture`);
        assert.ok(scrolled / frames < 12, `${(scrolled / frames).toFixed(1)} ms of processor time a frame`);
      });
    }));
}
