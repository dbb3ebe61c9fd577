// The live tail: spans that come while the page is open. A server of its own, so that nobody else's spans are in sight.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { rows, startServer } from "./server.mjs";
import { PAYLOADS } from "./spans.mjs";

const TIMEOUT = 60_000;

const text = (key, value) => ({ key, value: { stringValue: value } });

/** One span for each name. */
function body(service, names, fields = {}) {
  const start = BigInt(Date.now()) * 1_000_000n;
  const span = (name, index) => ({
    traceId: crypto.randomUUID().replaceAll("-", ""),
    spanId: (index + 1).toString(16).padStart(16, "0"),
    name,
    kind: 2,
    startTimeUnixNano: String(start),
    endTimeUnixNano: String(start + 7_000_000n),
    attributes: [text("order.id", `o-${name}`)],
    ...fields,
  });
  return { resourceSpans: [{ resource: { attributes: [text("service.name", service)] }, scopeSpans: [{ spans: names.map(span) }] }] };
}

/** A wire to the page of `server` that can be cut: what runs over it ends, and nothing new begins until it is mended. */
async function startWire(server) {
  const ends = new Set();
  let whole = true;
  const listener = createServer((near) => {
    if (!whole) return near.destroy();
    const far = connect(Number(new URL(server.page).port), "127.0.0.1");
    for (const [one, other] of [[near, far], [far, near]]) {
      ends.add(one);
      one.pipe(other);
      one.on("error", () => other.destroy());
      one.on("close", () => ends.delete(one) && other.destroy());
    }
  });
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const cut = () => {
    whole = false;
    for (const end of ends) end.destroy();
  };
  return {
    page: `http://127.0.0.1:${listener.address().port}`,
    cut,
    mend: () => (whole = true),
    stop: () => {
      cut();
      listener.close();
    },
  };
}

/** `open(path, act, options)` visits a page of `server` with the checks that every page must pass. */
export function tailTests({ binary, open, shots }) {
  test("a connection that breaks goes on where it broke: nothing is missing, nothing twice", { timeout: TIMEOUT * 3 }, async () => {
    const server = await startServer(binary);
    const wire = await startWire(server);
    const send = async (part) => {
      const names = Array.from({ length: 20 }, (_, index) => `${part} ${index}`);
      const answer = await fetch(server.otlp, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body("shop", names)) });
      assert.equal(answer.status, 200, await answer.text());
    };
    const resumed = [];
    const prepare = (page) => page.on("request", (request) => request.url().includes("/api/v1/tail") && resumed.push(request.headers()["last-event-id"]));
    try {
      await open({ ...server, page: wire.page }, "/tail", async (page) => {
        await page.locator('[data-figure="connection"]', { hasText: "Live" }).waitFor();
        await send("first");
        await page.locator(".tail-name", { hasText: "first 19" }).waitFor();
        wire.cut();
        await page.locator('[data-figure="connection"]', { hasText: "Again in" }).waitFor();
        await send("while broken");
        wire.mend();
        await page.locator(".tail-name", { hasText: "while broken 19" }).waitFor();
        await send("after");
        await page.locator(".tail-name", { hasText: "after 19" }).waitFor();
        assert.equal(await page.locator('[data-figure="spans"] .value').textContent(), "60");
        assert.equal(await page.locator('[data-figure="missing"]').count(), 0);
        assert.equal(resumed[0], undefined);
        assert.ok(resumed[resumed.length - 1], "it did not say where it broke");
      }, { errorsExpected: true, prepare });
    } finally {
      wire.stop();
      await server.stop();
    }
  });

  test("the tail shows spans as they arrive, filters, pauses and resumes without a gap", { timeout: TIMEOUT * 3 }, async () => {
    const server = await startServer(binary);
    const send = async (...request) => {
      const answer = await fetch(server.otlp, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body(...request)) });
      assert.equal(answer.status, 200, await answer.text());
    };
    const shoot = async (page, name) => {
      if (!shots) return;
      mkdirSync(shots, { recursive: true });
      await page.screenshot({ path: join(shots, `tail-${name}.png`) });
    };
    const lines = (page) => page.locator('[data-line="span"]');
    const live = (page) => page.locator('[data-figure="connection"]', { hasText: "Live" }).waitFor();
    try {
      await open(server, "/tail", async (page) => {
        await live(page);
        await shoot(page, "empty");
        await send("shop", ["GET /cart", "POST /order"]);
        await page.locator(".tail-name", { hasText: "POST /order" }).waitFor();
        assert.equal(await lines(page).count(), 2);
        await send(PAYLOADS.service, [PAYLOADS.name], { status: { code: 2, message: "no" } });
        const hostile = page.locator(".tail-name", { hasText: PAYLOADS.name });
        await hostile.waitFor();
        assert.equal(await hostile.locator(".mark-error").count(), 1);

        await page.keyboard.press(".");
        await page.waitForURL(/paused=1/);
        await send("shop", Array.from({ length: 30 }, (_, index) => `while paused ${index}`));
        await page.locator('[data-figure="waiting"]', { hasText: "30" }).waitFor();
        assert.equal(await lines(page).count(), 3);
        await shoot(page, "paused");
        await page.locator('[data-action="pause"]').click();
        await page.locator('.tail-lines[data-lines="33"]').waitFor();
        await page.locator(".tail-name", { hasText: "while paused 29" }).waitFor();
        assert.equal(await page.locator('[data-figure="spans"] .value').textContent(), "33");
        const [total] = await rows(server, "/api/v1/sql", "SELECT count(*) AS n FROM spans");
        assert.equal(total.n, 33);
        await shoot(page, "light");

        await page.locator(".tail-name", { hasText: "while paused 29" }).click();
        await page.waitForURL(/\/trace\/[0-9a-f]{32}\?.*span=/);
      });
      await open(server, "/tail?service=cart&attribute=order.id%3Do-wanted&limit=50", async (page) => {
        await live(page);
        await send("shop", ["wanted"]);
        await send("cart", ["other", "wanted"]);
        await page.locator(".tail-name", { hasText: "wanted" }).waitFor();
        assert.equal(await lines(page).count(), 1);
        assert.equal(await page.locator('.filters input[name="service"]').inputValue(), "cart");
        await page.locator('.filters input[name="service"]').fill("shop");
        await page.locator('.filters input[name="attribute"]').fill("");
        await page.getByRole("button", { name: "Filter", exact: true }).click();
        await page.waitForURL((url) => url.search === "?limit=50&service=shop");
        await live(page);
        await send("shop", Array.from({ length: 130 }, (_, index) => `many ${index}`));
        await page.locator('[data-figure="missing"] .value', { hasText: "80" }).waitFor();
        await page.locator('.tail-lines[data-lines="51"]').waitFor();
        // Out of sight it is not in the page at all.
        assert.ok((await lines(page).count()) < 45);
        await page.locator(".tail-lines").evaluate((element) => element.scrollTo(0, 0));
        await page.locator('[data-line="notice"]', { hasText: "80 spans more matched" }).waitFor();
        await shoot(page, "dark");
      }, { colorScheme: "dark" });
      await open(server, "/tail", async (page) => {
        await live(page);
        await send("checkout", Array.from({ length: 12 }, (_, index) => `GET /a/rather/long/path/${index}`));
        await page.locator(".tail-name", { hasText: "path/11" }).waitFor();
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(overflow <= 0, `${overflow} px wider than the window`);
        await shoot(page, "390");
      }, { viewport: { width: 390, height: 844 } });
    } finally {
      await server.stop();
    }
  });
}
