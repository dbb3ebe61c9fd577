// A stand-in for the server while working on the page: made-up traces behind the routes that the page asks.
// `node dev/mock.mjs [PORT] [FOLDER]`; FOLDER is the built page. Never part of the binary.
import { createServer } from "node:http";
import { existsSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";

const [port = "8080", folder = "dist"] = process.argv.slice(2);
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
  "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'";

let seed = 7;
const random = () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 4294967296;
};
const hex = (length) => Array.from({ length }, () => Math.floor(random() * 16).toString(16)).join("");
const skewed = (median) => median * Math.exp((random() + random() + random() - 1.5) * 1.4);

const CALLS = {
  web: [["cart", "GET /cart"], ["catalog", "ListProducts"], ["recommend", "Suggest"], ["checkout", "PlaceOrder"]],
  checkout: [["cart", "GetCart"], ["payment", "Charge"], ["shipping", "Quote"], ["orders.events", "publish", "PRODUCER"]],
  cart: [["redis", "HGETALL", "CLIENT"]],
  catalog: [["postgresql/catalog", "SELECT products", "CLIENT"], ["postgresql/catalog", "SELECT stock", "CLIENT"]],
  recommend: [["catalog", "ListProducts"], ["ranker", "Rank"]],
  ranker: [["recommend", "Feedback"]],
  payment: [["api.bank.example", "POST /charge", "CLIENT"]],
};
const ROOTS = ["GET /", "GET /product/{id}", "POST /checkout", "GET /cart"];
const now = Date.now();
const spans = [];

function add(trace, parent, at, service, name, kind, depth, root) {
  const failed = random() < (service === "payment" ? 0.08 : 0.004);
  const span = { trace_id: trace, span_id: hex(16), parent_span_id: parent, service, name, kind, at, duration: 0, status: failed ? "ERROR" : "UNSET", root };
  spans.push(span);
  let end = at + skewed(400_000);
  for (const [callee, operation, alone] of CALLS[service] ?? []) {
    if (random() < 0.25 || depth > 5) continue;
    const start = end + skewed(30_000);
    if (alone) {
      spans.push({ trace_id: trace, span_id: hex(16), parent_span_id: span.span_id, service, name: operation, kind: alone, at: start, duration: skewed(900_000), status: "UNSET", root, to: callee });
      end = start + spans.at(-1).duration;
    } else {
      const client = { trace_id: trace, span_id: hex(16), parent_span_id: span.span_id, service, name: operation, kind: "CLIENT", at: start, duration: 0, status: "UNSET", root };
      spans.push(client);
      const inner = add(trace, client.span_id, start + 90_000, callee, operation, "SERVER", depth + 1, root);
      client.duration = inner.at + inner.duration + 120_000 - start;
      client.status = inner.status;
      end = random() < 0.3 ? start + 50_000 : start + client.duration;
    }
  }
  span.duration = Math.round(end + skewed(200_000) - at);
  return span;
}

for (let index = 0; index < 700; index += 1) {
  const name = ROOTS[Math.floor(random() ** 1.6 * ROOTS.length)];
  const trace = hex(32);
  add(trace, null, Math.round(random() * 3600e9), "web", name, "SERVER", 0, name);
}
const last = spans.filter((span) => span.trace_id === spans.at(-1).trace_id);
const lost = last.find((span) => span.service === "cart" && span.kind === "SERVER");
if (lost) spans.splice(spans.indexOf(lost), 1);

const start0 = BigInt(now - 3600e3) * 1000000n;
const nanos = (span) => start0 + BigInt(Math.round(span.at));
const time = (value) => new Date(Number(value / 1000000n)).toISOString().slice(0, 19) + "." + String(value % 1000000000n).padStart(9, "0") + "Z";
const rank = (values, share) => values.sort((a, b) => a - b)[Math.max(0, Math.ceil(values.length * share) - 1)] ?? null;
const group = (list, key) => {
  const found = new Map();
  for (const one of list) found.set(key(one), [...(found.get(key(one)) ?? []), one]);
  return found;
};
const errors = (list) => list.filter((one) => one.status === "ERROR").length;
const quantiles = (list) => ({
  p50_nano: rank(list.map((one) => Math.round(one.duration)), 0.5), p90_nano: rank(list.map((one) => Math.round(one.duration)), 0.9),
  p95_nano: rank(list.map((one) => Math.round(one.duration)), 0.95), p99_nano: rank(list.map((one) => Math.round(one.duration)), 0.99),
});
const traces = [...group(spans, (span) => span.trace_id)].map(([id, list]) => {
  const root = list.find((span) => !span.parent_span_id);
  const end = Math.max(...list.map((span) => span.at + span.duration));
  return {
    trace_id: id, root_service: root.service, root_name: root.name, start_time: time(nanos(root)), duration_nano: Math.round(root.duration),
    extent_nano: Math.round(end - root.at), spans: list.length, errors: errors(list), services: new Set(list.map((span) => span.service)).size, complete: list !== last,
  };
}).sort((a, b) => b.start_time.localeCompare(a.start_time));

