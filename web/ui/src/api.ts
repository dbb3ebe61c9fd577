// The HTTP API, as seen from the page. Nothing else is ever asked.
import { parseExact } from "./exact.ts";

export type Row = Record<string, unknown>;

/** An answer of rows, what the view could not know, and how long it took. */
export interface Answer {
  rows: Row[];
  notes: Record<string, unknown>;
  /** Where the next page starts; null on the last. */
  cursor: string | null;
  millis: number;
  bytes: number;
}

/** What the server said when it refused; `requestId` leads to its log. */
export class ApiError extends Error {
  readonly status: number;
  readonly kind: string;
  readonly requestId: string;

  constructor(status: number, kind: string, message: string, requestId: string) {
    super(message);
    this.status = status;
    this.kind = kind;
    this.requestId = requestId;
  }
}

/** Rows come one a line: a stream that breaks can then still say why. */
const ROWS = "application/x-ndjson";

export type Query = Record<string, string | number | null | undefined>;

/** `/api/v1/` + path with the parameters that have a value. */
export function apiPath(path: string, query: Query = {}): string {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") params.append(key, String(value));
  }
  const text = params.toString();
  return `/api/v1/${path}${text === "" ? "" : `?${text}`}`;
}

/** One request; refusals and lost connections both become an [`ApiError`]. */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError(0, "unreachable", "The server does not answer. Is it running?", "");
  }
  if (response.ok) return response;
  throw await refusal(response);
}

/** What a response that is no success says. */
export async function refusal(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => "");
  try {
    const { error } = JSON.parse(text) as { error: { kind?: string; message?: string; request_id?: string } };
    return new ApiError(response.status, error.kind ?? "error", error.message ?? response.statusText, error.request_id ?? "");
  } catch {
    return new ApiError(response.status, "error", `The server answered ${response.status} ${response.statusText}`, "");
  }
}

/** GET, one JSON value. */
export async function getJson(path: string, signal?: AbortSignal): Promise<unknown> {
  const response = await request(path, { headers: { accept: "application/json" }, signal: signal ?? null });
  return parseExact(await response.text());
}

/** GET, rows with their notes. */
export async function getRows(path: string, signal?: AbortSignal): Promise<Answer> {
  const started = performance.now();
  const response = await request(path, { headers: { accept: ROWS }, signal: signal ?? null });
  return readRows(response, started);
}

/** Characters parsed at once: a millisecond or two. */
const STRETCH = 128 * 1024;

/** GET, rows whose numbers a double holds. However many they are, the page goes on drawing while they are read. */
export async function getPlainRows(path: string, signal?: AbortSignal): Promise<Row[]> {
  const response = await request(path, { headers: { accept: ROWS }, signal: signal ?? null });
  const text = (await response.text()).trimEnd();
  const rows: Row[] = [];
  for (let from = 0; from < text.length; ) {
    const end = text.indexOf("\n", Math.min(text.length, from + STRETCH));
    const to = end < 0 ? text.length : end;
    for (const row of JSON.parse(`[${text.slice(from, to).replaceAll("\n", ",")}]`) as Row[]) rows.push(row);
    from = to + 1;
    await breath();
    signal?.throwIfAborted();
  }
  const broken = brokenBy(rows[rows.length - 1]);
  if (broken) throw broken;
  return rows;
}

/** Lets the browser draw and react before what comes next. */
export function breath(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** One statement; its rows. */
export async function sql(statement: string, signal?: AbortSignal): Promise<Answer> {
  const started = performance.now();
  const response = await request("/api/v1/sql", {
    method: "POST",
    headers: { accept: ROWS, "content-type": "text/plain" },
    body: statement,
    signal: signal ?? null,
  });
  return readRows(response, started);
}

async function readRows(response: Response, started: number): Promise<Answer> {
  const text = await response.text();
  const lines = text.trimEnd();
  const rows = lines === "" ? [] : (parseExact(`[${lines.replaceAll("\n", ",")}]`) as Row[]);
  const broken = brokenBy(rows[rows.length - 1]);
  if (broken) throw broken;
  return {
    rows,
    notes: readNotes(response.headers.get("spanlake-notes")),
    cursor: response.headers.get("spanlake-cursor"),
    millis: performance.now() - started,
    bytes: text.length,
  };
}

/** The error that stands in place of the rows that did not come. */
function brokenBy(last: Row | undefined): ApiError | null {
  const error = last?.["error"];
  if (!last || Object.keys(last).length !== 1 || typeof error !== "object" || error === null) return null;
  const { kind, message, request_id: requestId } = error as { kind?: unknown; message?: unknown; request_id?: unknown };
  if (typeof message !== "string" || typeof requestId !== "string") return null;
  return new ApiError(500, String(kind ?? "error"), message, requestId);
}

function readNotes(text: string | null): Record<string, unknown> {
  if (!text) return {};
  try {
    const notes: unknown = JSON.parse(text);
    return typeof notes === "object" && notes !== null ? (notes as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** Hands `blob` to the browser as a file. */
export function saveFile(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** A SQL string literal. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
