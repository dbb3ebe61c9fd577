// Completion of SQL: what may stand at the caret, by looking back over a few words. No grammar.

export interface Choice {
  /** As it is listed. */
  label: string;
  /** As it is written. */
  insert: string;
  kind: "table" | "view" | "column" | "function" | "attribute" | "keyword";
  detail: string;
}

export interface Words {
  columns: readonly { name: string; type: string }[];
  attributes: readonly string[];
  resources: readonly string[];
}

export interface Completion {
  /** What the choice replaces. */
  from: number;
  to: number;
  choices: Choice[];
}

const DIFFERENCE = "position, scope, key, value, selection, baseline, selection_share, baseline_share, lift, g, p_value, same_as, from_time, to_time, evidence, told_by, selection_leaf_nano, baseline_leaf_nano, weighted_selection, weighted_selection_error, weighted_baseline, weighted_baseline_error";

/** Views with their columns, as they are documented, and arguments where a range alone will not do. */
export const VIEWS: readonly [name: string, columns: string, example?: string][] = [
  ["traces", "trace_id, root_service, root_name, start_time, duration_nano, extent_nano, spans, errors, services, complete, root_error, depth, missing_parents, first_start_time, weight, bytes"],
  ["latency", "root_service, root_name, traces, errors, p50_nano, p90_nano, p95_nano, p99_nano, max_nano, incomplete, weighted_traces, weighted_traces_error, weighted_errors, weighted_errors_error"],
  ["latency_histogram", "root_service, root_name, low_nano, high_nano, traces, weighted_traces, weighted_traces_error"],
  ["latency_heatmap", "from_time, to_time, low_nano, high_nano, traces, errors, weighted_traces, weighted_traces_error, trace_id, max_nano"],
  ["operations", "service, name, kind, spans, errors, p50_nano, p90_nano, p95_nano, p99_nano, max_nano, weighted_spans, weighted_spans_error, weighted_errors, weighted_errors_error"],
  ["dependencies", "caller, callee, kind, calls, errors, request_bytes, response_bytes, caller_p50_nano, caller_p99_nano, callee_p50_nano, callee_p99_nano, weighted_calls, weighted_calls_error, caller_p95_nano, callee_p95_nano, coverage, first_seen, last_seen, weighted_errors, weighted_errors_error"],
  ["network", "service, server_in, server_out, client_out, client_in, bytes_in, bytes_out, spans, coverage, eligible_spans, sized_spans"],
  ["network_operations", "service, name, kind, server_in, server_out, client_out, client_in, bytes_in, bytes_out, spans, coverage, sized_spans"],
  ["network_caused", "root_service, root_name, traces, bytes, request_bytes, response_bytes, calls, coverage, weighted_traces, weighted_traces_error"],
  ["network_caused_services", "service, traces, bytes, request_bytes, response_bytes, calls, coverage, weighted_traces, weighted_traces_error"],
  ["patterns", "pattern, root_service, root_name, traces, errors, p50_nano, p90_nano, p95_nano, p99_nano, max_nano, spans, depth, services, bytes, top_service, top_name, top_self_share, first_seen, last_seen, fast_trace_id, typical_trace_id, slow_trace_id, shape, error_spans, incomplete, weighted_traces, weighted_traces_error, weighted_errors, weighted_errors_error, lost_nano, usual_nano, slower_from, slower_until, slower_traces, unusual_nano, slowdown"],
  ["pattern", "position, parent_position, depth, service, name, low_spans, high_spans, spans, errors, p50_nano, p95_nano, p99_nano, max_nano, self_nano, self_share, tree", "'0123456789abcdef', '-1h', 'now'"],
  ["critical_path", "service, name, traces, pieces, path_nano, share, mean_nano, p50_nano, p95_nano, max_nano, self_nano, trace_id, weighted_traces, weighted_traces_error"],
  ["self_time", "service, name, spans, self_nano, duration_nano, share, p50_nano, p95_nano, max_nano, weighted_spans, weighted_spans_error"],
  ["structure", "trace_id, span_id, parent_span_id, service, name, start_time, duration_nano, self_nano, error, nested_left, nested_right, depth, position, descendants"],
  ["descendants", "trace_id, span_id, service, name, start_time, duration_nano, error, ancestor_span_id, ancestor_service, ancestor_name, ancestor_duration_nano, distance", "'kind = ''SERVER''', 'kind = ''CLIENT''', '-1h', 'now'"],
  ["calls", "trace_id, span_id, service, name, start_time, duration_nano, error, ancestor_span_id, ancestor_service, ancestor_name, ancestor_duration_nano, distance", "'frontend', 'cart', '-1h', 'now'"],
  ["trace_tree", "tree, span_id, parent_span_id, service, name, depth, offset_nano, duration_nano, self_nano, error", "'0af7651916cd43dd8448eb211c80319c'"],
  ["unowned", "service, method, template, requests, not_found, without_route, errors, p50_nano, p95_nano, max_nano, first_seen, last_seen, trace_id, path, weighted_requests, weighted_requests_error"],
  ["missing_parents", "trace_id, parent_span_id, reason, children, service, name, start_time"],
  ["checks", "name, passed, tested, failed, expected, examples", `'{"check": [{"name": "a server asks", "when": "kind = ''SERVER''", "below": "kind = ''CLIENT''"}]}', '-1h', 'now'`],
  ["compare", DIFFERENCE, "'errors > 0', NULL, '-1h', 'now'"],
  ["compare_spans", DIFFERENCE, "'status = ''ERROR''', NULL, '-1h', 'now'"],
];

