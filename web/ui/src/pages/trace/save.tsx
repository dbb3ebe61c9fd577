// The download of a trace as one HTML file.
import { useState } from "preact/hooks";
import { apiPath, getJson, saveFile } from "../../api.ts";
import type { Fields, Trace } from "./model.ts";
import { traceHtml } from "./html.ts";

/** Beyond this, a file with all attributes would be larger than a browser likes to open. */
const MOST_WITH_ATTRIBUTES = 5_000;

export function HtmlExport(props: { trace: Trace }): preact.JSX.Element {
  const { trace } = props;
  const [state, setState] = useState<"" | "busy" | "failed">("");
  const save = async (): Promise<void> => {
    setState("busy");
    try {
      const details = trace.spans <= MOST_WITH_ATTRIBUTES ? await askDetails(trace.id) : new Map<string, Fields>();
      saveFile(new Blob(traceHtml(trace, details), { type: "text/html" }), `${trace.id}.html`);
      setState("");
    } catch {
      setState("failed");
    }
  };
  return (
    <button type="button" class={state === "failed" ? "link error-text" : "link"} disabled={state === "busy"} onClick={() => void save()} title={state === "failed" ? "The spans could not be read: try again" : "One file that opens anywhere, without this server"}>
      {state === "busy" ? "HTML…" : state === "failed" ? "HTML failed" : "HTML"}
    </button>
  );
}

async function askDetails(id: string): Promise<Map<string, Fields>> {
  const answer = (await getJson(apiPath(`traces/${id}`, { limit: MOST_WITH_ATTRIBUTES }))) as Fields;
  const spans = Array.isArray(answer["spans"]) ? (answer["spans"] as Fields[]) : [];
  return new Map(spans.map((row) => [`${String(row["span_id"])} ${String(row["kind"])}`, row]));
}
