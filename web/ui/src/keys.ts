// Keys of all pages. Nothing happens while a person types into a field.
import { useEffect, useRef } from "preact/hooks";
import { shiftRange, zoomRange, type RangeText } from "./range.ts";
import type { State } from "./state.tsx";
import { isRanged, type Page } from "./url.ts";

export const PAGE_KEYS: readonly [string, Page, string][] = [
  ["o", "overview", "Overview"],
  ["t", "traces", "Traces"],
  ["l", "latency", "Latency"],
  ["d", "dependencies", "Dependencies"],
  ["n", "network", "Network"],
  ["p", "patterns", "Patterns"],
  ["q", "sql", "SQL"],
  ["f", "tail", "Tail"],
  ["s", "storage", "Storage"],
];

export interface KeyActions {
  help: () => void;
  close: () => void;
}

export function useKeys(state: State, actions: KeyActions): void {
  const current = useRef({ state, actions });
  current.current = { state, actions };
  const waiting = useRef(-Infinity);
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      if (event.key === "Escape") current.current.actions.close();
      if (event.metaKey || event.ctrlKey || event.altKey || isTyping(event.target)) return;
      if (performance.now() - waiting.current < 1500) {
        waiting.current = -Infinity;
        const page = PAGE_KEYS.find(([key]) => key === event.key)?.[1];
        if (page) {
          event.preventDefault();
          current.current.state.open(page);
        }
        return;
      }
      if (event.key === "g") waiting.current = performance.now();
      else act(event, current.current.state, current.current.actions);
    };
    // First of all listeners, so that a page does not take the second key of `g d` for its own.
    addEventListener("keydown", pressed, true);
    return () => removeEventListener("keydown", pressed, true);
  }, []);
}

function act(event: KeyboardEvent, state: State, actions: KeyActions): void {
  const range = (next: RangeText | null): void => {
    if (next && isRanged(state.place.page)) state.setRange(next);
  };
  const keys: Record<string, () => void> = {
    "/": () => (document.querySelector<HTMLInputElement>(".page-trace .row-search") ?? document.querySelector<HTMLInputElement>(".bar .search input"))?.focus(),
    "?": actions.help,
    ".": () => {
      const { page, params } = state.place;
      if (page === "tail") state.set({ paused: params["paused"] ? null : "1" }, true);
      else if (isRanged(page)) state.set({ live: state.live ? null : "1" }, true);
    },
    "[": () => range(shiftRange(state.range, -0.5)),
    "]": () => range(shiftRange(state.range, 0.5)),
    "-": () => range(zoomRange(state.range, 2)),
    "=": () => range(zoomRange(state.range, 0.5)),
    c: () => void navigator.clipboard?.writeText(location.href),
    r: state.refresh,
    b: () => {
      const table = document.querySelector<HTMLElement>(".content .table-frame");
      table?.scrollIntoView({ block: "start" });
      table?.focus();
    },
    x: () => document.querySelector<HTMLElement>(".exports button, .exports a")?.focus(),
  };
  const action = keys[event.key];
  if (!action || event.defaultPrevented) return;
  event.preventDefault();
  action();
}

export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName));
}
