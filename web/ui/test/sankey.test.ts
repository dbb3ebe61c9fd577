import assert from "node:assert/strict";
import { test } from "node:test";
import type { Edge } from "../src/graph.ts";
import { flowsOf } from "../src/pages/network/flows.tsx";
import { layoutSankey } from "../src/sankey.ts";

const BOX = { width: 600, height: 300 };

test("bands go to the right, are as thick as they are large, and stay within the box", () => {
  const flows = [{ from: "web", to: "cart", size: 300 }, { from: "web", to: "catalog", size: 100 }, { from: "cart", to: "redis", size: 200 }];
  const { nodes, bands, columns } = layoutSankey(flows, BOX);
  assert.equal(columns, 3);
  assert.equal(nodes.length, 4);
  for (const band of bands) {
    assert.ok(band.from.x < band.to.x, band.flow.to);
    assert.ok(band.fromY - band.thick / 2 >= band.from.y - 0.001 && band.fromY + band.thick / 2 <= band.from.y + band.from.height + 0.001);
    assert.ok(band.toY - band.thick / 2 >= band.to.y - 0.001 && band.toY + band.thick / 2 <= band.to.y + band.to.height + 0.001);
  }
  const thick = (to: string): number => bands.find((band) => band.flow.to === to)?.thick ?? 0;
  assert.ok(Math.abs(thick("cart") / thick("catalog") - 3) < 1e-9);
  for (const node of nodes) assert.ok(node.y >= 0 && node.y + node.height <= BOX.height + 0.001, node.name);
});

test("a circle keeps all its flows: the thinnest ends at a second place of its node", () => {
  const flows = [{ from: "a", to: "b", size: 50 }, { from: "b", to: "c", size: 40 }, { from: "c", to: "a", size: 10 }, { from: "b", to: "b", size: 5 }];
  const { nodes, bands } = layoutSankey(flows, BOX);
  assert.equal(bands.length, flows.length);
  assert.deepEqual(nodes.filter((node) => node.again).map((node) => node.name).sort(), ["a", "b"]);
  assert.deepEqual(bands.filter((band) => band.to.again).map((band) => band.flow.size).sort(), [10, 5]);
});

test("nothing flows: nothing is drawn", () => {
  assert.deepEqual(layoutSankey([], BOX), { nodes: [], bands: [], columns: 1 });
});

test("edges of all kinds between the same two are one flow, and no size is no flow", () => {
  const edge = (caller: string, callee: string, requestBytes: number | null, responseBytes: number | null): Edge => ({
    caller, callee, kind: "rpc", calls: 2, errors: 0, callerP50: null, callerP99: null, calleeP50: null, calleeP99: null, requestBytes, responseBytes, weighted: 2,
  });
  const flows = flowsOf([edge("a", "b", 10, null), edge("a", "b", null, 5), edge("b", "c", null, null)]);
  assert.deepEqual(flows, [{ from: "a", to: "b", size: 15, request: 10, response: 5, calls: 4 }]);
});
