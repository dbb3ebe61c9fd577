// Tests of the pages that answer questions about many traces: patterns and compare.
import assert from "node:assert/strict";
import { test } from "node:test";
import { rows } from "./server.mjs";
import { PAYLOADS } from "./spans.mjs";

const TIMEOUT = 60_000;
const RANGE = "from=-1h&to=now";

/** `server` is called when a test runs: it does not stand before. */
export function questionTests({ server, visit, table, figure, digits }) {
  const ask = (statement) => rows(server(), "/api/v1/sql", statement);

  test("patterns are the API's, and a row opens the tree of its shape with examples", { timeout: TIMEOUT * 3 }, () =>
    visit(`/patterns?${RANGE}`, async (page) => {
      const shown = await table(page, "patterns");
      const expected = await rows(server(), "/api/v1/patterns");
      assert.equal(shown.length, expected.length);
      assert.equal(digits(await figure(page, "patterns")), expected.length);
      assert.equal(digits(await figure(page, "traces")), expected.reduce((sum, row) => sum + row.traces, 0));
      const list = expected.find((row) => row.root_name === "GET /list");
      const line = shown.find((row) => row.root.text.includes("GET /list"));
      assert.equal(digits(line.traces.text), list.traces);
      assert.equal(digits(line.p50.title), list.p50_nano);
      assert.equal(digits(line.p95number.title), list.p95_nano);
      const cart = expected.find((row) => row.root_name === "GET /cart" && row.spans === 4);
      await page.locator('table[data-name="patterns"] tbody tr', { hasText: "GET /cart" }).first().click();
      await page.waitForURL(new RegExp(`pattern=${cart.pattern}`));
      await page.locator('[data-part="tree"] li').first().waitFor();
      const tree = await ask(`SELECT * FROM pattern('${cart.pattern}') ORDER BY position`);
      const words = await page.locator('[data-part="tree"] li .shape-name').allTextContents();
      assert.deepEqual(words.map((text) => text.trim().replace(/\s*\d+\.\d %$/, "")), tree.map((row) => `${row.service} ${row.name}`));
      const links = await page.locator('[data-part="exemplars"] a').evaluateAll((found) => found.map((link) => link.title));
      assert.deepEqual(links, [cart.fast_trace_id, cart.typical_trace_id, cart.slow_trace_id]);
      await page.keyboard.press("Escape");
      await page.locator(".detail").waitFor({ state: "detached" });
    }));

  test("a trace is compared with a typical one of a pattern of its operation", { timeout: TIMEOUT * 3 }, async () => {
    const [list] = await rows(server(), "/api/v1/traces?root_name=GET%20/list&limit=1");
    await visit(`/trace/${list.trace_id}?view=compare`, async (page) => {
      const shown = await table(page, "kinds");
      const [expected] = await rows(server(), "/api/v1/patterns?root_name=GET%20/list");
      assert.deepEqual(shown.map((row) => [row.shape.text, digits(row.traces.text)]), [[expected.shape, expected.traces]]);
      await page.locator('table[data-name="kinds"] tbody tr').click();
      await page.waitForURL(new RegExp(`with=${expected.typical_trace_id}`));
      await table(page, "diff");
    });
  });

  test("slow traces against the others: what they have in common is a sentence, and a click shows them", { timeout: TIMEOUT * 3 }, () =>
    visit(`/compare?${RANGE}&by=slow&over=95ms&root_service=shop&root_name=GET%20%2Flist`, async (page) => {
      const shown = await table(page, "differences");
      assert.equal(shown[0].key.text, "cart.size");
      assert.equal(shown[0].value.text.replace(/and \d+ others?$/, ""), "large");
      assert.match(await page.locator('[data-part="sentence"]').textContent(), /cart\.size = large is in 100\.0 % of the slow traces and 0\.0 % of the others/);
      const [slow] = await ask("SELECT count(*) AS n FROM traces() WHERE root_name = 'GET /list' AND duration_nano >= 95000000");
      const [all] = await ask("SELECT count(*) AS n FROM traces() WHERE root_name = 'GET /list'");
      assert.equal(digits(await figure(page, "selection").then((text) => text.split(" ")[0])), slow.n);
      assert.equal(digits(await figure(page, "baseline").then((text) => text.split(" ")[0])), all.n - slow.n);
      const expected = await ask("SELECT * FROM compare('root_name = ''GET /list'' AND duration_nano >= 95000000', 'root_name = ''GET /list'' AND duration_nano < 95000000') WHERE key = 'cart.size' AND value = 'large'");
      assert.equal(shown[0].selection.title, `${expected[0].selection} of ${slow.n}`);
      await page.locator('table[data-name="differences"] tbody tr').first().click();
      await page.waitForURL(/\/traces\?attribute=cart\.size%3Dlarge/);
      assert.equal((await table(page, "traces")).length, slow.n);
    }));

  test("a box in the latency picture is compared with the rest of the range", { timeout: TIMEOUT * 3 }, () =>
    visit(`/latency?${RANGE}`, async (page) => {
      const heat = page.locator(".heat svg");
      await heat.waitFor();
      const box = await heat.boundingBox();
      await page.mouse.move(box.x + 62, box.y + 8);
      await page.mouse.down();
      await page.mouse.move(box.x + box.width - 44, box.y + box.height / 3, { steps: 4 });
      await page.mouse.up();
      await page.locator('[data-action="compare"]').click();
      await page.waitForURL(/\/compare\?.*box_min=\d+ns.*by=box/);
      await page.locator('[data-figure="selection"]').waitFor();
      const asked = new URL(page.url()).searchParams;
      const bound = (name) => Number(asked.get(name).replace("ns", ""));
      const [{ n }] = await ask(`SELECT count(*) AS n FROM traces() WHERE start_time >= '${asked.get("box_from")}' AND start_time < '${asked.get("box_to")}' AND duration_nano BETWEEN ${bound("box_min")} AND ${bound("box_max")}`);
      assert.ok(n > 0);
      assert.equal(digits((await figure(page, "selection")).split(" ")[0]), n);
      await page.locator('[data-part="box"]').waitFor();
      await page.goBack();
      await page.waitForURL(/\/latency/);
    }));

  const difference = (position, key, value) => ({ position, scope: "attribute", key, value, selection: 9, baseline: 1, selection_share: 0.9, baseline_share: 0.1, lift: 9, g: 20, p_value: 0.0001, same_as: 1 });
  const answering = (...differences) => (page) =>
    page.route("**/api/v1/compare?*", (route) => route.fulfill({ contentType: "application/x-ndjson", headers: { "spanlake-notes": JSON.stringify({ selection: 10, baseline: 10 }) }, body: differences.map((one) => JSON.stringify(one)).join("\n") }));

  test("a finding too long for its column still leads to its other words", { timeout: TIMEOUT * 3 }, () =>
    visit(`/compare?${RANGE}&by=errors`, async (page) => {
      await page.locator('table[data-name="differences"] button.badge').click();
      await page.locator('[data-part="same"] button').getByText("order-db-2", { exact: true }).waitFor();
    }, { prepare: answering(difference(1, "db.query.text", "UPDATE stock SET reserved = reserved + @n ".repeat(6)), difference(2, "server.address", "order-db-2")) }));

  test("differences and trees show hostile texts as texts", { timeout: TIMEOUT * 3 }, () =>
    visit(`/compare?${RANGE}&by=errors`, async (page) => {
      const [shown] = await table(page, "differences");
      assert.equal(shown.key.text, PAYLOADS.key);
      assert.equal(shown.value.text, PAYLOADS.value);
      assert.equal(await page.locator("main img, main iframe, main script").count(), 0);
    }, { prepare: answering(difference(1, PAYLOADS.key, PAYLOADS.value)) }));
}
