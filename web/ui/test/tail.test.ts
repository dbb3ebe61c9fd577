import assert from "node:assert/strict";
import { test } from "node:test";
import { Lines, SHOWN_MAX, WAITING_MAX } from "../src/taillines.ts";
import { EventReader, type TailEvent } from "../src/tailstream.ts";

test("events are read from pieces of any size, and the last id is kept", () => {
  const text = 'retry: 1000\nid: a-0-0\n\nevent: span\nid: a-1-1\ndata: {"name":"x: y"}\n\n: still here\nid: a-1-9\n\nevent: skipped\ndata: {"spans":3}\n\n';
  for (const size of [1, 7, text.length]) {
    const reader = new EventReader();
    const events: TailEvent[] = [];
    for (let at = 0; at < text.length; at += size) events.push(...reader.read(text.slice(at, at + size)));
    assert.deepEqual(events, [{ name: "span", data: { name: "x: y" } }, { name: "skipped", data: { spans: 3 } }]);
    assert.equal(reader.id, "a-1-9");
  }
});

test("half an event at the end of a connection is forgotten with its id", () => {
  const reader = new EventReader();
  reader.read("id: a-1-1\n\nevent: span\nid: a-1-2\ndata: {");
  reader.broken();
  assert.equal(reader.id, "a-1-1");
  assert.deepEqual(reader.read('data: {"a":1}\n\n'), [{ name: "message", data: { a: 1 } }]);
});

const spans = (from: number, to: number): TailEvent[] => Array.from({ length: to - from }, (_, index) => ({ name: "span", data: { name: String(from + index) } }));
const shown = (lines: Lines): string[] => lines.shown.map((line) => (line.kind === "span" ? line.name : line.text));

test("a pause shows everything afterwards, in order", () => {
  const lines = new Lines();
  lines.add(spans(0, 2));
  lines.pause();
  lines.add([...spans(2, 4), { name: "lagged", data: { spans: 7, reason: "slow" } }, ...spans(4, 5)]);
  assert.deepEqual(shown(lines), ["0", "1"]);
  assert.equal(lines.waitingSpans, 3);
  lines.resume();
  lines.add(spans(5, 6));
  assert.deepEqual(shown(lines), ["0", "1", "2", "3", "7 spans were lost: this page took them too slowly", "4", "5"]);
  assert.deepEqual([lines.spans, lines.missing, lines.waitingSpans], [6, 7, 0]);
});

test("more than a pause can hold is counted", () => {
  const lines = new Lines();
  lines.pause();
  lines.add(spans(0, WAITING_MAX + 5));
  assert.equal(lines.waitingSpans, WAITING_MAX + 5);
  lines.resume();
  assert.equal(shown(lines).at(-1), "5 spans arrived during the pause and were not kept");
  assert.deepEqual([lines.spans, lines.missing, lines.shown.length], [WAITING_MAX + 5, 5, SHOWN_MAX]);
  assert.equal(lines.gone, WAITING_MAX + 1 - SHOWN_MAX);
});
