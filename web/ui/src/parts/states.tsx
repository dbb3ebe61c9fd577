// What stands where there is no picture: nothing found, not yet there, refused.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { sql, type ApiError } from "../api.ts";
import { numberOf } from "../exact.ts";
import { absoluteRange, ALL_TIME } from "../range.ts";
import { useApp, useAsk } from "../state.tsx";
import { count } from "../units.ts";
import { localTime } from "../instant.ts";

export function ErrorBox(props: { error: ApiError; what: string }): preact.JSX.Element {
  const { refresh } = useApp();
  return (
    <div class="box box-error" role="alert">
      <b>
        <span class="mark-error" aria-hidden="true" /> {props.what} failed
      </b>
      <p class="box-text">{props.error.message}</p>
      <p class="quiet">
        {props.error.status > 0 && <>Status {props.error.status} ({props.error.kind}). </>}
        {props.error.requestId && <>Request <code>{props.error.requestId}</code>. </>}
        <button type="button" class="link" onClick={refresh}>Try again</button>
      </p>
    </div>
  );
}

/** A skeleton of the final height, shown only if the wait is noticeable. */
export function Waiting(props: { rows?: number; height?: number }): preact.JSX.Element {
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setSeen(true), 200);
    return () => clearTimeout(timer);
  }, []);
  const height = props.height ?? (props.rows ?? 8) * 28;
  return (
    <div class={seen ? "skeleton seen" : "skeleton"} style={{ height: `${height}px` }} role="status" aria-label="Loading">
      {seen && !props.height && Array.from({ length: props.rows ?? 8 }, (_, index) => <i key={index} />)}
    </div>
  );
}

/** An empty answer: what would be here, and why it is not. */
export function Empty(props: { title: string; children?: ComponentChildren }): preact.JSX.Element {
  return (
    <div class="box empty">
      <b>{props.title}</b>
      {props.children}
    </div>
  );
}

interface Extent {
  rows: number;
  from: number | null;
  to: number | null;
}

async function extent(signal: AbortSignal): Promise<Extent> {
  const answer = await sql("SELECT count(*) AS n, min(start_time_unix_nano) AS first, max(start_time_unix_nano) AS last FROM spans", signal);
  const row = answer.rows[0] ?? {};
  const millis = (value: unknown): number | null => {
    const nanos = numberOf(value);
    return nanos === null ? null : nanos / 1e6;
  };
  return { rows: numberOf(row["n"]) ?? 0, from: millis(row["first"]), to: millis(row["last"]) };
}

/** No spans here: in this range, or at all. Says which, and the one step that helps. */
export function NoSpans(props: { what: string }): preact.JSX.Element {
  const { setRange, rangeText } = useApp();
  const { data } = useAsk("extent", extent);
  if (!data) return <Empty title={`No ${props.what} in this range`} />;
  if (data.rows === 0 || data.from === null || data.to === null) return <FirstSpan what={props.what} />;
  const { from, to } = data;
  const all = rangeText.from === "all";
  return (
    <Empty title={all ? `No ${props.what} match` : `No ${props.what} in this range`}>
      <p>
        The table holds {count(data.rows)} spans from {localTime(from, 0)} to {localTime(to, 0)}.
      </p>
      <p>
        <button type="button" class="button" onClick={() => setRange(absoluteRange(from, to + 1))}>Show exactly that range</button>{" "}
        <button type="button" class="button" onClick={() => setRange(ALL_TIME)}>All time</button>
      </p>
    </Empty>
  );
}

function FirstSpan(props: { what: string }): preact.JSX.Element {
  return (
    <Empty title={`No ${props.what} yet: the table is empty`}>
      <p>Point an OpenTelemetry SDK or collector at this server, import a file, or send a first span by hand:</p>
      <pre class="code">{firstSpan()}</pre>
      <p class="quiet">
        <code>spanlake import FILE</code> reads OTLP and Zipkin files; <code>spanlake demo</code> runs a synthetic shop.
      </p>
    </Empty>
  );
}

function firstSpan(): string {
  const now = BigInt(Date.now()) * 1_000_000n;
  const span = `{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"hello","kind":2,"startTimeUnixNano":"${now}","endTimeUnixNano":"${now + 5_000_000n}"}`;
  const body = `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"first"}}]},"scopeSpans":[{"spans":[${span}]}]}]}`;
  return `curl -H 'content-type: application/json' http://${location.hostname}:4318/v1/traces -d '${body}'`;
}
