// Tests of traces of many spans: what the page's thread does for them is counted in processor time, which a busy machine does not change much.
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { HUGE, HUGE_SPANS, hugeBodies, LARGE, LARGE_SPANS, largeBody } from "./spans.mjs";

const TIMEOUT = 60_000;

/** Milliseconds of CPU that the page's main thread takes for one frame, over `count` frames. */
async function frameCost(page, count, act) {
  const client = await page.context().newCDPSession(page);
  await client.send("Performance.enable", { timeDomain: "threadTicks" });
  const task = async () => (await client.send("Performance.getMetrics")).metrics.find((metric) => metric.name === "TaskDuration").value * 1000;
  const from = await task();
  await page.evaluate(act, count);
  return ((await task()) - from) / count;
}

/** Scrolls by what a wheel moves in a frame, `count` times; runs in the page. */
const scrolling = (count) => new Promise((resolve) => {
  const element = document.querySelector(".wf-scroll");
  const step = (left) => {
    element.scrollTop += 120;
    if (left > 0) requestAnimationFrame(() => step(left - 1));
    else resolve();
  };
  step(count);
});

export function largeTests({ server, visit, send, digits, figure, shots }) {
  test("a trace of 20,001 spans opens, scrolls, folds and is searched", { timeout: TIMEOUT * 3 }, async () => {
    await send(largeBody(Date.now()));
    await visit(`/trace/${LARGE}`, async (page) => {
      await page.waitForFunction(() => performance.getEntriesByName("trace-first-paint").length === 1);
      assert.equal(await page.locator(".waterfall").getAttribute("data-rows"), String(LARGE_SPANS));
      assert.ok((await page.locator(".wf-row").count()) < 60, "rows out of sight are in the page");
      const size = await page.evaluate(() => performance.getEntriesByType("resource").find((entry) => entry.name.includes("/traces/")).decodedBodySize);
      assert.ok(size < LARGE_SPANS * 100, `${size} bytes`);
      const cost = await frameCost(page, 60, scrolling);
      assert.ok(cost < 16, `a frame takes ${cost.toFixed(1)} ms of CPU`);
      await page.keyboard.press("e");
      await page.waitForURL(/span=/);
      await page.locator(".wf-row.selected .mark-error").waitFor();
      await page.keyboard.press("/");
      await page.keyboard.type("haystack-17");
      await page.locator(".wf-corner", { hasText: "1 match" }).waitFor();
      await page.locator(".wf-scroll").focus();
      await page.keyboard.press("n");
      await page.locator('[data-part="attributes"]', { hasText: "needle" }).waitFor();
      await page.keyboard.press("Escape");
      await page.getByRole("button", { name: "Fold", exact: true }).click();
      await page.waitForFunction(() => /^1 match|^match 1 of 1|^201 rows/.test(document.querySelector(".wf-corner").textContent));
      await page.locator(".row-search").fill("");
      await page.locator(".wf-corner", { hasText: "201 rows" }).waitFor();
    });
  });

  test("a trace of 100,000 spans opens whole, scrolls, and shows what failed in it", { timeout: TIMEOUT * 5 }, async (context) => {
    for (const body of hugeBodies(Date.now())) await send(body);
    await visit("/tail", async (page) => {
      await page.locator('[data-figure="connection"]').waitFor();
      const client = await page.context().newCDPSession(page);
      const events = [];
      client.on("Tracing.dataCollected", ({ value }) => events.push(...value));
      await client.send("Tracing.start", { transferMode: "ReportEvents", categories: "devtools.timeline,devtools.timeline.frame,disabled-by-default-devtools.timeline,benchmark" });
      const opened = performance.now();
      await page.evaluate((id) => {
        history.pushState(null, "", `/trace/${id}`);
        dispatchEvent(new PopStateEvent("popstate"));
      }, HUGE);
      await page.waitForFunction(() => performance.getEntriesByName("trace-first-paint").length === 1);
      // For whoever reads the report; a busy machine, or a server built for debugging, decides nothing here.
      context.diagnostic(`first picture after ${Math.round(performance.now() - opened)} ms`);
      assert.equal(await page.locator(".waterfall").getAttribute("data-rows"), String(HUGE_SPANS));
      assert.equal(digits((await page.locator('[data-figure="spans"]').getAttribute("title")) ?? ""), HUGE_SPANS);
      assert.ok((await page.locator(".wf-row").count()) < 60, "rows out of sight are in the page");
      await page.locator(".waterfall[data-critical]").waitFor();
      const cost = await frameCost(page, 60, scrolling);
      context.diagnostic(`${cost.toFixed(1)} ms of processor time a frame of scrolling`);
      assert.ok(cost < 16, `a frame takes ${cost.toFixed(1)} ms of processor time`);
      const ended = new Promise((resolve) => client.once("Tracing.tracingComplete", resolve));
      await client.send("Tracing.end");
      await ended;
      mkdirSync(shots, { recursive: true });
      writeFileSync(join(shots, "waterfall-100000-trace.json"), JSON.stringify({ traceEvents: events }));
      const { usedSize } = await client.send("Runtime.getHeapUsage");
      assert.ok(usedSize < 300 * 2 ** 20, `${usedSize} bytes of heap`);
      await page.keyboard.press("e");
      await page.locator(".wf-row.selected .mark-error").waitFor();
      await page.locator('[data-part="facts"]', { hasText: "no such file" }).waitFor();
    });
  });
}
