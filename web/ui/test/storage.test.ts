import assert from "node:assert/strict";
import { test } from "node:test";
import { deletionBody } from "../src/pages/storage/kept.tsx";
import { changeOf, printPairs, printSize, readDraft, readPairs, readPolicy, readSize, ruleWords } from "../src/pages/storage/model.ts";
import { goingBytes } from "../src/pages/storage/partitions.tsx";

test("sizes are read with binary and decimal units, and written so that they read back", () => {
  assert.deepEqual(["100 GiB", "1.5TB", "2048", "", "no limit", "much"].map(readSize), [100 * 2 ** 30, 1.5e12, 2048, null, null, undefined]);
  for (const size of [null, 1, 2048, 200e9, 100 * 2 ** 30, 1.25 * 2 ** 40, 123_456_789]) assert.equal(readSize(printSize(size)), size);
});

test("a change holds what differs and nothing else", () => {
  const policy = readPolicy({ ttl: "7d", by_command: false, rules: [{ class: "errors", ttl: "90d", error: true }], max_bytes: null, keep_latest: 0, rules_by_command: false });
  const same = { ttl: "7d", rules: policy.rules, max_bytes: null, keep_latest: 0 };
  assert.equal(changeOf(policy, same), null);
  assert.deepEqual(changeOf(policy, { ...same, ttl: null }), { ttl: null });
  assert.deepEqual(changeOf(policy, { ...same, keep_latest: 5, rules: [] }), { keep_latest: 5, rules: [] });
});

test("drafts that are none are none", () => {
  assert.equal(readDraft(undefined), null);
  assert.equal(readDraft("{"), null);
  assert.equal(readDraft("[1]"), null);
  assert.deepEqual(readDraft('{"ttl":"3d"}'), { ttl: "3d" });
});

test("pairs read back, and a piece without = is none", () => {
  assert.deepEqual(readPairs("a=1, b = x=y"), { a: "1", b: "x=y" });
  assert.equal(readPairs("a"), undefined);
  assert.deepEqual(readPairs(printPairs({ region: "eu", tier: "gold" })), { region: "eu", tier: "gold" });
});

test("rules say what they ask", () => {
  assert.equal(ruleWords({ class: "a", ttl: "1d" }), "any span");
  assert.equal(ruleWords({ class: "a", ttl: "1d", root: true, service: "cart", error: false, slower_than: "2s", attributes: { tier: "gold" } }), "root span, service cart, not failed, slower than 2s, tier=gold");
});

test("a deletion is by ids or by an attribute, never by less", () => {
  const id = "0af7651916cd43dd8448eb211c80319c";
  assert.deepEqual(deletionBody(`${id}, ${id.toUpperCase()}`), { traces: [id, id] });
  assert.deepEqual(deletionBody("user.id = 4711"), { attribute: { key: "user.id", value: "4711" } });
  assert.equal(deletionBody("4711"), null);
  assert.equal(deletionBody("=4711"), null);
});

test("a plan is laid over the strip by date, whatever the classes", () => {
  const part = (date: string, name: string, bytes: number): { date: string; class: string; reason: string; rows: number; files: number; bytes: number } => ({ date, class: name, reason: "ttl", rows: 1, files: 1, bytes });
  const plan = { dates: ["2026-11-01"], rows: 2, traces: 1, files: 2, bytes: 30, parts: [part("2026-11-01", "default", 10), part("2026-11-01", "errors", 20)] };
  assert.deepEqual([...goingBytes(plan)], [["2026-11-01", 30]]);
  assert.deepEqual([...goingBytes(null)], []);
});
