// Tests of what every page does alike: nothing found, something failed, keys.
import assert from "node:assert/strict";
import { test } from "node:test";
import { HOSTILE } from "./spans.mjs";

const TIMEOUT = 60_000;
const RANGE = "from=-1h&to=now";
const LONG_AGO = "from=2001-01-01T00:00:00Z&to=2001-01-02T00:00:00Z";
/** Pages that ask for a range, in each of their forms. */
const RANGED = ["/", "/traces", "/latency", "/compare?by=errors", "/dependencies", "/network", "/network?by=operations", "/network?by=edges", "/network?by=caused", "/network?by=services", "/patterns"];
const REQUEST = "00c0ffee00c0ffee";

const withQuery = (path, query) => `${path}${path.includes("?") ? "&" : "?"}${query}`;

export function stateTests({ visit }) {
  test("every page of a range without spans says where the spans are, and leads there", { timeout: TIMEOUT * 12 }, async () => {
    for (const path of RANGED) {
      await visit(withQuery(path, LONG_AGO), async (page) => {
        const box = page.locator(".box.empty", { hasText: "The table holds" }).first();
        await box.waitFor();
        assert.match(await box.textContent(), /^No (spans|traces|requests|calls)[\s\S]* in this range/, path);
        // With the keyboard alone.
        await box.getByRole("button", { name: "All time" }).focus();
        await page.keyboard.press("Enter");
        await page.waitForURL((url) => url.searchParams.get("from") === "all");
        await box.waitFor({ state: "detached" });
        await page.locator("main table, main .heat svg").first().waitFor();
      });
    }
  });

  test("an address that is no page's says so, and leads to the overview", { timeout: TIMEOUT }, async () => {
    await visit("/nowhere/at%20all", async (page) => {
      const box = page.locator('[role="alert"]', { hasText: "There is no page at /nowhere/at all" });
      await box.waitFor();
      assert.equal(await page.title(), "No such page · Spanlake");
      await box.getByRole("link", { name: "Open the overview" }).click();
      await page.waitForURL((url) => url.pathname === "/");
      await page.waitForFunction(() => document.title === "Overview · Spanlake");
    });
  });

  test("every page says what failed, and which request, where the server fails", { timeout: TIMEOUT * 12 }, async () => {
    const prepare = (page) =>
      page.route(/\/api\/v1\/(?!status|openapi)/, (route) => route.fulfill({ status: 500, headers: { "x-request-id": REQUEST }, contentType: "application/json", body: JSON.stringify({ error: { kind: "internal", message: "the disk is gone", request_id: REQUEST } }) }));
    for (const path of [...RANGED, `/trace/${HOSTILE}`, "/storage", "/sql?run=1&q=SELECT%201"]) {
      await visit(withQuery(path, RANGE), async (page) => {
        const box = page.locator('[role="alert"]').first();
        await box.waitFor();
        const words = await box.textContent();
        assert.match(words, /failed/, path);
        assert.match(words, /the disk is gone/, path);
        assert.ok(words.includes(REQUEST), `${path}: ${words}`);
        assert.equal(await page.locator(".skeleton").count(), 0, `${path} goes on waiting`);
      }, { prepare, errorsExpected: true });
    }
  });

  test("the keys of the range move and zoom it, and Back undoes them", { timeout: TIMEOUT * 3 }, () =>
    visit("/latency?from=2026-11-22T10:00:00Z&to=2026-11-22T11:00:00Z", async (page) => {
      await page.locator(".box.empty").waitFor();
      const width = () => page.evaluate(() => {
        const params = new URLSearchParams(location.search);
        return [Date.parse(params.get("from")), Date.parse(params.get("to"))];
      });
      const [from, to] = await width();
      const changed = async (key) => {
        const before = page.url();
        await page.keyboard.press(key);
        await page.waitForURL((url) => url.href !== before);
        return width();
      };
      assert.deepEqual(await changed("["), [from - 1_800_000, to - 1_800_000]);
      assert.deepEqual(await changed("]"), [from, to]);
      const [wide, end] = await changed("-");
      assert.equal(end - wide, 2 * (to - from));
      const [near, last] = await changed("=");
      assert.equal(last - near, to - from);
      await page.goBack();
      await page.waitForURL((url) => Date.parse(url.searchParams.get("to")) - Date.parse(url.searchParams.get("from")) === 2 * (to - from));
    }));

  for (const width of [390, 1280]) {
    const options = { viewport: { width, height: 844 } };

    test(`at ${width} px the map's words, its buttons and the map itself do not lie over each other`, { timeout: TIMEOUT * 3 }, () =>
      visit(`/dependencies?${RANGE}`, async (page) => {
        await page.locator("[data-node]").first().waitFor();
        for (const measure of ["errors", "gap"]) {
          await page.locator("select").first().selectOption(measure);
          const parts = await page.evaluate(() => [".map-sight", ".map-legend", ".map-corner"].map((name) => document.querySelector(name).getBoundingClientRect().toJSON()));
          const outer = await page.locator(".map-frame").evaluate((frame) => frame.getBoundingClientRect().toJSON());
          parts.forEach((one, index) => {
            assert.ok(one.left >= outer.left && one.right <= outer.right && one.top >= outer.top && one.bottom <= outer.bottom, `part ${index} is cut off`);
            for (const other of parts.slice(index + 1)) assert.ok(one.right <= other.left || other.right <= one.left || one.bottom <= other.top || other.bottom <= one.top, `part ${index} lies over another`);
          });
          const buttons = await page.locator(".map-corner button").evaluateAll((all) => all.map((button) => button.getBoundingClientRect().toJSON()));
          assert.equal(buttons.length, 4);
          for (const button of buttons) assert.ok(button.right <= outer.right && button.bottom <= outer.bottom, "a button is cut off");
        }
      }, options));

    test(`at ${width} px a long name is cut with an ellipsis, and leaves room for what follows it`, { timeout: TIMEOUT * 3 }, async () => {
      for (const [path, name] of [["/patterns", "patterns"], ["/traces", "traces"]]) {
        await visit(`${path}?${RANGE}&order=slowest`, async (page) => {
          await page.locator(`table[data-name="${name}"] td.pair .service`).first().waitFor();
          const cells = await page.locator("td.pair").evaluateAll((all) => all.filter((cell) => cell.querySelector(".service")).map((cell) => {
            const [outer, service] = [cell, cell.querySelector(".service")].map((element) => element.getBoundingClientRect());
            const label = service && cell.querySelector(".service > span");
            const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
            let last = null;
            for (let node = walker.nextNode(); node; node = walker.nextNode()) if (node.textContent.trim() !== "" && !node.parentElement.closest(".badge")) last = node;
            const range = document.createRange();
            range.selectNodeContents(last);
            return { words: cell.textContent, right: outer.right, serviceRight: service.right, nameLeft: range.getBoundingClientRect().left, isCut: label.scrollWidth > label.clientWidth, overflow: getComputedStyle(label).textOverflow, cellOverflow: getComputedStyle(cell).textOverflow };
          }));
          assert.ok(cells.length > 0, path);
          for (const cell of cells) {
            assert.ok(cell.serviceRight <= cell.right && cell.nameLeft < cell.right - 12, `${path}: ${JSON.stringify(cell)}`);
            assert.deepEqual([cell.overflow, cell.cellOverflow], ["ellipsis", "ellipsis"]);
          }
          if (path === "/patterns") assert.ok(cells.some((cell) => cell.isCut), "no name is long enough to be cut");
        }, options);
      }
    });
  }

  test("each page has its key, and the rail says which one is open", { timeout: TIMEOUT * 3 }, () =>
    visit(`/sql?${RANGE}`, async (page) => {
      await page.locator(".rail").waitFor();
      for (const [key, path] of [["o", "/"], ["t", "/traces"], ["l", "/latency"], ["d", "/dependencies"], ["n", "/network"], ["p", "/patterns"], ["f", "/tail"], ["s", "/storage"], ["q", "/sql"]]) {
        await page.keyboard.press("g");
        await page.keyboard.press(key);
        await page.waitForURL((url) => url.pathname === path);
        await page.locator(`.rail a[aria-current="page"]`).waitFor();
        assert.equal(new URL(await page.locator(`.rail a[aria-current="page"]`).evaluate((link) => link.href)).pathname, path);
        // A field that took the focus would take the next key, too.
        await page.evaluate(() => document.activeElement?.blur());
      }
    }));
}