const FUNCTIONS: readonly [string, string][] = [
  ["quantile(", "quantile(value, 0.95): exact nearest rank"],
  ["duration_text(", "nanoseconds as 1.5ms"],
  ["attribute(", "attribute(json, key): as text"],
  ["attribute_int(", "attribute_int(json, key)"],
  ["attribute_double(", "attribute_double(json, key)"],
  ["attribute_bool(", "attribute_bool(json, key)"],
  ["date_bin(", "date_bin(INTERVAL '1 minute', start_time)"],
  ["date_trunc(", "date_trunc('minute', start_time)"],
  ["count(", "rows, or values that are not null"],
  ["sum(", ""], ["avg(", ""], ["min(", ""], ["max(", ""], ["median(", ""], ["stddev(", ""], ["approx_distinct(", "about how many different values"],
  ["coalesce(", "the first that is not null"], ["now()", ""], ["round(", ""], ["floor(", ""], ["log2(", ""], ["log10(", ""], ["lower(", ""], ["upper(", ""],
  ["split_part(", "split_part(text, separator, place)"], ["strpos(", "strpos(text, part)"], ["starts_with(", ""], ["regexp_like(", ""], ["regexp_replace(", ""], ["to_timestamp(", ""], ["unnest(", "a row for each element"],
  ["row_number() OVER (", ""], ["lag(", ""], ["lead(", ""], ["rank() OVER (", ""],
];

const KEYWORDS = "SELECT FROM WHERE GROUP BY ORDER BY HAVING LIMIT AND OR NOT IN IS NULL LIKE ILIKE BETWEEN CASE WHEN THEN ELSE END JOIN ON USING UNION ALL DISTINCT EXPLAIN DESC ASC NULLS LAST FILTER OVER PARTITION BY CAST INTERVAL WITH".split(" ");

const MOST = 10;

/** What may be written at `caret`; null inside texts and comments, and where nothing fits. `asked`: by key, so also without a first letter. */
export function complete(text: string, caret: number, words: Words, asked: boolean): Completion | null {
  const before = text.slice(0, caret);
  const key = /\b(attributes|resource)\s*\[\s*'([^']*)$/i.exec(before);
  if (key) return keys(before, key, text.slice(caret), words);
  if (inText(before)) return null;
  const typed = /[A-Za-z_][A-Za-z_0-9]*$/.exec(before)?.[0] ?? "";
  if (typed === "" && !asked) return null;
  const ahead = before.slice(0, before.length - typed.length);
  const all = /\b(from|join)\s+$/i.test(ahead) ? tables() : everything(ahead, words);
  return ranked(all, typed, caret - typed.length, caret);
}

function keys(before: string, key: RegExpExecArray, after: string, words: Words): Completion | null {
  const names = key[1]?.toLowerCase() === "resource" ? words.resources : words.attributes;
  const end = after.startsWith("']") ? 2 : after.startsWith("'") ? 1 : 0;
  const choices = names.map((name): Choice => ({ label: name, insert: `${name.replaceAll("'", "''")}']`, kind: "attribute", detail: "" }));
  const typed = key[2] ?? "";
  return ranked(choices, typed, before.length - typed.length, before.length + end);
}

/** True within quotes or behind `--`: nothing to complete there. */
function inText(before: string): boolean {
  const rest = before.replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"|\/\*[\s\S]*?\*\//g, "");
  return /['"]/.test(rest.replace(/--[^\n]*/g, "")) || /--[^\n]*$/.test(rest) || /\/\*/.test(rest);
}

function tables(): Choice[] {
  const views = VIEWS.map(([name, columns, example]): Choice => ({ label: name, insert: `${name}(${example ?? "'-1h', 'now'"})`, kind: "view", detail: columns }));
  return [{ label: "spans", insert: "spans", kind: "table", detail: "one row a span" }, ...views];
}

function everything(ahead: string, words: Words): Choice[] {
  // Columns of a view that is named anywhere before the caret, or of the table.
  const named = VIEWS.filter(([name]) => new RegExp(`\\b${name}\\s*\\(`, "i").test(ahead));
  const ofViews = named.flatMap(([name, columns]) => columns.split(", ").map((column): Choice => ({ label: column, insert: column, kind: "column", detail: name })));
  const ofTable = words.columns.map((column): Choice => ({ label: column.name, insert: column.name, kind: "column", detail: column.type }));
  const subscripts = ["attributes", "resource"].map((name): Choice => ({ label: `${name}['…']`, insert: `${name}['`, kind: "attribute", detail: "one attribute" }));
  const functions = FUNCTIONS.map(([name, detail]): Choice => ({ label: name, insert: name, kind: "function", detail }));
  const keywords = [...new Set(KEYWORDS)].map((word): Choice => ({ label: word, insert: word, kind: "keyword", detail: "" }));
  return [...ofViews, ...(named.length === 0 ? ofTable : []), ...subscripts, ...functions, ...tables(), ...keywords];
}

/** Those that begin with what was typed, then those that contain it. */
function ranked(choices: readonly Choice[], typed: string, from: number, to: number): Completion | null {
  const wanted = typed.toLowerCase();
  const starts = choices.filter((choice) => choice.label.toLowerCase().startsWith(wanted));
  const holds = wanted === "" ? [] : choices.filter((choice) => !choice.label.toLowerCase().startsWith(wanted) && choice.label.toLowerCase().includes(wanted));
  const seen = new Set<string>();
  const found = [...starts, ...holds].filter((choice) => !seen.has(choice.insert) && seen.add(choice.insert)).slice(0, MOST);
  if (found.length === 0 || (found.length === 1 && found[0]?.insert.toLowerCase() === wanted)) return null;
  return { from, to, choices: found };
}
