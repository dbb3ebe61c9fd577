import assert from "node:assert/strict";
import { test } from "node:test";
import { heatmapPath, readCell } from "../src/heat.ts";

test("cells of the view keep their bounds, and stand in the rows of the picture", () => {
  const row = { from_time: "2026-11-22T10:00:30.000000000Z", low_nano: 1_048_576, high_nano: 1_246_974, traces: 7, errors: 2, trace_id: "ab" };
  assert.deepEqual(readCell(row), { at: Date.parse("2026-11-22T10:00:30Z"), bin: 80, low: 1_048_576, high: 1_246_974, count: 7, failed: 2, example: "ab" });
  assert.equal(readCell({ ...row, low_nano: 1_246_974, high_nano: 1_482_910 }).bin, 81);
  assert.equal(readCell({ ...row, low_nano: 0, high_nano: 0 }).bin, 0);
});

test("the view is asked in the page's range and steps, for one root operation where one is chosen", () => {
  const path = heatmapPath({ from: 0, to: 60_000 }, { root_service: "web", root_name: "GET /" }, 30);
  assert.equal(path, "/api/v1/latency/heatmap?from=1970-01-01T00%3A00%3A00.000Z&to=1970-01-01T00%3A01%3A00.000Z&root_service=web&root_name=GET+%2F&step=30s&rows=4&limit=30240");
});
