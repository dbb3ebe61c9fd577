import assert from "node:assert/strict";
import { test } from "node:test";
import { diffTraces, verdict } from "../src/pages/trace/diff.ts";
import { deviations } from "../src/pages/trace/deviate.ts";
import { traceHtml } from "../src/pages/trace/html.ts";
import { layoutLanes } from "../src/pages/trace/lanes.ts";
import { readTraceAnswer, type Trace } from "../src/pages/trace/model.ts";
import { readPlace } from "../src/pages/patterns/model.ts";
import { clampView, moveView, pixels, printView, readView, zoomAt } from "../src/pages/trace/view.ts";

type Line = [id: string, parent: string, start: number, duration: number, name: string, kind?: string, status?: string];

function trace(...lines: Line[]): Trace {
  const words = (texts: string[]): unknown => ({ words: texts, at: texts.map((_, index) => index) });
  const depthOf = (parent: string): number => (parent === "" ? 0 : 1 + depthOf(lines.find(([id]) => id === parent)?.[1] ?? ""));
  return readTraceAnswer({
    trace_id: "a".repeat(32),
    start_time: "2026-11-22T04:00:00Z",
    columns: {
      span_id: lines.map(([id]) => id),
      parent_span_id: lines.map(([, parent]) => parent),
      depth: lines.map(([, parent]) => depthOf(parent)),
      start_nano: lines.map(([, , start]) => start),
      duration_nano: lines.map(([, , , duration]) => duration),
      name: words(lines.map(([, , , , name]) => name)),
      service: words(lines.map(() => "shop")),
      kind: words(lines.map(([, , , , , kind]) => kind ?? "INTERNAL")),
      status: words(lines.map(([, , , , , , status]) => status ?? "UNSET")),
      events: { row: [1, 1], at_nano: [12, 14] },
      links: { row: [0], count: [2] },
    },
  });
}

const SHOP = trace(["1", "", 0, 100, "root"], ["2", "1", 10, 20, "first"], ["3", "1", 40, 80, "second", "CONSUMER"], ["4", "3", 50, 10, "below"]);

test("columns become spans with their events and links", () => {
  assert.deepEqual(SHOP.rows.map((row) => row.span?.name), ["root", "first", "second", "below"]);
  assert.deepEqual(SHOP.rows[1]?.span?.events, [12, 14]);
  assert.equal(SHOP.rows[0]?.span?.links, 2);
  assert.equal(SHOP.length, 120);
  assert.equal(SHOP.root?.name, "root");
});

test("the graph goes downwards by start, parents first, and no vertex stands on another's edge", () => {
  const { vertices } = layoutLanes(SHOP.rows);
  assert.deepEqual(vertices.map((vertex) => vertex.index), [0, 1, 2, 3]);
  assert.deepEqual(vertices.map((vertex) => vertex.parent), [-1, 0, 0, 2]);
  assert.deepEqual(vertices.map((vertex) => vertex.lane), [0, 1, 0, 0]);
  assert.deepEqual(vertices.map((vertex) => vertex.isAsync), [false, false, true, false]);
  const skewed = layoutLanes(trace(["1", "", 50, 10, "late root"], ["2", "1", 0, 5, "early child"]).rows);
  assert.deepEqual(skewed.vertices.map((vertex) => vertex.index), [0, 1]);
});

test("a comparison counts calls below the same callers", () => {
  const other = trace(["1", "", 0, 90, "root"], ["2", "1", 10, 20, "first"], ["5", "1", 31, 5, "first", "INTERNAL", "ERROR"], ["6", "1", 60, 5, "third"]);
  const lines = diffTraces(SHOP, other);
  assert.deepEqual(lines.map((line) => [line.depth, line.name, line.left.calls, line.right.calls, verdict(line)]), [
    [0, "root", 1, 1, "same"],
    [1, "first", 1, 2, "errors"],
    [1, "second", 1, 0, "left"],
    [2, "below", 1, 0, "left"],
    [1, "third", 0, 1, "right"],
  ]);
  assert.equal(lines[1]?.right.nanos, 25);
});

test("an exported page has every text escaped and closes what it opens", () => {
  const hostile = trace(["1", "", 0, 100, `<script>alert("x")</script>`], ["2", "1", 0, 5, "a"], ["3", "2", 0, 5, "b"]);
  const text = traceHtml(hostile, new Map([["1 INTERNAL", { attributes: { "<b>": "</dd><script>" } }]])).join("");
  assert.ok(!/<script/i.test(text));
  assert.ok(text.includes("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;"));
  assert.ok(text.includes("<dt>&lt;b&gt;</dt><dd>&lt;/dd&gt;&lt;script&gt;</dd>"));
  assert.equal(text.match(/<details/g)?.length, 3);
  assert.equal(text.match(/<\/details>/g)?.length, 3);
});

test("the view stays within the trace and survives the URL", () => {
  assert.deepEqual(clampView({ from: -50, to: 500 }, 1000), { from: 0, to: 550 });
  assert.deepEqual(clampView({ from: 990, to: 1000 }, 1000), { from: 900, to: 1000 });
  assert.deepEqual(zoomAt({ from: 0, to: 100 }, 50, 0.5), { from: 25, to: 75 });
  assert.deepEqual(moveView({ from: 0, to: 100 }, 0.2), { from: 20, to: 120 });
  assert.equal(printView({ from: 0, to: 1000 }, 1000), "");
  assert.deepEqual(readView("100-400", 1000), { from: 100, to: 400 });
  assert.equal(readView("400-100", 1000), null);
});

test("stretches closer than a pixel are drawn as one", () => {
  const crowd = Array.from({ length: 10_000 }, (_, index): [number, number] => [index * 2, index * 2 + 1]);
  assert.equal(pixels(crowd, { from: 0, to: 20_000 }, 100).length, 1);
  assert.deepEqual(pixels([[0, 10], [50, 60]], { from: 0, to: 100 }, 100), [[0, 10], [50, 60]]);
});

test("a trace stands beside its pattern place by place, the way to each by service and name", () => {
  const place = (position: number, depth: number, name: string, p50: number): ReturnType<typeof readPlace> => readPlace({ position, depth, service: "shop", name, low_spans: 1, high_spans: 1, spans: 9, errors: 0, p50_nano: p50, p95_nano: p50 * 2, max_nano: p50 * 3, self_nano: 0, self_share: 0 });
  const twice = trace(["1", "", 0, 100, "root"], ["2", "1", 10, 20, "query"], ["3", "1", 40, 55, "query", "CLIENT", "ERROR"], ["4", "3", 50, 10, "query"]);
  const lines = deviations(twice, [place(0, 1, "root", 80), place(1, 2, "query", 30), place(2, 3, "query", 10), place(3, 2, "absent", 5)]);
  assert.deepEqual(lines.map(({ calls, errors, longest, more }) => [calls, errors, longest, more]), [[1, 0, 100, 20], [2, 1, 55, 25], [1, 0, 10, 0], [0, 0, null, null]]);
});
