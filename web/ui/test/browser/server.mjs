// The real server on free ports with a folder of its own, and its API.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** `demo`: with its shop beside it. */
export async function startServer(binary, { demo = false } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "spanlake-page-"));
  const process_ = spawn(binary, [...(demo ? ["demo", "--rate", "400"] : ["serve"]), "--data", join(folder, "data"), "--listen", "127.0.0.1:0", "--ttl", "never", "--format", "json"], { stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  process_.stderr.on("data", (chunk) => (log += chunk));
  const ended = new Promise((resolve) => process_.once("exit", resolve));
  const first = await new Promise((resolve, reject) => {
    createInterface({ input: process_.stdout }).once("line", resolve);
    process_.once("error", reject);
    ended.then((code) => reject(new Error(`the server ended with ${code}: ${log}`)));
  });
  const summary = JSON.parse(first);
  return {
    page: `http://${summary.ui}`,
    otlp: `http://${summary.http}/v1/traces`,
    token: summary.admin_token,
    stop: async () => {
      process_.kill("SIGTERM");
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Rows of an API answer; the body is a statement where there is one. */
export async function rows(server, path, statement) {
  const init = statement === undefined ? {} : { method: "POST", body: statement };
  const response = await fetch(server.page + path, init);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.json();
}
