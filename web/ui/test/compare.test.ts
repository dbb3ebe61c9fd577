import assert from "node:assert/strict";
import { test } from "node:test";
import type { Row } from "../src/api.ts";
import { comparePath, compareStatement, filterParams, gathered, readDifference, selectionParams, tracesStatement, type Question } from "../src/pages/compare/model.ts";
import { nanosOf } from "../src/pages/compare.tsx";
import { readSelection, selectionParams as boxSelection } from "../src/parts/brush.tsx";

const FROM = Date.parse("2026-11-22T10:00:00Z");
const RANGE = { from: FROM, to: FROM + 3_600_000 };
const asking = (change: Partial<Question>): Question => ({ way: "errors", of: "traces", range: RANGE, service: "", name: "", box: null, over: null, ...change });

test("a comparison is one statement whose quotes cannot be broken out of", () => {
  const statement = compareStatement(asking({ way: "slow", over: 2.5e6, service: "o'hara", name: "GET /'; DROP" })) ?? "";
  assert.match(statement, /^SELECT \* FROM compare\(/);
  assert.ok(statement.includes("'root_service = ''o''''hara'' AND root_name = ''GET /''''; DROP'' AND duration_nano >= 2500000'"));
  assert.ok(statement.includes("AND NOT (duration_nano >= 2500000)'"));
  assert.ok(statement.includes("'2026-11-22T10:00:00.000Z', '2026-11-22T11:00:00.000Z'"));
});

test("the window before has the length of this one, and lies in the range that is read", () => {
  const statement = compareStatement(asking({ way: "before" })) ?? "";
  assert.ok(statement.includes("'2026-11-22T09:00:00.000Z', '2026-11-22T11:00:00.000Z'"));
  assert.ok(statement.includes("start_time >= TIMESTAMP ''2026-11-22T10:00:00.000Z''"));
});

test("nothing is asked before something is selected", () => {
  assert.equal(comparePath(asking({ way: "box" })), null);
  assert.equal(compareStatement(asking({ way: "box" })), null);
  assert.equal(compareStatement(asking({ way: "slow" })), null);
  assert.equal(compareStatement(asking({ way: "before", range: { from: null, to: null } })), null);
});

test("a box survives the URL", () => {
  const box = { from: FROM + 1000, to: FROM + 61_000, low: 1_500_000, high: 9_000_001 };
  assert.deepEqual(readSelection(boxSelection(box)), box);
  assert.equal(readSelection({ box_from: "soon" }), null);
  assert.equal(readSelection({}), null);
});

const row = (position: number, key: string, more: Row = {}): Row => ({ position, scope: "attribute", key, value: "v", selection: 9, baseline: 1, selection_share: 0.9, baseline_share: 0.1, lift: 9, g: 50 - position, p_value: 1e-6, same_as: position, ...more });

test("what the same traces have is one finding; chance and what was asked for are none", () => {
  const rows = [row(1, "a"), row(2, "b", { same_as: 1 }), row(3, "status", { scope: "field", value: "ERROR" }), row(4, "c", { p_value: 0.5 }), row(5, "start_time", { scope: "time" })];
  const found = gathered(rows, "errors");
  assert.deepEqual(found.map((one) => [one.key, one.same.map((other) => other.key)]), [["a", ["b"]], ["start_time", []]]);
  assert.deepEqual(gathered(rows, "box").map((one) => one.key), ["a", "status"]);
});

test("a difference becomes a search where the search has a field for it, else a statement", () => {
  const slow = asking({ way: "slow", over: 5e6, service: "web", name: "GET /" });
  const own = { root_service: "web", root_name: "GET /", min_duration: "5000000ns", order: "slowest" };
  assert.deepEqual(selectionParams(slow), own);
  assert.deepEqual(filterParams(slow, readDifference(row(1, "db.name"))), { ...own, attribute: "db.name=v" });
  assert.deepEqual(filterParams(slow, readDifference(row(1, "service", { scope: "field" }))), { ...own, service: "v" });
  assert.deepEqual(filterParams(asking({}), readDifference(row(1, "start_time", { scope: "time", from_time: "2026-11-22T10:10:00.123456789Z", to_time: "2026-11-22T10:12:00Z" }))), { root_status: "error", from: "2026-11-22T10:10:00.123Z", to: "2026-11-22T10:12:00.000Z" });
  assert.deepEqual(filterParams(slow, readDifference(row(1, "k8s.pod", { scope: "resource" }))), { ...own, resource: "k8s.pod=v" });
  assert.deepEqual(filterParams(slow, readDifference(row(1, "scope_name", { scope: "field" }))), { ...own, scope_name: "v" });
  const other = readDifference(row(1, "status", { scope: "field" }));
  assert.equal(filterParams(slow, other), null);
  assert.match(tracesStatement(slow, other), /CAST\(status AS VARCHAR\) = 'v'/);
});

test("spans are told apart by their own status and duration, and lead to their traces", () => {
  const failed = asking({ of: "spans" });
  assert.match(compareStatement(failed) ?? "", /^SELECT \* FROM compare_spans\(\s+'status = ''ERROR'''/);
  assert.match(comparePath(failed) ?? "", /[?&]of=spans&/);
  assert.deepEqual(selectionParams(asking({ way: "slow", of: "spans", over: 5 })), {});
});

test("the most telling of one finding stands for it", () => {
  const [head] = gathered([row(1, "name", { scope: "field" }), row(2, "service.name", { scope: "resource", same_as: 1 }), row(3, "db.query.text", { same_as: 1 })], "slow");
  assert.deepEqual([head?.key, head?.same.map((one) => one.key)], ["db.query.text", ["name", "service.name"]]);
});

test("durations are read as people write them", () => {
  assert.deepEqual(["250ms", "1.5 s", "3min", "12", "soon", undefined].map(nanosOf), [250e6, 1.5e9, 180e9, null, null, null]);
});
