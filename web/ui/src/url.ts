// The state of the page is its URL: page, range, filters, selection. Back always undoes.

export const PAGES = ["overview", "traces", "trace", "latency", "compare", "dependencies", "network", "patterns", "sql", "tail", "storage"] as const;
export type Page = (typeof PAGES)[number];

/** Pages that ask about the one time range; the others keep it for them. */
const RANGED: ReadonlySet<Page> = new Set(["overview", "traces", "latency", "compare", "dependencies", "network", "patterns"]);

export function isRanged(page: Page): boolean {
  return RANGED.has(page);
}

export interface Place {
  page: Page;
  /** The trace id of `/trace/ID`. */
  id: string;
  params: Record<string, string>;
  /** A path that is no page's. */
  lost?: string;
}

/** Parameters that stay when the page changes. */
const COMMON = ["from", "to", "live"];

/** Reads a path with query: `/trace/abc?from=-1h`. Unknown paths are the overview's, and say that they are. */
export function parsePlace(path: string): Place {
  const [pathname = "/", query = ""] = path.split("?", 2);
  const parts = pathname.split("/").filter((part) => part !== "");
  const first = parts[0] ?? "overview";
  const page = PAGES.find((name) => name === first);
  const params: Record<string, string> = {};
  for (const [key, value] of new URLSearchParams(query)) params[key] = value;
  if (page === undefined) return { page: "overview", id: "", params, lost: decode(pathname) };
  return { page, id: page === "trace" ? decode(parts[1] ?? "") : "", params };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The path with query of a place: parameters sorted, empty ones left out, so that equal places have equal URLs. */
export function formatPlace(place: Place): string {
  const path = place.page === "overview" ? "/" : place.page === "trace" ? `/trace/${encodeURIComponent(place.id)}` : `/${place.page}`;
  const query = new URLSearchParams();
  for (const key of Object.keys(place.params).sort()) {
    const value = place.params[key];
    if (value !== undefined && value !== "") query.set(key, value);
  }
  const text = query.toString();
  return text === "" ? path : `${path}?${text}`;
}

/** Another page with the range of this one. */
export function toPage(from: Place, page: Page, params: Record<string, string> = {}, id = ""): Place {
  const kept: Record<string, string> = {};
  for (const key of COMMON) {
    const value = from.params[key];
    if (value !== undefined) kept[key] = value;
  }
  return { page, id, params: { ...kept, ...params } };
}

/** The same page with some parameters changed; empty removes. */
export function withParams(place: Place, change: Record<string, string | null>): Place {
  const params = { ...place.params };
  for (const [key, value] of Object.entries(change)) {
    if (value === null || value === "") delete params[key];
    else params[key] = value;
  }
  return { ...place, params };
}

/** What the search box means: a trace id, a statement, or the name of a service. */
export function readSearch(text: string): { kind: "trace" | "sql" | "service" | "nothing"; value: string } {
  const value = text.trim();
  if (value === "") return { kind: "nothing", value };
  const id = value.replaceAll("-", "").toLowerCase();
  if (/^[0-9a-f]{32}$/.test(id)) return { kind: "trace", value: id };
  if (/^(select|with|explain)\s/i.test(value)) return { kind: "sql", value };
  return { kind: "service", value };
}
