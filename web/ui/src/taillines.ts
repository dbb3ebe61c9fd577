// The lines of the live tail: spans and notices in the order of their arrival, bounded, with a pause in between.
import { numberOrZero } from "./exact.ts";
import { parseInstant, toMillis, utcText } from "./instant.ts";
import type { TailEvent } from "./tailstream.ts";

export interface SpanLine {
  kind: "span";
  key: number;
  trace: string;
  span: string;
  service: string;
  name: string;
  spanKind: string;
  status: string;
  start: number;
  startText: string;
  duration: number;
}

export interface NoticeLine {
  kind: "notice";
  key: number;
  text: string;
}

export type Line = SpanLine | NoticeLine;

/** Lines shown at most; the oldest go. */
export const SHOWN_MAX = 5000;
/** Lines that wait during a pause at most; further spans are counted. */
export const WAITING_MAX = 10_000;

const LOST: Record<string, string> = {
  slow: "were lost: this page took them too slowly",
  flushed: "arrived meanwhile and are only in the table by now, wanted or not",
};

/** See the file. Every span is either a line, or counted in one. */
export class Lines {
  shown: Line[] = [];
  waiting: Line[] = [];
  /** Spans that came, and spans that did not. */
  spans = 0;
  missing = 0;
  /** Spans during the pause that were not kept. */
  overflow = 0;
  /** Lines that went at the front since the start. */
  gone = 0;
  private next = 0;
  private paused = false;

  get isPaused(): boolean {
    return this.paused;
  }

  /** Spans that wait for the end of the pause, kept or not. */
  get waitingSpans(): number {
    return this.waiting.reduce((sum, line) => sum + (line.kind === "span" ? 1 : 0), 0) + this.overflow;
  }

  add(events: readonly TailEvent[]): void {
    for (const event of events) this.addOne(event);
    this.trim();
  }

  pause(): void {
    this.paused = true;
  }

  /** What waited follows what is shown, without a gap that is not told. */
  resume(): void {
    this.paused = false;
    this.shown = this.shown.concat(this.waiting);
    this.waiting = [];
    if (this.overflow > 0) {
      this.missing += this.overflow;
      this.shown.push(this.notice(this.overflow, "arrived during the pause and were not kept"));
      this.overflow = 0;
    }
    this.trim();
  }

  clear(): void {
    this.gone += this.shown.length;
    this.shown = [];
  }

  private addOne(event: TailEvent): void {
    const { name, data } = event;
    if (name === "span") {
      this.spans += 1;
      if (this.paused && this.waiting.length >= WAITING_MAX) this.overflow += 1;
      else this.push(this.line(data));
      return;
    }
    if (name === "lagged" && data["reason"] === "restarted") {
      this.push({ kind: "notice", key: this.next++, text: "The server was started anew: what came in between is only in the table." });
      return;
    }
    const spans = numberOrZero(data["spans"]);
    if (name === "skipped") this.push(this.notice(spans, "more matched than the limit lets through"));
    else if (name === "lagged") this.push(this.notice(spans, LOST[String(data["reason"])] ?? "were lost"));
    else return;
    this.missing += spans;
  }

  private push(line: Line): void {
    (this.paused ? this.waiting : this.shown).push(line);
  }

  private notice(spans: number, words: string): NoticeLine {
    return { kind: "notice", key: this.next++, text: `${spans.toLocaleString("en")} ${spans === 1 ? "span" : "spans"} ${words}` };
  }

  private line(row: Record<string, unknown>): SpanLine {
    const instant = parseInstant(row["start_time"]);
    const text = (name: string): string => (typeof row[name] === "string" ? (row[name] as string) : "");
    return {
      kind: "span",
      key: this.next++,
      trace: text("trace_id"),
      span: text("span_id"),
      service: text("service"),
      name: text("name"),
      spanKind: text("kind"),
      status: text("status"),
      start: instant ? toMillis(instant) : 0,
      startText: instant ? utcText(instant) : "",
      duration: numberOrZero(row["duration_nano"]),
    };
  }

  private trim(): void {
    const excess = this.shown.length - SHOWN_MAX;
    if (excess <= 0) return;
    this.shown = this.shown.slice(excess);
    this.gone += excess;
  }
}
