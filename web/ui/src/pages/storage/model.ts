// What is stored, what leaves it by which policy, and what is kept from leaving.
import { apiPath, getJson, getRows, request, type Row } from "../../api.ts";
import { numberOf, numberOrZero, parseExact } from "../../exact.ts";
import { parseInstant, toMillis } from "../../instant.ts";

export interface Partition {
  date: string;
  rows: number;
  files: number;
  bytes: number;
  hot: number;
  expires: number | null;
  /** Retention classes of its files. */
  classes: string;
}

/** Files of one date and class that would go. */
export interface Part {
  date: string;
  class: string;
  reason: string;
  rows: number;
  files: number;
  bytes: number;
}

export interface Stays extends Omit<Part, "reason"> {
  expires: string | null;
  why: string;
}

export interface Loss {
  dates: string[];
  rows: number;
  traces: number;
  files: number;
  bytes: number;
  /** Copied before the rest goes: pinned traces, the latest of their operation. */
  kept_traces?: number;
  kept_rows?: number;
  parts?: Part[];
}

export interface Plan extends Loss {
  stays?: Stays[];
}

export interface Receipt extends Loss {
  at: string;
  reason: string;
  version: number | null;
}

export interface Rule {
  class: string;
  ttl: string;
  service?: string;
  name?: string;
  error?: boolean;
  root?: boolean;
  slower_than?: string;
  attributes?: Record<string, string>;
  resource?: Record<string, string>;
}

export interface Policy {
  ttl: string | null;
  by_command: boolean;
  rules: Rule[];
  max_bytes: number | null;
  keep_latest: number;
  rules_by_command: boolean;
}

/** What a draft changes of the policy: fields that are absent stay. */
export interface Change {
  ttl?: string | null;
  rules?: Rule[];
  max_bytes?: number | null;
  keep_latest?: number;
}

export interface Pin {
  trace_id: string;
  at: string;
  note: string;
}

export interface Storage {
  partitions: Partition[];
  policy: Policy;
  receipts: Receipt[];
  pins: Pin[];
}

function readPartition(row: Row): Partition {
  const expires = parseInstant(row["expires"]);
  return {
    date: String(row["date"] ?? ""),
    rows: numberOrZero(row["rows"]),
    files: numberOrZero(row["files"]),
    bytes: numberOrZero(row["bytes"]),
    hot: numberOrZero(row["hot_rows"]),
    expires: expires ? toMillis(expires) : null,
    classes: String(row["classes"] ?? ""),
  };
}

export function readPolicy(value: unknown): Policy {
  const policy = value as Partial<Policy>;
  return { ttl: policy.ttl ?? null, by_command: policy.by_command === true, rules: policy.rules ?? [], max_bytes: numberOf(policy.max_bytes), keep_latest: numberOrZero(policy.keep_latest), rules_by_command: policy.rules_by_command === true };
}

export async function askStorage(signal: AbortSignal): Promise<Storage> {
  const [partitions, policy, receipts, pins] = await Promise.all([
    getRows(apiPath("partitions"), signal),
    getJson(apiPath("retention"), signal),
    getJson(apiPath("retention/receipts"), signal),
    getJson(apiPath("pins"), signal),
  ]);
  return { partitions: partitions.rows.map(readPartition), policy: readPolicy(policy), receipts: (receipts as Receipt[]).slice().reverse(), pins: pins as Pin[] };
}

export async function askPins(signal: AbortSignal): Promise<Pin[]> {
  return (await getJson(apiPath("pins"), signal)) as Pin[];
}

/** What the policy with this change would remove now; nothing is removed. */
export async function askPlan(change: Change, signal: AbortSignal): Promise<Plan> {
  const response = await request(apiPath("retention/plan"), { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(change), signal });
  return parseExact(await response.text()) as Plan;
}

/** The draft of the URL; null where there is none or it is no object. */
export function readDraft(text: string | undefined): Change | null {
  if (!text) return null;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Change) : null;
  } catch {
    return null;
  }
}

/** Only what differs from the policy in force; null where nothing does. */
export function changeOf(policy: Policy, wanted: Required<Change>): Change | null {
  const change: Change = {};
  if (wanted.ttl !== policy.ttl) change.ttl = wanted.ttl;
  if (wanted.max_bytes !== policy.max_bytes) change.max_bytes = wanted.max_bytes;
  if (wanted.keep_latest !== policy.keep_latest) change.keep_latest = wanted.keep_latest;
  if (JSON.stringify(wanted.rules) !== JSON.stringify(policy.rules)) change.rules = wanted.rules;
  return Object.keys(change).length === 0 ? null : change;
}

const SIZES: Record<string, number> = { b: 1, kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40 };

/** `100 GiB` in bytes; null for nothing or `no limit`; undefined where it is no size. */
export function readSize(text: string): number | null | undefined {
  const trimmed = text.trim().toLowerCase();
  if (trimmed === "" || trimmed === "no limit" || trimmed === "never") return null;
  const found = /^(\d+(?:\.\d+)?)\s*([kmgt]?i?b)?$/.exec(trimmed);
  const unit = SIZES[found?.[2] ?? "b"];
  return found && unit ? Math.round(Number(found[1]) * unit) : undefined;
}

/** A size as [`readSize`] takes it, without loss. */
export function printSize(bytes: number | null): string {
  if (bytes === null) return "";
  for (const unit of ["TiB", "GiB", "MiB", "KiB", "TB", "GB", "MB", "kB"]) {
    const size = SIZES[unit.toLowerCase()] ?? 1;
    if (bytes >= size && (bytes / size) % 0.25 === 0) return `${bytes / size} ${unit}`;
  }
  return `${bytes} B`;
}

/** `k=v, k2=v2` as pairs; undefined where a piece has no `=`. */
export function readPairs(text: string): Record<string, string> | undefined {
  const pairs: Record<string, string> = {};
  for (const piece of text.split(",").map((part) => part.trim()).filter((part) => part !== "")) {
    const at = piece.indexOf("=");
    if (at <= 0) return undefined;
    pairs[piece.slice(0, at).trim()] = piece.slice(at + 1).trim();
  }
  return pairs;
}

export function printPairs(pairs: Record<string, string> | undefined): string {
  return Object.entries(pairs ?? {}).map(([key, value]) => `${key}=${value}`).join(", ");
}

/** What a rule asks of a span, in words. */
export function ruleWords(rule: Rule): string {
  const words: string[] = [];
  if (rule.root) words.push("root span");
  if (rule.service) words.push(`service ${rule.service}`);
  if (rule.name) words.push(`operation ${rule.name}`);
  if (rule.error !== undefined) words.push(rule.error ? "failed" : "not failed");
  if (rule.slower_than) words.push(`slower than ${rule.slower_than}`);
  if (rule.attributes && Object.keys(rule.attributes).length > 0) words.push(printPairs(rule.attributes));
  if (rule.resource && Object.keys(rule.resource).length > 0) words.push(`resource ${printPairs(rule.resource)}`);
  return words.length === 0 ? "any span" : words.join(", ");
}
