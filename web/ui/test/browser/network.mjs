// Tests of the network page: bytes by service, operation and edge, and who caused them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { rows } from "./server.mjs";

const TIMEOUT = 60_000;
const RANGE = "from=-1h&to=now";

/** `server` is called when a test runs: it does not stand before. */
export function networkTests({ server, visit, table, figure, digits }) {
  /** Bytes in a cell; a dash where nobody measured any. */
  function same(cell, bytes, coverage, of) {
    if (bytes && coverage) assert.equal(digits(cell.title), bytes, of);
    else assert.equal(cell.text, "–", of);
  }

  /** By operation and by edge: the API's figures, with coverage. */
  async function finerNetwork(page) {
    await page.getByRole("button", { name: "By operation", exact: true }).click();
    const operations = await table(page, "network-operations");
    const operationRows = await rows(server(), "/api/v1/network/operations");
    assert.equal(operations.length, operationRows.length);
    for (const row of operationRows) {
      const line = operations.find((one) => one.service.text === row.service && one.name.text === row.name && one.kind.text === row.kind.toLowerCase());
      same(line.bytesIn, row.bytes_in, row.coverage, `${row.service} ${row.name}`);
      same(line.bytesOut, row.bytes_out, row.coverage, `${row.service} ${row.name}`);
      assert.equal(line.coverage.text, `${(row.coverage * 100).toFixed(1)} %`);
    }
    const sum = (name) => operationRows.reduce((all, row) => all + row[name], 0);
    assert.ok(sum("sized_spans") > 0);
    assert.equal(await figure(page, "coverage"), `${((sum("sized_spans") / sum("spans")) * 100).toFixed(1)} %`);
    await page.getByRole("button", { name: "By edge", exact: true }).click();
    const edges = await table(page, "network-edges");
    const edgeRows = await rows(server(), "/api/v1/dependencies");
    assert.equal(edges.length, edgeRows.length);
    for (const row of edgeRows) {
      const line = edges.find((one) => one.caller.text === row.caller && one.callee.text === row.callee && one.kind.text === row.kind);
      same(line.request, row.request_bytes, row.coverage, `${row.caller} ${row.callee}`);
      same(line.response, row.response_bytes, row.coverage, `${row.caller} ${row.callee}`);
    }
  }

  test("network shows bytes and coverage", { timeout: TIMEOUT * 3 }, () =>
    visit(`/network?${RANGE}`, async (page) => {
      await page.getByLabel("Four components").check();
      await page.waitForURL(/parts=1/);
      const shown = await table(page, "network");
      const expected = await rows(server(), "/api/v1/network");
      assert.equal(shown.length, expected.length);
      const shop = expected.find((row) => row.service === "shop");
      const line = shown.find((row) => row.service.text === "shop");
      assert.equal(digits(line.serverIn.title), shop.server_in);
      assert.equal(digits(line.serverOut.title), shop.server_out);
      // Nobody measured what cart moved, nor what shop called: a dash that says so, never 0.
      const cart = shown.find((row) => row.service.text === "cart");
      for (const column of ["bytesIn", "bytesOut", "serverIn", "clientOut"]) assert.equal(cart[column].text, "–", column);
      assert.match(cart.bytesIn.title, /No span carried a body size/);
      assert.equal(line.clientOut.text, "–");
      const { coverage } = JSON.parse((await fetch(`${server().page}/api/v1/network`)).headers.get("spanlake-notes"));
      assert.equal(await figure(page, "coverage"), `${(coverage * 100).toFixed(1)} %`);
      assert.equal(await page.locator(".figures .badge", { hasText: "coverage" }).count(), 0);
      // The picture has the pairs of the dependencies that recorded a size, and names them on hover.
      const edges = (await rows(server(), "/api/v1/dependencies")).filter((edge) => edge.request_bytes || edge.response_bytes);
      const pairs = new Set(edges.map((edge) => `${edge.caller} → ${edge.callee}`));
      assert.deepEqual(new Set(await page.locator("[data-band]").evaluateAll((bands) => bands.map((band) => band.dataset.band))), pairs);
      await page.locator("[data-band]").first().hover();
      await page.locator(".sankey .tip", { hasText: "requests" }).waitFor();
      await finerNetwork(page);
      await page.getByRole("button", { name: "Caused by operations" }).click();
      const caused = await table(page, "caused");
      const causedRows = await rows(server(), "/api/v1/network/caused");
      assert.equal(caused.length, causedRows.length);
      await page.locator('[data-part="flows"]').waitFor();
      assert.equal(await page.locator("[data-band]").count(), causedRows.filter((row) => row.bytes > 0).length);
      await page.getByRole("button", { name: "Caused by services" }).click();
      const below = await table(page, "caused-services");
      const belowRows = await rows(server(), "/api/v1/network/caused/services");
      assert.equal(below.length, belowRows.length);
      const caller = belowRows.find((row) => row.bytes > 0);
      assert.equal(digits(below.find((row) => row.service.text === caller.service).bytes.title), caller.bytes);
    }));
}
