import assert from "node:assert/strict";
import { test } from "node:test";
import { formatPlace, parsePlace, readSearch, toPage, withParams } from "../src/url.ts";

test("a place and its URL are the same thing", () => {
  for (const path of ["/", "/traces?from=-1h&service=a%26b", "/trace/00ff?span=1", "/sql?q=SELECT+1", "/dependencies?depth=2&focus=caf%C3%A9"]) {
    assert.equal(formatPlace(parsePlace(path)), path);
  }
});

test("unknown paths are the overview and bad escapes do not throw", () => {
  assert.equal(parsePlace("/nowhere?x=1").lost, "/nowhere");
  assert.equal(parsePlace("/").lost, undefined);
  assert.equal(parsePlace("/trace/%E0%A4%A").id, "%E0%A4%A");
});

test("the range goes along to another page, filters stay behind", () => {
  const here = parsePlace("/traces?from=-6h&to=now&live=1&service=cart&cursor=abc");
  assert.equal(formatPlace(toPage(here, "latency")), "/latency?from=-6h&live=1&to=now");
  assert.equal(formatPlace(withParams(here, { service: null, live: "", cursor: null })), "/traces?from=-6h&to=now");
});

test("the search box tells ids, statements and services apart", () => {
  assert.deepEqual(readSearch(" 5B8EFFF7-98038103D269B633813FC60C "), { kind: "trace", value: "5b8efff798038103d269b633813fc60c" });
  assert.equal(readSearch("select 1").kind, "sql");
  assert.equal(readSearch("selector-service").kind, "service");
  assert.equal(readSearch("   ").kind, "nothing");
});
