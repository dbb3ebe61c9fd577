// The server's own figures, asked every few seconds by whoever shows them.
import { useEffect, useState } from "preact/hooks";
import { getJson, type ApiError } from "./api.ts";
import { numberOf } from "./exact.ts";

export interface Status {
  version: string;
  ready: boolean;
  /** Why it is not. */
  reason: string;
  spansPerSecond: number | null;
  spans: number | null;
  refused: [string, number][];
  walBytes: number | null;
  tableVersion: number | null;
  files: number | null;
  /** Spans in files. */
  rows: number | null;
  bytes: number | null;
  hotRows: number | null;
  uptimeSeconds: number | null;
}

export interface StatusAsked {
  data: Status | null;
  error: ApiError | null;
}

const EVERY_MILLIS = 3000;
let latest: StatusAsked = { data: null, error: null };
const listeners = new Set<(asked: StatusAsked) => void>();
let timer: ReturnType<typeof setTimeout> | null = null;

/** One request for all who look. */
export function useStatus(): StatusAsked {
  const [asked, setAsked] = useState(latest);
  useEffect(() => {
    listeners.add(setAsked);
    setAsked(latest);
    if (listeners.size === 1) void ask();
    return () => {
      listeners.delete(setAsked);
      if (listeners.size === 0 && timer !== null) {
        clearTimeout(timer);
        timer = null;
      }
    };
  }, []);
  return asked;
}

async function ask(): Promise<void> {
  if (document.visibilityState === "visible") {
    try {
      latest = { data: readStatus(await getJson("/api/v1/status")), error: null };
    } catch (error) {
      latest = { data: latest.data, error: error as ApiError };
    }
    for (const listener of listeners) listener(latest);
  }
  if (listeners.size > 0) timer = setTimeout(() => void ask(), EVERY_MILLIS);
}

function part(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}

/** The server counts what is hot as rows of the table too. */
function fileRows(table: unknown): number | null {
  const rows = numberOf(part(table, "rows"));
  return rows === null ? null : rows - (numberOf(part(table, "hot_rows")) ?? 0);
}

/** Reads the answer of `/api/v1/status`; what is missing stays unknown. */
export function readStatus(value: unknown): Status {
  const ingest = part(value, "ingest");
  const table = part(value, "table");
  const wal = part(value, "wal");
  const refused = Object.entries((part(ingest, "refused") ?? {}) as Record<string, unknown>);
  return {
    version: String(part(value, "version") ?? ""),
    ready: part(value, "ready") === true,
    reason: String(part(value, "reason") ?? ""),
    spansPerSecond: numberOf(part(ingest, "spans_per_second")),
    spans: numberOf(part(ingest, "spans")),
    refused: refused.map(([reason, number]): [string, number] => [reason, numberOf(number) ?? 0]).filter(([, number]) => number > 0),
    walBytes: numberOf(part(wal, "used_bytes")),
    tableVersion: numberOf(part(table, "version")),
    files: numberOf(part(table, "files")),
    rows: fileRows(table),
    bytes: numberOf(part(table, "bytes")),
    hotRows: numberOf(part(table, "hot_rows")),
    uptimeSeconds: numberOf(part(value, "uptime_seconds")),
  };
}
