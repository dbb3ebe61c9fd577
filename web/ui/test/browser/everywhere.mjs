// Tests of what holds for all pages: waiting, hostile texts, times, keys, the range, two windows.
import assert from "node:assert/strict";
import { test } from "node:test";
import { rows } from "./server.mjs";
import { HOSTILE, PAYLOADS, TRACE, windowsBody } from "./spans.mjs";

const TIMEOUT = 60_000;
const RANGE = "from=-1h&to=now";
const ASKING = ["/", "/traces", `/trace/${TRACE}`, `/trace/${TRACE}?view=compare`, "/latency", "/compare?by=errors", "/dependencies", "/network", "/network?by=operations", "/network?by=edges", "/network?by=caused", "/network?by=services", "/patterns", "/sql?run=1&q=SELECT%20name%20FROM%20spans%20LIMIT%205", "/storage"];
const CONTENT = "main table, main .wf-row, main .heat svg";

const withQuery = (path, query) => `${path}${path.includes("?") ? "&" : "?"}${query}`;

/** `server` and `started` are called when a test runs: they do not stand before. */
export function everywhereTests({ server, started, visit, send, table, digits }) {
  test("every page that waits shows where its data will be, and moves little when they come", { timeout: TIMEOUT * 12 }, async () => {
    for (const path of ASKING) {
      let release;
      const held = new Promise((resolve) => (release = resolve));
      const prepare = async (page) => {
        await page.route(/\/api\/v1\/(?!status|openapi|tables|columns)/, async (route) => {
          await held;
          await route.continue();
        });
        await page.addInitScript(() => {
          window.shifted = 0;
          new PerformanceObserver((list) => list.getEntries().forEach((entry) => (window.shifted += entry.hadRecentInput ? 0 : entry.value))).observe({ type: "layout-shift", buffered: true });
        });
      };
      await visit(withQuery(path, RANGE), async (page) => {
        // After 200 ms, not before: a quick answer makes nothing flicker.
        await page.locator('.skeleton.seen[aria-label="Loading"], [role="progressbar"], .box [role="status"]').first().waitFor();
        assert.equal(await page.locator(CONTENT).count(), 0, `${path} shows something before it knows`);
        release();
        await page.locator(CONTENT).first().waitFor();
        await page.waitForFunction(() => !document.querySelector(".skeleton"));
        const shifted = await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(window.shifted)))));
        assert.ok(shifted < 0.1, `${path} moves by ${shifted.toFixed(3)}`);
      }, { prepare });
    }
  });

  test("hostile texts of every kind are seen as texts in every form of every page", { timeout: TIMEOUT * 12 }, async () => {
    const [kind] = await rows(server(), `/api/v1/traces/${HOSTILE}/pattern`);
    const places = [
      ["/network?by=operations", "service"], ["/network?by=edges", "service"], ["/network?by=caused", "service"], ["/network?by=services", "service"],
      [`/patterns?pattern=${kind.pattern}`, "name"], [`/dependencies?focus=${encodeURIComponent(PAYLOADS.service)}`, "service"], [`/latency?root_service=${encodeURIComponent(PAYLOADS.service)}`, "service"],
      [`/traces?service=${encodeURIComponent(PAYLOADS.service)}`, "name"], [`/traces?scope_name=${encodeURIComponent(PAYLOADS.scope)}`, "name"], [`/trace/${HOSTILE}`, "name"],
      [`/sql?run=1&q=${encodeURIComponent(`SELECT * FROM spans WHERE trace_id = '${HOSTILE}'`)}`, "state"],
    ];
    for (const [path, part] of places) {
      await visit(withQuery(path, RANGE), async (page) => {
        await page.waitForFunction((words) => document.querySelector("main").innerText.includes(words), PAYLOADS[part]);
        assert.equal(await page.locator("main :is(img, iframe, script, object, math, style, [onload], [onerror], [ontoggle], a[href^='javascript'])").count(), 0, path);
      });
    }
    // What stands on a canvas or in a URL is no markup either.
    await visit(`/trace/${HOSTILE}?view=graph&find=${encodeURIComponent(PAYLOADS.key)}&${RANGE}`, (page) => page.locator(".graph canvas").waitFor());
  });

  test("times are local, with UTC and the distance from the range's start on hover", { timeout: TIMEOUT * 3 }, async () => {
    const [first] = await rows(server(), "/api/v1/traces?limit=1");
    const utc = first.start_time.slice(0, 23);
    const from = new Date(Date.parse(first.start_time) - 90_000).toISOString();
    await visit(`/traces?from=${from}&to=now`, async (page) => {
      const [row] = await table(page, "traces");
      assert.equal(row.id.title, first.trace_id);
      const local = new Date(Date.parse(first.start_time) + 5.5 * 3_600_000).toISOString().replace("T", " ").slice(0, 23);
      assert.equal(row.start.text, local);
      assert.ok(row.start.title.includes(utc), row.start.title);
      assert.match(row.start.title, /\+1 min 30 s from the start of the range/);
    }, { timezoneId: "Asia/Kolkata" });
  });

  test("an example of a cell of the picture is one click away", { timeout: TIMEOUT * 3 }, () =>
    visit(`/latency?${RANGE}`, async (page) => {
      const heat = page.locator(".heat svg");
      await heat.waitFor();
      const box = await heat.boundingBox();
      // From the right end, where the newest are, until a cell says what it holds.
      const tip = page.locator(".heat .tip", { hasText: "click: trace" });
      search: for (let x = box.x + box.width - 46; x > box.x + 60; x -= 4) {
        for (let y = box.y + 6; y < box.y + box.height - 24; y += 4) {
          await page.mouse.move(x, y);
          if ((await tip.count()) > 0) break search;
        }
      }
      const [, id] = /click: trace ([0-9a-f]{8})/.exec(await tip.textContent());
      await page.mouse.down();
      await page.mouse.up();
      await page.waitForURL(new RegExp(`/trace/${id}`));
    }));

  test("the range is chosen by a word, by times, by seconds, or by a stroke over a picture", { timeout: TIMEOUT * 3 }, () =>
    visit(`/?${RANGE}`, async (page) => {
      await table(page, "services");
      const open = () => page.locator(".range .button").first().click();
      const param = (key) => new URL(page.url()).searchParams.get(key);
      await open();
      await page.getByRole("button", { name: "Last 6 h" }).click();
      await page.waitForURL(/from=-6h&to=now/);
      await open();
      await page.getByLabel("From").fill("1750000000");
      await page.getByLabel("To", { exact: true }).fill("2026-11-22T10:00:00Z");
      await page.getByRole("button", { name: "Apply" }).click();
      await page.waitForURL(/1750000000/);
      await open();
      await page.getByLabel("From").fill("yesterday");
      await page.locator(".range-form .error-text").waitFor();
      assert.ok(await page.getByRole("button", { name: "Apply" }).isDisabled());
      await page.keyboard.press("Escape");
      await page.goto(`${server().page}/?${RANGE}`);
      const chart = page.locator(".content svg.chart").first();
      await chart.waitFor();
      const box = await chart.boundingBox();
      await page.mouse.move(box.x + box.width * 0.5, box.y + 20);
      await page.mouse.down();
      await page.mouse.move(box.x + box.width * 0.9, box.y + 20, { steps: 4 });
      await page.mouse.up();
      await page.waitForURL((url) => url.searchParams.get("from") !== "-1h");
      const wide = Date.parse(param("to")) - Date.parse(param("from"));
      assert.ok(wide > 900_000 && wide < 2_700_000, `${wide} ms`);
      await page.goBack();
      await page.waitForURL(/from=-1h/);
    }));

  test("live asks again by itself until it is switched off", { timeout: TIMEOUT * 3 }, () =>
    visit(`/?${RANGE}`, async (page) => {
      await table(page, "services");
      const asked = () => page.waitForRequest((request) => request.url().includes("/api/v1/sql"));
      const [request] = await Promise.all([asked(), page.keyboard.press(".")]);
      assert.ok(request);
      await page.waitForURL(/live=1/);
      await asked();
      await page.keyboard.press(".");
      await page.locator('[aria-label="Live"][aria-pressed="false"]').waitFor();
      assert.equal(new URL(page.url()).searchParams.get("live"), null);
    }));

  test("keys copy the link, ask again, and lead to the table and the exports", { timeout: TIMEOUT * 3 }, () =>
    visit(`/dependencies?${RANGE}`, async (page) => {
      await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
      await table(page, "dependencies");
      const asked = page.waitForRequest((request) => request.url().includes("/api/v1/dependencies"));
      await page.keyboard.press("r");
      await asked;
      await page.keyboard.press("c");
      await page.waitForFunction(async () => (await navigator.clipboard.readText()) === location.href);
      await page.keyboard.press("x");
      assert.ok(await page.evaluate(() => document.activeElement.closest(".exports") !== null));
      await page.keyboard.press("b");
      assert.ok(await page.evaluate(() => document.activeElement.matches(".table-frame")));
      // With the keyboard alone into a row.
      await page.keyboard.press("Tab");
      assert.ok(await page.evaluate(() => document.activeElement.closest("table") !== null));
    }));

  test("keys move about in a trace as in Perfetto: zoom, frame, select, fold", { timeout: TIMEOUT * 3 }, () =>
    visit(`/trace/${TRACE}?span=0000000000000002`, async (page) => {
      await page.locator('[data-part="facts"]').waitFor();
      await page.keyboard.press("w");
      await page.waitForURL(/zoom=\w/);
      const near = new URL(page.url()).searchParams.get("zoom");
      await page.keyboard.press("d");
      await page.waitForURL((url) => url.searchParams.get("zoom") !== near);
      await page.keyboard.press("0");
      await page.waitForURL((url) => !url.searchParams.get("zoom"));
      await page.keyboard.press("f");
      await page.waitForURL(/zoom=\w/);
      await page.keyboard.press("ArrowDown");
      await page.waitForURL(/span=0000000000000003/);
      await page.keyboard.press("ArrowLeft");
      await page.waitForFunction(() => document.querySelectorAll(".wf-row").length === 3);
      await page.keyboard.press("ArrowRight");
      await page.waitForFunction(() => document.querySelectorAll(".wf-row").length === 4);
    }));

  test("two windows are compared: what is new, what is gone, what got slower", { timeout: TIMEOUT * 5 }, async () => {
    // Minutes before the shop's spans: these are in neither window.
    const now = started();
    await send(windowsBody(now));
    const range = `from=${new Date(now - 360_000).toISOString()}&to=${new Date(now - 300_000).toISOString()}&against=before`;
    await visit(`/dependencies?${range}`, async (page) => {
      await page.locator('td[data-column="before"]').first().waitFor();
      const edges = Object.fromEntries((await table(page, "dependencies")).map((row) => [`${row.caller.text} ${row.callee.text}`, [digits(row.calls.text), digits(row.before.text)]]));
      assert.deepEqual(edges["till bank"], [20, 20]);
      assert.equal(edges["till fresh"][0], 20);
      assert.deepEqual(edges["till old"], [0, 20]);
      // Who has nothing to do with the service under the pointer steps back.
      await page.locator('[data-node="fresh"]').hover();
      await page.locator('[data-node="bank"].dim').waitFor();
      assert.equal(await page.locator('[data-node="till"].dim, [data-node="fresh"].dim').count(), 0);
      await page.locator("select").first().selectOption("p99Change");
      await page.waitForURL(/measure=p99Change/);
      assert.match(await page.locator(".map-legend").textContent(), /callee p99 against before/);
    });
    await visit(`/patterns?${range}`, async (page) => {
      await page.locator('td[data-column="change"]').first().waitFor();
      const words = (await table(page, "patterns")).filter((row) => row.root.text.includes("GET /pay")).map((row) => row.change.text);
      assert.deepEqual(new Set(words), new Set(["new", "gone"]));
    });
    await visit(`/latency?${range}&side=1`, async (page) => {
      await page.locator('td[data-column="change"]').first().waitFor();
      const [row] = (await table(page, "latency")).filter((one) => one.name.text === "GET /pay");
      assert.match(row.change.text, /▲ 10\.\d×|▲ 9\.\d+×|▲ 10×/);
      await page.locator(".heat svg").nth(1).waitFor();
      assert.deepEqual(await page.locator(".heat svg").evaluateAll((all) => all.map((one) => one.dataset.total)), ["20", "20"]);
    });
  });
}
