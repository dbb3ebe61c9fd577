import assert from "node:assert/strict";
import { test } from "node:test";
import { readPatch } from "../src/pages/trace/notes.tsx";

test("patches are said in words, whatever they change", () => {
  assert.deepEqual(readPatch({ number: 3, at: "2026-11-22T10:00:00Z", kind: "note", trace_id: "a", text: "full" }), { number: 3, at: "2026-11-22T10:00:00Z", kind: "note", span: "", words: "full" });
  assert.equal(readPatch({ number: 4, kind: "alias", alias: "order 17" }).words, "order 17");
  assert.equal(readPatch({ number: 5, kind: "correction", span_id: "01", fields: { status: "OK" }, attributes: { retries: 2 } }).words, "status = OK, retries = 2");
});