function row(span, index) {
  return {
    trace_id: span.trace_id, span_id: span.span_id, parent_span_id: span.parent_span_id, service: span.service, name: span.name, kind: span.kind,
    start_time: time(nanos(span)), start_time_unix_nano: nanos(span), duration_nano: Math.round(span.duration), status: span.status, status_message: span.status === "ERROR" ? "card declined: <b>no funds</b>" : null,
    attributes: { "http.request.method": "GET", "http.response.status_code": span.status === "ERROR" ? 500 : 200, "sampler.ratio": 0.25, "cache.hit": index % 2 === 0, "db.query.text": "SELECT id, name\nFROM products WHERE id = $1", "tags": ["a", "b"] },
    resource: { "service.name": span.service, "k8s.pod.name": `${span.service}-7d9f`, "process.pid": 4711 }, scope: { name: "shop", version: "1.2.0" },
    events: index % 7 === 0 || span.status === "ERROR" ? [{ time_unix_nano: nanos(span) + BigInt(Math.round(span.duration / 2)), name: "exception", attributes: { "exception.type": "Declined" } }] : [],
    links: index % 11 === 0 ? [{ trace_id: traces[3].trace_id, span_id: hex(16), attributes: { why: "batch" } }] : [], weight: 1,
  };
}

function dependencies() {
  const found = new Map();
  const byId = new Map(spans.map((span) => [span.span_id, span]));
  for (const span of spans) {
    const parent = byId.get(span.parent_span_id);
    const [caller, callee, kind] = span.to ? [span.service, span.to, span.to.includes("events") ? "messaging" : span.to.includes("/") || span.to === "redis" ? "database" : "external"]
      : parent && parent.service !== span.service ? [parent.service, span.service, "rpc"] : [null];
    if (!caller) continue;
    const key = [caller, callee, kind].join("\n");
    found.set(key, [...(found.get(key) ?? []), span]);
  }
  return [...found].map(([key, list]) => {
    const [caller, callee, kind] = key.split("\n");
    const q = quantiles(list);
    return { caller, callee, kind, calls: list.length, errors: errors(list), request_bytes: kind === "rpc" ? list.length * 812 : null, response_bytes: kind === "rpc" ? list.length * 15230 : null,
      caller_p50_nano: q.p50_nano + 200000, caller_p99_nano: q.p99_nano + 310000, callee_p50_nano: kind === "rpc" ? q.p50_nano : null, callee_p99_nano: kind === "rpc" ? q.p99_nano : null, weighted_calls: list.length };
  });
}

function patterns() {
  return [...group(roots(), (span) => span.name)].map(([name, list], index) => {
    const q = quantiles(list);
    return { pattern: String(index).padStart(16, "a"), root_service: "web", root_name: name, traces: list.length, errors: errors(list), ...q, max_nano: Math.round(Math.max(...list.map((one) => one.duration))), spans: 9 + index, depth: 5, services: 4, bytes: index * 2e6, top_service: "payment", top_name: "Charge", top_self_share: 0.41, first_seen: time(start0), last_seen: time(start0 + 3600000000000n), fast_trace_id: list[0].trace_id, typical_trace_id: list[1].trace_id, slow_trace_id: list[2].trace_id, shape: `web: ${name} (cart: GET /cart)`, incomplete: 0, weighted_traces: list.length, weighted_traces_error: 0 };
  });
}
const roots = () => spans.filter((span) => !span.parent_span_id);
const TREE = [["web", "POST /checkout", 1], ["checkout", "PlaceOrder", 2], ["cart", "GetCart", 3], ["redis", "HGETALL", 4], ["payment", "Charge", 3], ["api.bank.example", "POST /charge", 4]].map(([service, name, depth], position) => ({ position, depth, service, name, low_spans: position === 3 ? 6 : 1, high_spans: position === 3 ? 11 : 1, spans: 400, errors: position === 4 ? 31 : 0, p50_nano: 3e6, p95_nano: 9e6, max_nano: 4e7, self_nano: 4e8, self_share: [0.05, 0.12, 0.08, 0.2, 0.41, 0.14][position] }));
const DIFFERENCES = [["attribute", "db.query.text", "SELECT * FROM order_items WHERE order_id = $1 ORDER BY created_at", 94, 3], ["attribute", "server.address", "orders-db-2", 91, 8], ["resource", "k8s.pod.name", "payment-7d9f", 70, 22], ["field", "name", "Charge", 100, 41]].map(([scope, key, value, a, b], index) => ({ position: index + 1, scope, key, value, selection: a, baseline: b * 10, selection_share: a / 100, baseline_share: b / 100, lift: a / b, g: 400 / (index + 1), p_value: 1e-20, same_as: index === 1 ? 1 : index + 1 }));

