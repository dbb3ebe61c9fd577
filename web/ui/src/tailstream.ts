// Server-sent events over fetch: `EventSource` can neither send a token nor say where to go on. Comes back by itself, at
// the place where it was.
import { refusal, type ApiError } from "./api.ts";

export interface TailEvent {
  name: string;
  data: Record<string, unknown>;
}

export type Connection =
  | { kind: "connecting" }
  | { kind: "open" }
  | { kind: "waiting"; until: number; reason: string }
  | { kind: "refused"; error: ApiError };

export interface Listener {
  events: (events: TailEvent[]) => void;
  connection: (connection: Connection) => void;
}

const BACKOFF_FIRST = 1000;
const BACKOFF_MAX = 15_000;

/** Cuts a stream of text into events, and keeps the last id. */
export class EventReader {
  id = "";
  private rest = "";

  read(text: string): TailEvent[] {
    this.rest += text;
    const events: TailEvent[] = [];
    for (;;) {
      const end = this.rest.indexOf("\n\n");
      if (end < 0) return events;
      const event = this.block(this.rest.slice(0, end));
      this.rest = this.rest.slice(end + 2);
      if (event) events.push(event);
    }
  }

  /** Forgets half an event: the connection broke inside it. */
  broken(): void {
    this.rest = "";
  }

  private block(block: string): TailEvent | null {
    let name = "message";
    let data = "";
    for (const line of block.split("\n")) {
      const colon = line.indexOf(": ");
      const value = line.slice(colon + 2);
      if (line.startsWith("event: ")) name = value;
      else if (line.startsWith("data: ")) data += value;
      else if (line.startsWith("id: ")) this.id = value;
    }
    if (data === "") return null;
    const parsed: unknown = JSON.parse(data);
    return { name, data: typeof parsed === "object" && parsed !== null ? (parsed as Record<string, unknown>) : {} };
  }
}

/** Follows `path` until the returned function is called. */
export function follow(path: string, listener: Listener): () => void {
  const control = new AbortController();
  void run(path, listener, control.signal);
  return () => control.abort();
}

async function run(path: string, listener: Listener, signal: AbortSignal): Promise<void> {
  const reader = new EventReader();
  let backoff = BACKOFF_FIRST;
  while (!signal.aborted) {
    listener.connection({ kind: "connecting" });
    let reason = "The server ended the stream.";
    try {
      const response = await fetch(path, { headers: reader.id ? { "last-event-id": reader.id } : {}, signal });
      if (!response.ok || !response.body) {
        const error = await refusal(response);
        if (response.status < 500 && response.status !== 429) {
          listener.connection({ kind: "refused", error });
          return;
        }
        reason = error.message;
      } else {
        listener.connection({ kind: "open" });
        await read(response.body, reader, listener, () => (backoff = BACKOFF_FIRST));
      }
    } catch {
      reason = "The server does not answer.";
    }
    reader.broken();
    if (signal.aborted) return;
    listener.connection({ kind: "waiting", until: Date.now() + backoff, reason });
    await pause(backoff, signal);
    backoff = Math.min(backoff * 2, BACKOFF_MAX);
  }
}

async function read(body: ReadableStream<Uint8Array>, events: EventReader, listener: Listener, alive: () => void): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const found = events.read(decoder.decode(value, { stream: true }));
    alive();
    if (found.length > 0) listener.events(found);
  }
}

function pause(millis: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, millis);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
