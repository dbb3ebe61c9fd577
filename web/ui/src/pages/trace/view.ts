// The stretch of time in sight: pure arithmetic.

/** Nanoseconds from the start of the trace. */
export interface View {
  from: number;
  to: number;
}

/** `1000-2000` of the URL; null where there is none or it lies outside. */
export function readView(text: string | undefined, length: number): View | null {
  const found = /^(\d+)-(\d+)$/.exec(text ?? "");
  if (!found) return null;
  const view = { from: Number(found[1]), to: Number(found[2]) };
  return view.to > view.from && view.from < length ? clampView(view, length) : null;
}

/** For the URL; empty for the whole trace. */
export function printView(view: View, length: number): string {
  return view.from <= 0 && view.to >= length ? "" : `${Math.round(view.from)}-${Math.round(view.to)}`;
}

/** Within the trace, and never so short that a nanosecond is wider than the screen. */
export function clampView(view: View, length: number): View {
  const size = Math.min(length, Math.max(100, view.to - view.from));
  const from = Math.max(0, Math.min(length - size, view.from));
  return { from, to: from + size };
}

/** `factor` times as long, with `at` staying where it is. */
export function zoomAt(view: View, at: number, factor: number): View {
  return { from: at - (at - view.from) * factor, to: at + (view.to - at) * factor };
}

/** Moved by a share of its length. */
export function moveView(view: View, share: number): View {
  const by = (view.to - view.from) * share;
  return { from: view.from + by, to: view.to + by };
}

/** Stretches as whole pixels from left to right: neighbours that touch become one, what is out of sight is left out. */
export function pixels(stretches: readonly (readonly [number, number])[], view: View, width: number): [number, number][] {
  const scale = width / (view.to - view.from);
  const found: [number, number][] = [];
  let last: [number, number] | undefined;
  for (const [from, to] of stretches) {
    if (to < view.from) continue;
    if (from > view.to) break;
    const left = Math.max(-4, (from - view.from) * scale);
    const right = Math.min(width + 4, Math.max(left + 1, (to - view.from) * scale));
    if (last && left <= last[1] + 0.5) last[1] = Math.max(last[1], right);
    else found.push((last = [left, right]));
  }
  return found;
}
