import assert from "node:assert/strict";
import { test } from "node:test";
import { exactText, numberOf, parseExact, plainText, typeName } from "../src/exact.ts";
import { layout, busiest, externals, focused, type Edge } from "../src/graph.ts";
import { hueOf } from "../src/hue.ts";
import { localTime, nanosBetween, parseInstant, utcText } from "../src/instant.ts";
import { quantile } from "../src/quantile.ts";
import { tokens } from "../src/sqltext.ts";

test("numbers keep their digits and their type", () => {
  const value = parseExact('{"big":9223372036854775807,"one":1.0,"half":0.5,"small":3,"text":"1.0 and 9223372036854775807","quote":"a\\"1.0"}') as Record<string, unknown>;
  assert.equal(plainText(value["big"]), "9223372036854775807");
  assert.equal(typeName(value["big"]), "int");
  assert.equal(plainText(value["one"]), "1.0");
  assert.equal(typeName(value["one"]), "double");
  assert.equal(typeName(value["half"]), "double");
  assert.equal(typeName(value["small"]), "int");
  assert.equal(value["text"], "1.0 and 9223372036854775807");
  assert.equal(value["quote"], 'a"1.0');
  assert.equal(numberOf(value["one"]), 1);
  assert.equal(exactText(value["big"]), "9223372036854775807");
});

test("values that JSON cannot say are told by their marks", () => {
  assert.equal(typeName({ $double: "NaN" }), "double");
  assert.equal(plainText({ $double: "NaN" }), "NaN");
  assert.equal(typeName({ $bytes: "AQI=" }), "bytes");
  assert.equal(typeName(null), "empty");
  assert.equal(typeName([1]), "array");
  assert.equal(plainText({ a: [1, "x"] }), '{"a": [1, "x"]}');
});

test("instants are exact to the nanosecond", () => {
  const a = parseInstant("2022-08-22T03:52:19.213560192Z");
  const b = parseInstant("2022-08-22T05:52:19.21356+02:00");
  assert.ok(a && b);
  assert.equal(nanosBetween(a, b), 192);
  assert.equal(utcText(a), "2022-08-22T03:52:19.213560192Z");
  assert.equal(parseInstant("yesterday"), null);
  assert.equal(parseInstant(5), null);
  assert.equal(localTime(NaN), "–");
});

test("quantiles are nearest rank over buckets", () => {
  const buckets = [{ low: 100, high: 100, count: 98 }, { low: 400, high: 400, count: 2 }];
  assert.equal(quantile(buckets, 0.5), 100);
  assert.equal(quantile(buckets, 0.98), 100);
  assert.equal(quantile(buckets, 0.99), 400);
  assert.equal(quantile([], 0.5), null);
});

test("a service keeps its hue", () => {
  assert.equal(hueOf("checkout"), hueOf("checkout"));
  assert.ok(new Set(["web", "cart", "checkout", "payment", "shipping", "catalog", "email", "ads"].map(hueOf)).size >= 5);
});

const edge = (caller: string, callee: string, calls = 1, kind = "rpc"): Edge => ({
  caller, callee, kind, calls, errors: 0, callerP50: null, callerP99: null, calleeP50: null, calleeP99: null, requestBytes: null, responseBytes: null, weighted: calls,
});

test("the map puts callers left of callees and draws cycles", () => {
  const edges = [edge("web", "cart", 7), edge("cart", "redis", 9, "database"), edge("cart", "web", 1), edge("cart", "cart", 2)];
  const { nodes, edges: placed } = layout(edges);
  const x = (name: string): number => nodes.find((node) => node.name === name)?.x ?? NaN;
  assert.ok(x("cart") < x("redis"));
  assert.equal(placed.length, 4);
  assert.ok(placed.some((one) => one.back));
  assert.ok(placed.every((one) => /^M[-\d.]+ /.test(one.path) && !one.path.includes("NaN")));
  assert.deepEqual([...externals(edges)], ["redis"]);
});

test("focus keeps what is near, and large maps their busiest part", () => {
  const chain = [edge("a", "b"), edge("b", "c"), edge("c", "d"), edge("x", "y")];
  assert.deepEqual(focused(chain, "b", 1).map((one) => one.callee), ["b", "c"]);
  assert.deepEqual(focused(chain, "b", 2).map((one) => one.callee), ["b", "c", "d"]);
  assert.equal(focused(chain, "b", 1000).length, 3);
  const many = Array.from({ length: 100 }, (_, index) => edge("hub", `s${index}`, index + 1));
  const shown = busiest(many, 60);
  assert.equal(shown.hidden, 41);
  assert.equal(shown.edges[0]?.callee, "s41");
});

test("the pieces of a statement add up to it", () => {
  const statement = "SELECT 'it''s', \"x\" /* c */ FROM spans -- end\nWHERE n > 1.5 AND 'open";
  assert.equal(tokens(statement).map((token) => token.text).join(""), statement);
  assert.equal(tokens("select a")[0]?.kind, "keyword");
});
