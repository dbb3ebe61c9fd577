// A trace as one HTML file that needs nothing else: no script, no style but its own, every text escaped.
import { exactText, objectOf, plainText } from "../../exact.ts";
import { utcText } from "../../instant.ts";
import { hueOf } from "../../hue.ts";
import { duration, exactDuration, grouped } from "../../units.ts";
import type { Fields, Span, Trace } from "./model.ts";
import type { Row } from "../../tree.ts";

const ESCAPES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? "");
}

const STYLE = `:root{color-scheme:light dark}body{font:13px/20px system-ui,sans-serif;margin:24px;font-variant-numeric:tabular-nums}
h1{font-size:16px;margin:0}.facts{color:GrayText;margin:0 0 16px}details{border-top:1px solid #8884}
summary{display:grid;grid-template-columns:minmax(220px,40%) 1fr;gap:12px;list-style:none;cursor:pointer;min-height:22px}
summary::-webkit-details-marker{display:none}.name{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.bar{position:relative;min-width:0}.bar i{position:absolute;top:4px;height:14px;min-width:2px}.bar b{font-weight:400;font-size:11px;padding-left:4px}
.missing i{background:repeating-linear-gradient(45deg,GrayText 0 1px,transparent 1px 5px)!important}.error .name::before{content:"\\25C6 ";color:#d22}
dl{display:grid;grid-template-columns:minmax(120px,25%) 1fr;margin:4px 0 12px 24px;font-size:12px}dt{color:GrayText}
dd{margin:0;font-family:ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}.leaf summary{cursor:default}`;

/** The document, piece by piece: a large trace would be too long for one string. `details` has the stored row of a span. */
export function traceHtml(trace: Trace, details: ReadonlyMap<string, Fields>): string[] {
  const title = `${trace.root ? `${trace.root.service}: ${trace.root.name}` : "Trace"} · ${trace.id}`;
  const left = details.size === 0 ? " Attributes were left out: the trace has too many spans." : "";
  const pieces = [
    `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">` +
      `<title>${escape(title)}</title><style>${STYLE}</style></head><body>\n<h1>${escape(title)}</h1>\n` +
      `<p class="facts">Started ${utcText(trace.origin)}, took ${duration(trace.duration)} (${exactDuration(trace.duration)}), ${grouped(trace.spans)} spans, ${grouped(trace.errors)} with errors, ` +
      `${trace.services.length} services${trace.missing > 0 ? `, ${grouped(trace.missing)} missing parents` : ""}.${left}</p>\n`,
  ];
  const open: number[] = [];
  trace.rows.forEach((row, index) => {
    while (open.length > 0 && (open[open.length - 1] ?? 0) < index) {
      open.pop();
      pieces.push("</details>\n");
    }
    const isLeaf = row.size === 0;
    pieces.push(`<details${isLeaf ? ' class="leaf"' : " open"}>${summary(trace, row)}${row.span ? pairs(details.get(`${row.id} ${row.span.kind}`)) : ""}${isLeaf ? "</details>\n" : "\n"}`);
    if (!isLeaf) open.push(index + row.size);
  });
  pieces.push("</details>\n".repeat(open.length), "</body></html>\n");
  return pieces;
}

function summary(trace: Trace, row: Row<Span>): string {
  const { span } = row;
  const percent = (nanos: number): string => ((nanos / trace.length) * 100).toFixed(3);
  const shade = span ? `background:oklch(0.65 0.11 ${hueOf(span.service)})` : "";
  const name = span ? `${escape(span.name)} <small>${escape(span.service)}</small>` : `missing parent ${escape(row.id)}`;
  const classes = [span ? "" : "missing", span?.status === "ERROR" ? "error" : ""].filter((one) => one !== "").join(" ");
  return (
    `<summary class="${classes}"><span class="name" style="padding-left:${Math.min(row.depth, 24) * 12}px">${name}</span>` +
    `<span class="bar"><i style="left:${percent(row.start)}%;width:${percent(Math.max(0, row.end - row.start))}%;${shade}"></i><b style="margin-left:${percent(row.start)}%">${duration(row.end - row.start)}</b></span></summary>`
  );
}

const SKIPPED = new Set(["trace_id", "service", "name", "attributes", "resource", "events", "links"]);

function pairs(row: Fields | undefined): string {
  if (!row) return "";
  const own = Object.entries(row).filter(([key, value]) => !SKIPPED.has(key) && value !== null && value !== 0 && exactText(value) !== "{}");
  const part = (name: string): [string, unknown][] => Object.entries(objectOf(row[name]) ?? {});
  const lists = ["events", "links"].flatMap((name) => (Array.isArray(row[name]) ? [[name, exactText(row[name], " ").trimStart()] as [string, unknown]] : []));
  const all = [...own, ...part("attributes"), ...part("resource").map(([key, value]): [string, unknown] => [`resource ${key}`, value]), ...lists];
  return `<dl>${all.map(([key, value]) => `<dt>${escape(key)}</dt><dd>${escape(plainText(value))}</dd>`).join("")}</dl>`;
}
