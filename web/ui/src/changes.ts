// What is different from the window before: errors, durations and rates that chance does not explain.

export interface Operation {
  service: string;
  name: string;
  requests: number;
  errors: number;
  p95: number | null;
}

export interface Change {
  kind: "errors" | "slower" | "faster" | "new" | "gone" | "more" | "fewer";
  now: Operation;
  before: Operation;
  /** How far beyond chance, in standard deviations or something like it: only for the order. */
  weight: number;
}

/** Fewer requests than this say nothing about a 95th percentile. */
const FEW = 20;

/** What got better, or is only more: it waits until what got worse has been said. */
const HARMLESS: ReadonlySet<Change["kind"]> = new Set(["faster", "more", "new"]);

/** The most telling changes first, what got worse before the rest; at most one of a kind for an operation. */
export function findChanges(now: readonly Operation[], before: readonly Operation[], most: number): Change[] {
  const key = (one: Operation): string => JSON.stringify([one.service, one.name]);
  const earlier = new Map(before.map((one) => [key(one), one]));
  const present = new Set(now.map(key));
  const found: Change[] = [];
  for (const one of now) {
    const was = earlier.get(key(one));
    if (was) found.push(...compare(one, was));
    else if (one.requests >= FEW) found.push({ kind: "new", now: one, before: { ...one, requests: 0, errors: 0, p95: null }, weight: Math.sqrt(one.requests) });
  }
  for (const was of before) {
    if (!present.has(key(was)) && was.requests >= FEW) found.push({ kind: "gone", now: { ...was, requests: 0, errors: 0, p95: null }, before: was, weight: Math.sqrt(was.requests) });
  }
  return found.filter((change) => change.weight >= 4).sort((a, b) => Number(HARMLESS.has(a.kind)) - Number(HARMLESS.has(b.kind)) || b.weight - a.weight).slice(0, most);
}

function compare(now: Operation, before: Operation): Change[] {
  const found: Change[] = [];
  const errors = moreErrors(now, before);
  if (errors > 0) found.push({ kind: "errors", now, before, weight: errors });
  if (now.p95 && before.p95 && now.requests >= FEW && before.requests >= FEW) {
    const factor = Math.log2(now.p95 / before.p95);
    // A doubling over a hundred requests weighs ten.
    if (Math.abs(factor) >= 0.58) found.push({ kind: factor > 0 ? "slower" : "faster", now, before, weight: Math.abs(factor) * Math.sqrt(Math.min(now.requests, before.requests)) * (factor > 0 ? 1 : 0.5) });
  }
  const factor = Math.log2((now.requests + 1) / (before.requests + 1));
  const z = Math.abs(now.requests - before.requests) / Math.sqrt(Math.max(1, now.requests + before.requests));
  if (Math.abs(factor) >= 1 && now.requests + before.requests >= FEW) found.push({ kind: factor > 0 ? "more" : "fewer", now, before, weight: z * 0.5 });
  return found;
}

/** Two shares against each other; 0 unless the share grew by half at least. */
function moreErrors(now: Operation, before: Operation): number {
  const share = now.errors / now.requests;
  const was = before.errors / Math.max(1, before.requests);
  if (now.errors < 3 || share < was * 1.5) return 0;
  const pooled = (now.errors + before.errors) / (now.requests + before.requests);
  return (share - was) / Math.sqrt(pooled * (1 - pooled) * (1 / now.requests + 1 / Math.max(1, before.requests)) || 1);
}
