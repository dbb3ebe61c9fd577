import assert from "node:assert/strict";
import { test } from "node:test";
import { findChanges, type Operation } from "../src/changes.ts";

const operation = (name: string, requests: number, errors: number, p95: number): Operation => ({ service: "shop", name, requests, errors, p95 });

test("only what chance does not explain is a change, what got worse first", () => {
  const before = [operation("steady", 1000, 10, 5e6), operation("fails", 1000, 5, 5e6), operation("slow", 400, 0, 5e6), operation("gone", 300, 0, 1e6), operation("rare", 4, 0, 1e6)];
  const now = [operation("steady", 1040, 14, 5.5e6), operation("fails", 1000, 300, 5e6), operation("slow", 400, 0, 9e6), operation("fresh", 100, 0, 1e6), operation("rare", 5, 2, 9e6)];
  assert.deepEqual(findChanges(now, before, 10).map((change) => [change.now.name, change.kind]), [["fails", "errors"], ["gone", "gone"], ["slow", "slower"], ["fresh", "new"]]);
  assert.equal(findChanges(now, before, 1).length, 1);
  // What recovered is said last, however clear it is.
  const healed = [...now, operation("heals", 900, 0, 1e6)];
  const shown = findChanges(healed, [...before, operation("heals", 900, 0, 90e6)], 10).map((change) => change.now.name);
  assert.deepEqual(shown, ["fails", "gone", "slow", "heals", "fresh"]);
  assert.deepEqual(findChanges(before, before, 10), []);
});
