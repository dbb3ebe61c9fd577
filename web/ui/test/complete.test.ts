import assert from "node:assert/strict";
import { test } from "node:test";
import { complete, type Words } from "../src/complete.ts";
import { readPlan } from "../src/plan.ts";

const WORDS: Words = { columns: [{ name: "service", type: "Utf8View" }, { name: "span_id", type: "Utf8View" }], attributes: ["http.route", "http.method", "it's"], resources: ["service.name"] };

function labels(text: string, asked = false): string[] {
  const caret = text.indexOf("|");
  return complete(text.replace("|", ""), caret, WORDS, asked)?.choices.map((choice) => choice.label) ?? [];
}

test("completion knows tables, columns, functions and attribute names by their place", () => {
  assert.deepEqual(labels("SELECT * FROM lat|"), ["latency", "latency_histogram", "latency_heatmap"]);
  assert.deepEqual(labels("SELECT serv|"), ["service", "network_caused_services"]);
  assert.deepEqual(labels("SELECT quan|"), ["quantile("]);
  assert.deepEqual(labels("SELECT attributes['http|"), ["http.method", "http.route"].reverse());
  assert.deepEqual(labels("SELECT resource['|"), ["service.name"]);
  assert.ok(labels("SELECT 1 FROM dependencies() WHERE call|").includes("caller"));
  assert.ok(labels("SELECT * FROM |", true).includes("spans"));
});

test("nothing is completed in texts and comments, nor what stands there already", () => {
  assert.deepEqual(labels("SELECT 'serv|"), []);
  assert.deepEqual(labels("SELECT 1 -- serv|"), []);
  assert.deepEqual(labels("SELECT |"), []);
  assert.deepEqual(labels("SELECT 'a' = serv|"), ["service", "network_caused_services"]);
});

test("an attribute's name is closed as it is begun, and its quotes are doubled", () => {
  const found = complete("SELECT attributes['it']", 21, WORDS, false);
  assert.deepEqual([found?.from, found?.to, found?.choices[0]?.insert], [19, 23, "it''s']"]);
});

test("a plan is read with its rows and its work", () => {
  const lines = readPlan("SortExec: expr=[n], metrics=[output_rows=12, elapsed_compute=1.5ms, spilled=0]\n  DataSourceExec: file_groups={1 group: [[a]]}, metrics=[output_rows=1.2 K, elapsed_compute=250µs]\n");
  assert.deepEqual(lines.map(({ depth, operator, rows, millis }) => ({ depth, operator, rows, millis })), [
    { depth: 0, operator: "SortExec", rows: 12, millis: 1.5 },
    { depth: 1, operator: "DataSourceExec", rows: 1200, millis: 0.25 },
  ]);
});
