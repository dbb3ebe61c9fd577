// Tests of one trace beyond its picture: its critical path, its pattern, its names and corrections, its downloads.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { rows } from "./server.mjs";
import { HOSTILE, PAYLOADS, TASKS, tasksBody, TRACE } from "./spans.mjs";

const TIMEOUT = 60_000;

/** `server` and `browser` are called when a test runs: they do not stand before. */
export function traceTests({ server, browser, visit, send, table, figure, digits }) {
  const get = (path) => rows(server(), path);
  const confirm = async (page, name) => {
    await page.locator('dialog input[name="token"]').fill(server().token);
    await page.locator("dialog").getByRole("button", { name }).click();
    await page.locator("dialog").waitFor({ state: "detached" });
  };

  test("the critical path that is drawn is the server's", { timeout: TIMEOUT * 3 }, () =>
    visit(`/trace/${TRACE}`, async (page) => {
      const pieces = await get(`/api/v1/traces/${TRACE}/critical-path`);
      const nanos = pieces.reduce((sum, piece) => sum + piece.path_nano, 0);
      const { duration_nano } = await get(`/api/v1/traces/${TRACE}`);
      assert.equal(nanos, duration_nano);
      await page.locator(`.waterfall[data-critical="${nanos}"]`).waitFor();
      const own = pieces.filter((piece) => piece.name === "HGETALL").reduce((sum, piece) => sum + piece.path_nano, 0);
      assert.ok(own > 0);
      const canvas = await page.locator(".wf-layer canvas").boundingBox();
      await page.mouse.move(canvas.x + canvas.width / 3, canvas.y + 84);
      await page.locator('[data-part="hover"]', { hasText: `on the critical path ${own / 1e6}` }).waitFor();
    }));

  test("the graph says how long a task ran and waited where that is recorded, and nothing where it is not", { timeout: TIMEOUT * 3 }, async () => {
    await send(tasksBody(Date.now()));
    // The picture is a canvas: what it writes is kept.
    const prepare = (page) => page.addInitScript(() => {
      window.written = [];
      const write = CanvasRenderingContext2D.prototype.fillText;
      CanvasRenderingContext2D.prototype.fillText = function (words, ...rest) {
        window.written.push(words);
        write.call(this, words, ...rest);
      };
    });
    await visit(`/trace/${TASKS}?view=graph`, async (page) => {
      await page.waitForFunction(() => window.written.some((words) => words.includes("busy")));
      const written = await page.evaluate(() => [...new Set(window.written)].filter((words) => words.includes("runtime")));
      assert.ok(written.includes("20.0 ms, busy 12.5 ms, idle 7.25 ms · runtime"), written.join("; "));
      assert.ok(written.includes("9.00 ms, busy 8.00 ms · runtime"), written.join("; "));
      assert.ok(written.includes("50.0 ms · runtime"), written.join("; "));
      assert.equal(written.filter((words) => words.startsWith("50.0 ms")).length, 1, "the root has times of its own");
      assert.match(await page.locator(".graph canvas").getAttribute("aria-label"), /of 2 it is recorded/);
    }, { prepare });
    const facts = async (number) => {
      let words = "";
      await visit(`/trace/${TASKS}?view=graph&span=000000000000000${number}`, async (page) => {
        await page.locator('[data-part="facts"]').waitFor();
        words = await page.locator('[data-part="facts"]').innerText();
      });
      return words;
    };
    assert.match(await facts(2), /Busy\s+12\.5 ms\s+Idle\s+7\.25 ms/);
    assert.doesNotMatch(await facts(3), /Idle/);
    assert.doesNotMatch(await facts(1), /Busy|Idle/);
  });

  test("a trace leads to its pattern, and stands beside it place by place", { timeout: TIMEOUT * 3 }, async () => {
    const [list] = await get("/api/v1/traces?root_name=GET%20/list&limit=1");
    const [kind] = await get(`/api/v1/traces/${list.trace_id}/pattern`);
    const [pattern] = (await get("/api/v1/patterns?root_name=GET%20/list")).filter((one) => one.pattern === kind.pattern);
    await visit(`/trace/${list.trace_id}?view=compare`, async (page) => {
      await page.locator('[data-action="beside"]').click();
      await page.waitForURL(/with=pattern/);
      const shown = await table(page, "beside");
      const places = await get(`/api/v1/patterns/${kind.pattern}`);
      assert.equal(shown.length, places.length);
      assert.equal(digits(shown[0].longest.title), list.duration_nano);
      assert.equal(digits(shown[0].p50.title), places[0].p50_nano);
      assert.equal(digits(await figure(page, "kin")), pattern.traces);
      await page.getByRole("link", { name: "Its pattern" }).click();
      await page.waitForURL(new RegExp(`/patterns\\?.*pattern=${kind.pattern}`));
      await page.locator('[data-part="tree"] li').first().waitFor();
    });
  });

  test("a name given to a trace finds it, in links and in the search, until it is taken back", { timeout: TIMEOUT * 4 }, async () => {
    const name = "<i>order</i> 17/a";
    await visit(`/trace/${TRACE}`, async (page) => {
      await page.locator('[data-action="alias"]').click();
      await page.locator('dialog input[name="alias"]').fill(name);
      await confirm(page, "Add 1 name");
      await page.locator('[data-part="notes"] li', { hasText: name }).waitFor();
    });
    await visit("/tail", async (page) => {
      await page.locator(".bar .search input").fill(name);
      await page.locator(".bar .search input").press("Enter");
      await page.waitForURL(new RegExp(`/trace/${TRACE}`));
    });
    await visit(`/trace/${encodeURIComponent(name)}`, async (page) => {
      await page.locator(`code[title="${TRACE}"]`).waitFor();
      await page.getByRole("button", { name: "Take back" }).click();
      await confirm(page, /^Take back patch/);
      await page.locator("main .empty", { hasText: "nobody has called a trace so" }).waitFor();
    }, { errorsExpected: true });
  });

  test("a corrected span shows what is meant beside what was sent; the table keeps what was sent", { timeout: TIMEOUT * 3 }, () =>
    visit(`/trace/${TRACE}?span=0000000000000003`, async (page) => {
      await page.locator('[data-action="correct"]').click();
      assert.ok(await page.locator("dialog").getByRole("button", { name: "Add 1 correction" }).isDisabled(), "nothing is different yet");
      await page.locator('dialog select[name="status"]').selectOption("OK");
      await page.locator('dialog input[name="name"]').fill("POST <b>/get</b>");
      await page.locator('dialog input[name="key"]').fill("user.tier");
      await page.locator('dialog input[name="value"]').fill("<script>gold</script>");
      await confirm(page, "Add 1 correction");
      const corrected = page.locator('[data-part="corrected"]');
      await corrected.waitFor();
      assert.match(await corrected.textContent(), /statusOK sent as ERROR/);
      assert.match(await corrected.textContent(), /user\.tier<script>gold<\/script> not sent/);
      await page.locator(".wf-row", { hasText: "POST <b>/get</b>" }).waitFor();
      await page.locator('[data-part="attributes"]', { hasText: "<script>gold</script>" }).waitFor();
      assert.equal(await figure(page, "errors"), "0");
      const [sent] = await rows(server(), "/api/v1/sql", `SELECT name, status FROM spans WHERE trace_id = '${TRACE}' AND span_id = '0000000000000003'`);
      assert.deepEqual(sent, { name: "POST /get", status: "ERROR" });
      await page.locator('[data-part="notes"]').getByRole("button", { name: "Take back" }).click();
      await confirm(page, /^Take back patch/);
      await corrected.waitFor({ state: "detached" });
    }));

  test("the downloads of a trace have all of its spans, and the page opens without a server", { timeout: TIMEOUT * 4 }, () =>
    visit(`/trace/${HOSTILE}`, async (page) => {
      const { spans } = await get(`/api/v1/traces/${HOSTILE}`);
      const save = async (name, role = "link") => {
        const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole(role, { name, exact: true }).click()]);
        return download;
      };
      const otlp = JSON.parse(readFileSync(await (await save("OTLP JSON")).path(), "utf8"));
      const sent = otlp.resourceSpans.flatMap((resource) => resource.scopeSpans.flatMap((scope) => scope.spans));
      assert.deepEqual(sent.map((span) => span.spanId).sort(), spans.map((span) => span.span_id).sort());
      assert.ok(sent.some((span) => span.name === PAYLOADS.name));
      const jaeger = JSON.parse(readFileSync(await (await save("Jaeger JSON")).path(), "utf8"));
      assert.equal(jaeger.data[0].spans.length, spans.length);
      const text = readFileSync(await (await save("HTML", "button")).path(), "utf8");
      // As from a disk, with no network at all; the file's own policy allows nothing but its style.
      const context = await browser().newContext({ offline: true });
      try {
        const alone = await context.newPage();
        const asked = [];
        alone.on("request", (request) => asked.push(request.url()));
        alone.on("console", (message) => asked.push(message.text()));
        await alone.route("http://file.invalid/", (route) => route.fulfill({ contentType: "text/html", body: text, headers: { "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox" } }));
        await alone.goto("http://file.invalid/");
        assert.deepEqual(asked, ["http://file.invalid/"]);
        assert.equal(await alone.locator("details").count(), spans.length);
        assert.ok((await alone.locator("body").innerText()).includes(PAYLOADS.name));
        const wide = await alone.locator(".bar i").evaluateAll((bars) => bars.map((bar) => bar.getBoundingClientRect().width));
        assert.ok(wide.every((width) => width >= 2), "a bar has no width");
        await alone.locator("summary").first().click();
        assert.equal(await alone.locator("script, img, iframe, link, a").count(), 0);
      } finally {
        await context.close();
      }
    }));
}
