import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { busiest, byCalls, focused, layout, type Edge } from "../src/graph.ts";
import { layers, type Link } from "../src/layers.ts";

const links = (...pairs: string[]): Link[] => pairs.map((pair) => ({ from: pair[0] ?? "", to: pair[1] ?? "" }));
const sorted = (columns: string[][]): string[] => columns.map((column) => [...column].sort().join(""));

test("callers stand left of what they call, by their distance from those whom nobody calls", () => {
  assert.deepEqual(sorted(layers([..."abcd"], links("ab", "bc", "ac", "cd"), "").columns), ["a", "bc", "d"]);
});

test("around a focus: callers to the left, callees to the right, in a circle by the shorter way", () => {
  assert.deepEqual(sorted(layers([..."abcdef"], links("ab", "bc", "cd", "dc", "eb", "cf", "da"), "c").columns), ["e", "b", "c", "df", "a"]);
});

test("circles without an entry, links to oneself and parts that touch nothing have their places", () => {
  const { columns } = layers([..."abcxyz"], links("ab", "ba", "aa", "bc", "xy"), "");
  assert.equal(columns.flat().length, 6);
  assert.deepEqual(new Set(columns.flat()), new Set("abcxyz"));
  assert.deepEqual(layers(["z"], [], "").columns, [["z"]]);
  assert.deepEqual(layers([..."ab"], links("ab", "ba"), "").columns.flat().sort(), ["a", "b"]);
});

test("neighbours come to stand beside each other", () => {
  const { columns } = layers([..."abcdwxyz"], links("az", "by", "cx", "dw"), "");
  const [left = [], right = []] = columns;
  assert.deepEqual(left.map((name) => "abcd".indexOf(name)), right.map((name) => "zyxw".indexOf(name)));
});

const data = process.env["SPANLAKE_TEST_DATA"] ?? join(process.cwd(), "../../../shared/data");
const file = join(data, "jaeger_ui/components/DependencyGraph/sample_data/large.json");

test("4,271 edges over 1,238 services are laid out at once, whatever is drawn of them", { skip: !existsSync(file) && "../shared/data is absent" }, () => {
  const list = JSON.parse(readFileSync(file, "utf8")) as { parent: string; child: string; callCount: number }[];
  const none = { errors: 0, callerP50: null, callerP99: null, calleeP50: null, calleeP99: null, requestBytes: null, responseBytes: null };
  const edges = list.map(({ parent, child, callCount }): Edge => ({ caller: parent, callee: child, kind: "rpc", calls: callCount, weighted: callCount, ...none }));
  const [first = ""] = byCalls(edges)[0] ?? [];
  const before = process.cpuUsage();
  assert.equal(layout(edges).nodes.length, 1238);
  for (const [focus, depth, most] of [["", 1, 60], ["", 1, 200], [first, 2, 24], [first, 2, 200], [first, 1000, 200]] as const) {
    const shown = busiest(focused(edges, focus, depth), most, focus);
    const { nodes, edges: placed } = layout(shown.edges, focus);
    assert.equal(nodes.length, new Set(shown.edges.flatMap((edge) => [edge.caller, edge.callee])).size);
    assert.ok(placed.every((edge) => !edge.path.includes("NaN")));
  }
  const { user } = process.cpuUsage(before);
  assert.ok(user < 2_000_000, `${user / 1000} ms of CPU`);
});