function statement(text) {
  if (/AS bin,\s+count/.test(text) && /AS example/.test(text)) {
    const seconds = Number(/INTERVAL '(\d+) seconds'/.exec(text)[1]);
    const cell = (one) => `${Math.floor(Date.parse(one.start_time) / 1000 / seconds) * seconds}\n${Math.floor(Math.log2(Math.max(1, one.duration_nano)) * 4)}`;
    return [...group(traces, cell)].map(([key, list]) => ({ at: Number(key.split("\n")[0]), bin: Number(key.split("\n")[1]), traces: list.length, failed: list.filter((one) => one.errors > 0).length, example: list[0].trace_id }));
  }
  const entry = spans.filter((span) => span.kind === "SERVER" || !span.parent_span_id);
  const figures = (list) => ({ requests: list.length, errors: errors(list), estimated: list.length, ...quantiles(list) });
  if (/AS slot/.test(text)) {
    const seconds = BigInt(/\/ (\d+)000000000 AS slot/.exec(text)[1]);
    return [...group(entry, (span) => `${span.service}\n${nanos(span) / (seconds * 1000000000n)}`)].map(([key, list]) => ({ service: key.split("\n")[0], slot: BigInt(key.split("\n")[1]), requests: list.length, errors: errors(list) }));
  }
  if (/AS first/.test(text)) return [{ n: spans.length, first: start0, last: start0 + 3600000000000n }];
  if (/GROUP BY service ORDER/.test(text)) return [...group(entry, (span) => span.service)].map(([service, list]) => ({ service, ...figures(list) }));
  if (/quantile/.test(text)) return [figures(entry)];
  if (/nonsense/.test(text)) return null;
  return spans.slice(0, 300).map(row);
}

const DAYS = Array.from({ length: 24 }, (_, index) => ({
  date: new Date(now - (23 - index) * 86400e3).toISOString().slice(0, 10), rows: 3_000_000 + Math.round(random() * 4e6), files: 12, bytes: Math.round(1e8 + random() * 9e7), hot_rows: index === 23 ? 48210 : 0,
  expires: new Date(now + (index - 16) * 86400e3).toISOString().replace("Z", "000000Z"), classes: index % 3 === 0 ? "default, errors" : "default",
}));
const RULES = [{ class: "errors", ttl: "90d", error: true }, { class: "checkout", ttl: "never", service: "checkout", name: "POST /checkout*", slower_than: "500ms" }];
const parts = DAYS.slice(0, 10).map((day) => ({ date: day.date, class: "default", reason: "older than 14d", rows: day.rows * 0.9, files: 10, bytes: day.bytes * (day.classes === "default" ? 1 : 0.8) }));
const stays = DAYS.slice(10).map((day) => ({ date: day.date, class: "default", rows: day.rows, files: 12, bytes: day.bytes, expires: day.expires, why: "younger than 14d" }));
const pins = [{ trace_id: traces[5].trace_id, at: new Date(now - 3600e3).toISOString(), note: "the outage of Friday" }];
const loss = { kept_traces: 41, kept_rows: 812, parts, stays, dates: DAYS.slice(0, 10).map((day) => day.date), rows: 47e6, traces: 2.1e6, files: 120, bytes: 1.4e9 };

