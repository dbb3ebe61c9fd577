import assert from "node:assert/strict";
import { test } from "node:test";
import { absoluteRange, bucketSeconds, describeRange, isRelative, parseTime, resolveRange, shiftRange, zoomRange } from "../src/range.ts";

const NOW = Date.UTC(2026, 10, 22, 12, 0, 0);

test("times are relative, ISO, Unix seconds or nothing", () => {
  const cases: [string, number | null | undefined][] = [
    ["now", NOW], ["-1h", NOW - 3_600_000], ["-90s", NOW - 90_000], ["now-5m", NOW - 300_000], ["+2d", NOW + 172_800_000], ["all", null], ["", null], ["1661140339", 1661140339000],
    ["1661140339.5", 1661140339500], ["2022-08-22T03:52:19Z", 1661140339000], ["2022-08-22T05:52:19+02:00", 1661140339000], ["yesterday", undefined], ["-1x", undefined], ["2022-99-99", undefined],
  ];
  for (const [text, value] of cases) assert.equal(parseTime(text, NOW), value, text);
});

test("a range that ends before it starts is refused with words", () => {
  assert.equal(typeof resolveRange({ from: "now", to: "-1h" }, NOW), "string");
  assert.match(String(resolveRange({ from: "soon", to: "now" }, NOW)), /soon/);
  assert.deepEqual(resolveRange({ from: "-1h", to: "now" }, NOW), { from: NOW - 3_600_000, to: NOW });
  assert.deepEqual(resolveRange({ from: "all", to: "" }, NOW), { from: null, to: null });
});

test("ranges say what they are", () => {
  assert.equal(describeRange({ from: "-1h", to: "now" }), "Last 1 h");
  assert.equal(describeRange({ from: "-15m", to: "now" }), "Last 15 min");
  assert.equal(describeRange({ from: "all", to: "" }), "All time");
  assert.equal(isRelative({ from: "-1h", to: "now" }), true);
  assert.equal(isRelative(absoluteRange(NOW - 1000, NOW)), false);
});

test("ranges move and zoom around their middle", () => {
  const range = { from: NOW - 3_600_000, to: NOW };
  assert.deepEqual(shiftRange(range, -0.5), absoluteRange(NOW - 5_400_000, NOW - 1_800_000));
  assert.deepEqual(zoomRange(range, 2), absoluteRange(NOW - 5_400_000, NOW + 1_800_000));
  assert.equal(shiftRange({ from: null, to: NOW }, 1), null);
});

test("buckets are round and never more than asked for", () => {
  for (const length of [10, 3600e3, 86400e3, 400 * 86400e3, 30 * 365 * 86400e3]) {
    const seconds = bucketSeconds({ from: NOW - length, to: NOW }, 90);
    assert.ok(length / 1000 / seconds <= 90, `${length}: ${seconds}`);
    assert.ok(Number.isInteger(seconds));
  }
  assert.equal(bucketSeconds({ from: NOW - 3_600_000, to: NOW }, 90), 60);
});
