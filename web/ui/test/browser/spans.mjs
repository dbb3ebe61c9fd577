// A small set of spans for the browser tests: two services that call each other and a database, a failure, a
// missing parent, and texts that would run if they were ever taken for HTML.

export const PAYLOADS = {
  service: `<img src=x onerror="window.hit='service'">`,
  name: `<script>window.hit='name'</script>`,
  key: `"><svg onload="window.hit='key'">`,
  value: `javascript:window.hit='value'//<b>bold</b>`,
  event: `<iframe srcdoc="<script>parent.hit='event'</script>">`,
  status: `<a href="javascript:window.hit='status'">status</a>`,
  scope: `<style onload="window.hit='scope'">`,
  resource: `</dd><object data="javascript:window.hit='resource'">`,
  state: `v=<math href="javascript:window.hit='state'">`,
  link: `{{constructor.constructor('window.hit="link"')()}}<details open ontoggle="window.hit='link'">`,
};

const id = (length, number) => number.toString(16).padStart(length, "0");
const text = (key, value) => ({ key, value: { stringValue: value } });

/** The id of the trace that every test of the trace page looks at. */
export const TRACE = id(32, 0xabc001);
export const ORPHANED = id(32, 0xabc002);
export const HOSTILE = id(32, 0xabc003);

function span(trace, number, parent, fields) {
  const { at, millis, ...rest } = fields;
  return {
    traceId: trace,
    spanId: id(16, number),
    parentSpanId: parent === 0 ? "" : id(16, parent),
    startTimeUnixNano: String(at),
    endTimeUnixNano: String(at + BigInt(millis) * 1_000_000n),
    ...rest,
  };
}

function resource(service, spans) {
  return { resource: { attributes: [text("service.name", service)] }, scopeSpans: [{ scope: { name: "browser-test", version: "1" }, spans }] };
}

/** One OTLP JSON request; all spans start within the minutes before `now` (Unix milliseconds). */
export function requestBody(now) {
  const start = BigInt(now - 120_000) * 1_000_000n;
  const after = (millis) => start + BigInt(millis) * 1_000_000n;
  const failed = { code: 2, message: "card declined" };
  const shop = [
    span(TRACE, 1, 0, { name: "GET /cart", kind: 2, at: after(0), millis: 120, attributes: [text("http.route", "/cart"), { key: "http.request.body.size", value: { intValue: "100" } }, { key: "http.response.body.size", value: { intValue: "2000" } }] }),
    span(TRACE, 2, 1, { name: "call cart", kind: 3, at: after(10), millis: 80, attributes: [{ key: "big", value: { intValue: "9223372036854775807" } }, { key: "ratio", value: { doubleValue: 1 } }] }),
    span(ORPHANED, 20, 99, { name: "late child", kind: 2, at: after(3000), millis: 7 }),
  ];
  for (let index = 0; index < 120; index += 1) {
    shop.push(span(id(32, 0xdef000 + index), 1000 + index, 0, { name: "GET /list", kind: 2, at: after(4000 + index * 100), millis: 5 + index, attributes: [text("cart.size", index < 90 ? "small" : "large")], status: index % 30 === 0 ? failed : {} }));
  }
  const cart = [
    span(TRACE, 3, 2, { name: "POST /get", kind: 2, at: after(15), millis: 60, status: failed, events: [{ timeUnixNano: String(after(40)), name: "exception", attributes: [text("exception.type", "Declined")] }] }),
    span(TRACE, 4, 3, { name: "HGETALL", kind: 3, at: after(20), millis: 30, attributes: [text("db.system.name", "redis")] }),
  ];
  const hostile = [
    span(HOSTILE, 30, 0, { name: PAYLOADS.name, kind: 2, at: after(2000), millis: 9, status: { code: 2, message: PAYLOADS.status }, traceState: PAYLOADS.state, links: [{ traceId: TRACE, spanId: id(16, 1), attributes: [text(PAYLOADS.key, PAYLOADS.link)] }], attributes: [text(PAYLOADS.key, PAYLOADS.value)], events: [{ timeUnixNano: String(after(2001)), name: PAYLOADS.event, attributes: [text(PAYLOADS.key, PAYLOADS.value)] }] }),
    span(HOSTILE, 31, 30, { name: "call shop", kind: 3, at: after(2002), millis: 5 }),
  ];
  const sizes = [{ key: "http.request.body.size", value: { intValue: "300" } }, { key: "http.response.body.size", value: { intValue: "4000" } }];
  const called = [span(HOSTILE, 32, 31, { name: "GET /cart", kind: 2, at: after(2003), millis: 3, attributes: sizes })];
  const enemy = resource(PAYLOADS.service, hostile);
  enemy.resource.attributes.push(text(PAYLOADS.key, PAYLOADS.resource));
  enemy.scopeSpans[0].scope = { name: PAYLOADS.scope, version: PAYLOADS.scope };
  return { resourceSpans: [resource("shop", [...shop, ...called]), resource("cart", cart), enemy] };
}

export const TASKS = id(32, 0xabc006);

