// The text of an executed plan as lines of a tree.

export interface PlanLine {
  depth: number;
  operator: string;
  detail: string;
  rows: number | null;
  /** Milliseconds of work, summed over the threads. */
  millis: number | null;
  metrics: string;
}

const UNITS: Record<string, number> = { ns: 1e-6, "µs": 1e-3, us: 1e-3, ms: 1, s: 1e3, m: 60e3 };

export function readPlan(text: string): PlanLine[] {
  return text.split("\n").filter((line) => line.trim() !== "").map((line): PlanLine => {
    const depth = Math.floor((/^ */.exec(line)?.[0].length ?? 0) / 2);
    const [head = "", ...rest] = line.trim().split(", metrics=[");
    const metrics = rest.join(", metrics=[").replace(/\]$/, "");
    const [, operator = head, detail = ""] = /^(\w+):?\s*([\s\S]*)$/.exec(head) ?? [];
    const rows = /\boutput_rows=([\d.]+)\s*([KMB]?)/.exec(metrics);
    const time = /\belapsed_compute=([\d.]+)(ns|µs|us|ms|s|m)\b/.exec(metrics);
    const scale = { "": 1, K: 1e3, M: 1e6, B: 1e9 }[rows?.[2] ?? ""] ?? 1;
    return { depth, operator, detail, rows: rows ? Number(rows[1]) * scale : null, millis: time ? Number(time[1]) * (UNITS[time[2] ?? ""] ?? 1) : null, metrics };
  });
}
