// Tests of what a person changes: the retention policy, pins, deletion. Each with the admin token, each counted.
import assert from "node:assert/strict";
import { test } from "node:test";
import { rows } from "./server.mjs";
import { TRACE } from "./spans.mjs";

const TIMEOUT = 60_000;
const DELETED = "00000000000000000000000000abc0de";

/** `server` is called when a test runs: it does not stand before. */
export function storedTests({ server, visit, send, table, figure, digits }) {
  const get = (path) => rows(server(), path);
  const plan = async (change) => {
    const answer = await fetch(`${server().page}/api/v1/retention/plan`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(change) });
    assert.equal(answer.status, 200, await answer.clone().text());
    return answer.json();
  };
  const confirm = async (page, name) => {
    await page.locator('dialog input[name="token"]').fill(server().token);
    await page.locator("dialog").getByRole("button", { name }).click();
    await page.locator("dialog").waitFor({ state: "detached" });
  };

  test("a policy is drafted, planned as the API plans it, and set", { timeout: TIMEOUT * 3 }, async () => {
    const flushed = await fetch(`${server().page}/api/v1/flush`, { method: "POST", headers: { authorization: `Bearer ${server().token}` } });
    assert.equal(flushed.status, 200);
    await visit("/storage", async (page) => {
      await page.locator('[data-part="strip"] button').first().waitFor();
      await page.locator('.policy input[name="ttl"]').fill("36h");
      await page.locator('.policy input[name="max_bytes"]').fill("1 TiB");
      await page.getByRole("button", { name: "Rules" }).click();
      await page.locator('[data-action="add-rule"]').click();
      await page.locator('[data-part="rule"] input[name="service"]').fill("cart");
      await page.locator('[data-part="rule"] input[name="attributes"]').fill("region=eu, tier=gold");
      await page.locator('[data-action="plan"]').click();
      await page.waitForURL(/draft=/);
      const change = { ttl: "36h", max_bytes: 2 ** 40, rules: [{ class: "errors", ttl: "90d", error: true, service: "cart", attributes: { region: "eu", tier: "gold" } }] };
      assert.deepEqual(JSON.parse(new URL(page.url()).searchParams.get("draft")), change);
      await page.locator('[data-figure="plan"]').waitFor();
      const expected = await plan(change);
      assert.equal((await table(page, "stays")).length, expected.stays.length);
      assert.equal(expected.rows, 0);
      assert.match(await page.locator('[data-figure="plan"]').textContent(), /nothing would go now/);
      await page.getByRole("button", { name: "Set this policy" }).click();
      await confirm(page, "Set it");
      assert.equal((await table(page, "rules"))[0].when.text, "service cart, failed, region=eu, tier=gold");
      const policy = await get("/api/v1/retention");
      assert.deepEqual([policy.ttl, policy.max_bytes, policy.rules], [change.ttl, change.max_bytes, change.rules]);
      assert.equal(await figure(page, "ttl"), "36h");
      await page.locator('.policy input[name="ttl"]').fill("soon");
      await page.locator('[data-action="plan"]').click();
      await page.locator('[role="alert"]', { hasText: "a ttl is a duration" }).waitFor();
    }, { errorsExpected: true });
  });

  test("a trace is pinned with a note, and unpinned where all pins are", { timeout: TIMEOUT * 3 }, async () => {
    await visit(`/trace/${TRACE}`, async (page) => {
      await page.locator('[data-action="pin"]').click();
      await page.locator('dialog input[name="note"]').fill("<b>the outage</b>");
      await confirm(page, "Pin 1 trace");
      await page.locator(".badge", { hasText: "pinned" }).waitFor();
      assert.deepEqual((await get("/api/v1/pins")).map((pin) => [pin.trace_id, pin.note]), [[TRACE, "<b>the outage</b>"]]);
    });
    await visit("/storage", async (page) => {
      const shown = await table(page, "pins");
      assert.deepEqual(shown.map((row) => [row.trace.title, row.note.text]), [[TRACE, "<b>the outage</b>"]]);
      await page.getByRole("button", { name: "Unpin" }).click();
      await confirm(page, "Unpin 1 trace");
      await page.locator('table[data-name="pins"]').waitFor({ state: "detached" });
      assert.deepEqual(await get("/api/v1/pins"), []);
    });
  });

  test("a note on a span is written, shown as text and taken back", { timeout: TIMEOUT * 3 }, () =>
    visit(`/trace/${TRACE}?span=0000000000000002`, async (page) => {
      await page.locator('[data-action="note"]').click();
      await page.locator('dialog input[name="note"]').fill("<i>the disk</i> was full");
      await confirm(page, "Add 1 note");
      await page.locator('[data-part="notes"] li', { hasText: "<i>the disk</i> was full" }).waitFor();
      const [patch] = await get(`/api/v1/patches?trace_id=${TRACE}`);
      assert.deepEqual([patch.kind, patch.span_id, patch.text], ["note", "0000000000000002", "<i>the disk</i> was full"]);
      await page.getByRole("button", { name: "Take back" }).click();
      await confirm(page, /^Take back patch/);
      await page.locator('[data-part="notes"]').waitFor({ state: "detached" });
      assert.deepEqual(await get(`/api/v1/patches?trace_id=${TRACE}`), []);
    }));

  test("a deletion is counted first, and then gone, with a receipt", { timeout: TIMEOUT * 3 }, async () => {
    const start = BigInt(Date.now() - 60_000) * 1_000_000n;
    const spans = [1, 2, 3].map((number) => ({ traceId: DELETED, spanId: number.toString(16).padStart(16, "0"), name: "secret", kind: 1, startTimeUnixNano: String(start), endTimeUnixNano: String(start + 5n), attributes: [{ key: "user.id", value: { stringValue: "4711" } }] }));
    await send({ resourceSpans: [{ resource: { attributes: [{ key: "service.name", value: { stringValue: "shop" } }] }, scopeSpans: [{ spans }] }] });
    await visit("/storage", async (page) => {
      await page.locator('input[name="delete"]').fill("user.id=4711");
      await page.getByRole("button", { name: "Count" }).click();
      await confirm(page, "Count");
      assert.equal(await page.locator('[data-figure="deletion"]').textContent(), "1 trace with 3 spans matches.");
      await page.getByRole("button", { name: "Delete 1 trace" }).click();
      await confirm(page, "Delete 1 trace, 3 spans");
      await page.locator('[data-part="deletion"] [role="status"]', { hasText: "Deleted: 1 trace, 3 spans" }).waitFor();
      const [{ n }] = await rows(server(), "/api/v1/sql", `SELECT count(*) AS n FROM spans WHERE trace_id = '${DELETED}'`);
      assert.equal(n, 0);
      const [receipt] = await table(page, "receipts");
      assert.equal(digits(receipt.rows.text), 3);
    });
  });
}