/** A trace as Rust's `tracing` records it: of some spans how long they ran and how long they waited, of one only the former. */
export function tasksBody(now) {
  const at = BigInt(now - 115_000) * 1_000_000n;
  const nanos = (key, value) => ({ key, value: { intValue: String(value) } });
  const spans = [
    span(TASKS, 1, 0, { name: "handle", kind: 2, at, millis: 50 }),
    span(TASKS, 2, 1, { name: "poll", kind: 1, at: at + 1_000_000n, millis: 20, attributes: [nanos("busy_ns", 12_500_000), nanos("idle_ns", 7_250_000)] }),
    span(TASKS, 3, 1, { name: "spin", kind: 1, at: at + 2_000_000n, millis: 9, attributes: [nanos("busy_ns", 8_000_000)] }),
  ];
  return { resourceSpans: [resource("runtime", spans)] };
}

/** Two windows of a minute before `now`: in the later one an edge is new, another is gone, and `GET /pay` takes ten times as long. */
export function windowsBody(now) {
  const [before, later] = [420_000, 360_000].map((ago) => BigInt(now - ago) * 1_000_000n);
  const services = { till: [], bank: [], old: [], fresh: [] };
  for (let index = 0; index < 20; index += 1) {
    for (const [at, millis, other, number] of [[before, 5, "old", 0], [later, 50, "fresh", 100]]) {
      const trace = id(32, 0xbcd000 + number + index);
      const start = at + BigInt(index) * 2_000_000_000n + 1_000_000_000n;
      services.till.push(span(trace, 1, 0, { name: "GET /pay", kind: 2, at: start, millis }), span(trace, 2, 1, { name: "call bank", kind: 3, at: start, millis: millis - 1 }), span(trace, 3, 1, { name: `call ${other}`, kind: 3, at: start, millis: 2 }));
      services.bank.push(span(trace, 4, 2, { name: "POST /charge", kind: 2, at: start, millis: millis - 2 }));
      services[other].push(span(trace, 5, 3, { name: "GET /rate", kind: 2, at: start, millis: 1 }));
    }
  }
  return { resourceSpans: Object.entries(services).map(([service, spans]) => resource(service, spans)) };
}

export const LARGE = id(32, 0xabc004);
export const LARGE_SPANS = 20_001;

/** One trace of many spans: a root, 200 calls, 99 steps below each; one of them failed, one has an attribute to find. */
export function largeBody(now) {
  const start = BigInt(now - 110_000) * 1_000_000n;
  const spans = [span(LARGE, 1, 0, { name: "batch", kind: 2, at: start, millis: 20_000 })];
  for (let call = 0; call < 200; call += 1) {
    const at = start + BigInt(call) * 90_000_000n;
    spans.push(span(LARGE, 100_000 + call, 1, { name: `call ${call}`, kind: 3, at, millis: 80 }));
    for (let step = 0; step < 99; step += 1) {
      const own = call === 150 && step === 50 ? { attributes: [text("needle", "haystack-17")] } : call === 180 && step === 3 ? { status: { code: 2 } } : {};
      spans.push(span(LARGE, 200_000 + call * 100 + step, 100_000 + call, { name: "step", kind: 1, at: at + BigInt(step) * 800_000n, millis: 0, ...own }));
    }
  }
  return { resourceSpans: [resource("worker", spans)] };
}

export const HUGE = id(32, 0xabc005);
const HUGE_CALLS = 369;
const HUGE_STEPS = 270;
export const HUGE_SPANS = 1 + HUGE_CALLS * (1 + HUGE_STEPS);
const HUGE_SERVICES = ["scheduler", "planner", "fetcher", "parser", "resolver", "linker", "store", "index", "cache", "notifier"];

/** One trace of 100,000 spans over ten services and up to nine levels, in requests of some megabytes each. */
export function* hugeBodies(now) {
  const start = BigInt(now - 100_000) * 1_000_000n;
  const byService = new Map(HUGE_SERVICES.map((service) => [service, []]));
  const add = (service, one) => byService.get(HUGE_SERVICES[service % HUGE_SERVICES.length]).push(one);
  const flush = () => ({ resourceSpans: [...byService].filter(([, spans]) => spans.length > 0).map(([service, spans]) => resource(service, spans.splice(0))) });
  add(0, span(HUGE, 1, 0, { name: "build everything", kind: 2, at: start, millis: 60_000 }));
  for (let call = 0; call < HUGE_CALLS; call += 1) {
    const first = 1_000_000 + call * 1000;
    const at = start + BigInt(call) * 150_000_000n;
    add(call, span(HUGE, first, 1, { name: `target ${call}`, kind: 2, at, millis: 280 }));
    for (let step = 1; step <= HUGE_STEPS; step += 1) {
      const deep = step % 8;
      const failed = (call * HUGE_STEPS + step) % 997 === 0 ? { status: { code: 2, message: "no such file" } } : {};
      add(call + deep, span(HUGE, first + step, deep === 1 ? first : first + step - (deep === 0 ? 7 : 1), { name: `step ${step % 23}`, kind: 1 + (deep % 3), at: at + BigInt(step) * 1_000_000n, millis: 1 + (step % 8), attributes: [text("code.file.path", `src/unit_${step % 41}.c`)], ...failed }));
    }
    if (call % 90 === 89) yield flush();
  }
  yield flush();
}
