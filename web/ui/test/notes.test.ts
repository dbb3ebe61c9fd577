import assert from "node:assert/strict";
import { test } from "node:test";
import { attributeValue, correction, correctionsOf, withCorrections } from "../src/pages/trace/correct.tsx";
import { readPatch } from "../src/pages/trace/notes.tsx";

test("patches are said in words, whatever they change", () => {
  assert.deepEqual(readPatch({ number: 3, at: "2026-11-22T10:00:00Z", kind: "note", trace_id: "a", text: "full" }), { number: 3, at: "2026-11-22T10:00:00Z", kind: "note", span: "", words: "full" });
  assert.equal(readPatch({ number: 4, kind: "alias", alias: "order 17" }).words, "order 17");
  assert.equal(readPatch({ number: 5, kind: "correction", span_id: "01", fields: { status: "OK" }, attributes: { retries: 2 } }).words, "status = OK, retries = 2");
});

test("a correction says only what is different, and nothing where nothing is", () => {
  const was = { name: "GET /", status: "ERROR", status_message: "" };
  assert.equal(correction("t", "s", was, {}), null);
  assert.equal(correction("t", "s", was, { name: "GET /", status: "ERROR", value: "7" }), null);
  assert.deepEqual(correction("t", "s", was, { name: "GET /", status: "OK", key: " user.tier ", value: "gold" }), { kind: "correction", trace_id: "t", span_id: "s", fields: { status: "OK" }, attributes: { "user.tier": "gold" } });
  assert.deepEqual(correction("t", "s", was, { key: "retries", value: "7" }), { kind: "correction", trace_id: "t", span_id: "s", attributes: { retries: 7 } });
});

test("values are JSON where they look like it, else texts", () => {
  assert.deepEqual(["7", "true", "[1, 2]", "{broken", "7 apples", "truest", ""].map(attributeValue), [7, true, [1, 2], "{broken", "7 apples", "truest", ""]);
});

test("of several corrections of a span the last one of each value counts", () => {
  const patches = [
    { kind: "correction", span_id: "01", fields: { status: "OK" }, attributes: { a: 1 } },
    { kind: "note", span_id: "01", text: "x" },
    { kind: "correction", span_id: "02", fields: { name: "other" } },
    { kind: "correction", span_id: "01", fields: { status: "UNSET", name: "n" } },
  ];
  const corrected = correctionsOf(patches, "01");
  assert.deepEqual(corrected, { fields: { status: "UNSET", name: "n" }, attributes: { a: 1 } });
  assert.deepEqual(withCorrections({ a: "one", b: 2 }, corrected), { a: 1, b: 2 });
  assert.equal(correctionsOf(patches, "03"), null);
});