function answer(url, method, body) {
  const path = url.pathname.replace("/api/v1/", "");
  const params = url.searchParams;
  if (path === "sql") return statement(body);
  if (path === "status") return { version: "0.1.0", ready: true, uptime_seconds: 300, ingest: { spans_per_second: 1834.2, spans: 5e5, refused: { rate: 12 } }, table: { version: 41, files: 12, bytes: 1.9e8, rows: 5.1e6, hot_rows: 48210 }, wal: { used_bytes: 12.4e6 } };
  if (path === "traces") {
    const at = Number(params.get("cursor") ?? 0);
    return { rows: traces.slice(at, at + 100), cursor: at + 100 < traces.length ? String(at + 100) : null };
  }
  if (path.startsWith("traces/")) {
    const list = spans.filter((span) => span.trace_id === path.slice(7));
    const root = list.find((span) => !span.parent_span_id);
    return root ? { trace_id: path.slice(7), complete: list !== last, duration_nano: Math.round(root.duration), spans: list.map(row) } : null;
  }
  if (path === "latency") return [...group(roots(), (span) => span.name)].map(([name, list]) => ({ root_service: "web", root_name: name, traces: list.length, errors: errors(list), ...quantiles(list), max_nano: Math.round(Math.max(...list.map((one) => one.duration))) }));
  if (path === "latency/histogram") return [...group(roots(), (span) => `${span.name}\n${Math.floor(Math.log2(span.duration) * 32)}`)].map(([key, list]) => { const [name, index] = key.split("\n"); return { root_service: "web", root_name: name, low_nano: Math.round(2 ** (index / 32)), high_nano: Math.round(2 ** ((+index + 1) / 32)), traces: list.length }; });
  if (path === "dependencies") return dependencies();
  if (path === "network") return [...group(spans, (span) => span.service)].map(([service, list]) => ({ service, server_in: list.length * 812, server_out: list.length * 15230, client_out: list.length * 640, client_in: list.length * 9000, bytes_in: list.length * 9812, bytes_out: list.length * 15870, spans: list.length, coverage: service === "ranker" ? 0 : 0.5 + random() / 2 }));
  if (path === "network/operations") return [...group(spans, (span) => `${span.service}\n${span.name}`)].map(([key, list]) => ({ service: key.split("\n")[0], name: key.split("\n")[1], kind: "SERVER", bytes_in: list.length * 812, bytes_out: list.length * 15230, spans: list.length, sized_spans: list.length, coverage: 1 }));
  if (path === "network/caused") return ROOTS.map((name, index) => ({ root_service: "web", root_name: name, traces: 100 + index, bytes: 1e7 * (index + 1) }));
  if (path === "partitions") return DAYS;
  if (path === "retention") return { ttl: "30d", ttl_seconds: 30 * 86400, by_command: false, rules: RULES, max_bytes: 200e9, keep_latest: 10, rules_by_command: true };
  if (path === "pins") return pins;
  if (path === "patches") return [{ number: 3, at: new Date(now - 60e3).toISOString(), kind: "note", trace_id: params.get("trace_id"), text: "the disk was full" }];
  if (path === "delete") return { rows: 340, traces: 12, dry_run: JSON.parse(body).dry_run ?? false, vacuumed: false };
  if (path === "patterns") return patterns();
  if (path.startsWith("patterns/")) return TREE;
  if (path === "compare") return DIFFERENCES;
  if (path === "retention/plan") return params.get("ttl") === "never" ? { ...loss, dates: [], rows: 0 } : loss;
  if (path === "retention/receipts") return [{ at: new Date(now - 86400e3).toISOString(), reason: "ttl", version: 37, ...loss, dates: [DAYS[0].date] }];
  return method === "GET" ? null : {};
}

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const print = (value) => JSON.stringify(value, (_, one) => (typeof one === "bigint" ? `#${one}#` : one)).replace(/"#(\d+)#"/g, "$1");

createServer((request, response) => {
  const url = new URL(request.url, "http://localhost");
  let body = "";
  request.on("data", (chunk) => (body += chunk));
  request.on("end", () => {
    response.setHeader("content-security-policy", CSP);
    if (!url.pathname.startsWith("/api/")) {
      const file = [join(folder, url.pathname), join(folder, "index.html")].find((path) => existsSync(path) && extname(path) !== "");
      response.setHeader("content-type", TYPES[extname(file)] ?? "text/plain");
      return response.end(readFileSync(file));
    }
    const found = answer(url, request.method, body);
    if (found === null) return response.writeHead(404, { "content-type": "application/json" }).end(JSON.stringify({ error: { kind: "not_found", message: "there is no such thing", request_id: "mock" } }));
    if (url.pathname === "/api/v1/compare") response.setHeader("spanlake-notes", JSON.stringify({ selection: "100", baseline: "1000" }));
    if (found.cursor) response.setHeader("spanlake-cursor", found.cursor);
    const rows = Array.isArray(found.rows) ? found.rows : found;
    const lines = Array.isArray(rows) && (request.headers.accept ?? "").includes("ndjson");
    response.setHeader("content-type", lines ? "application/x-ndjson" : "application/json");
    return response.end(lines ? rows.map((one) => print(one) + "\n").join("") : print(rows));
  });
}).listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${port}`));
