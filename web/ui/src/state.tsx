// Where we are, what time it is for all pages, and questions asked of the server while they are of interest.
import { createContext } from "preact";
import { useCallback, useContext, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError } from "./api.ts";
import { DEFAULT_RANGE, isRelative, resolveRange, type Range, type RangeText } from "./range.ts";
import { formatPlace, isRanged, parsePlace, toPage, withParams, type Page, type Place } from "./url.ts";

export interface State {
  place: Place;
  rangeText: RangeText;
  range: Range;
  rangeError: string | null;
  live: boolean;
  dark: boolean;
  /** Changes with each refresh; questions are asked again. */
  tick: number;
  go: (place: Place, replace?: boolean) => void;
  set: (change: Record<string, string | null>, replace?: boolean) => void;
  open: (page: Page, params?: Record<string, string>, id?: string) => void;
  href: (page: Page, params?: Record<string, string>, id?: string) => string;
  setRange: (range: RangeText) => void;
  refresh: () => void;
  theme: Theme;
  setTheme: (theme: Theme) => void;
}

export type Theme = "system" | "light" | "dark";
const LIVE_MILLIS = 5000;

const Context = createContext<State | null>(null);
export const StateProvider = Context.Provider;

export function useApp(): State {
  const state = useContext(Context);
  if (!state) throw new Error("no state around this part");
  return state;
}

function here(): Place {
  return parsePlace(location.pathname + location.search);
}

/** The state of the whole page, made once at its root. */
export function useRootState(): State {
  const [place, setPlace] = useState(here);
  const [now, setNow] = useState(() => Date.now());
  const [tick, setTick] = useState(0);
  const { theme, dark, setTheme } = useTheme();
  useEffect(() => {
    const moved = (): void => setPlace(here());
    addEventListener("popstate", moved);
    return () => removeEventListener("popstate", moved);
  }, []);
  const go = useCallback((next: Place, replace = false): void => {
    const path = formatPlace(next);
    if (path === formatPlace(here())) return;
    if (replace) history.replaceState(null, "", path);
    else history.pushState(null, "", path);
    setPlace(next);
  }, []);
  const refresh = useCallback((): void => {
    setNow(Date.now());
    setTick((value) => value + 1);
  }, []);
  const rangeText = useMemo(
    () => (place.params["from"] || place.params["to"] ? { from: place.params["from"] ?? "", to: place.params["to"] ?? "" } : DEFAULT_RANGE),
    [place.params["from"], place.params["to"]],
  );
  // A relative range is read against the clock when it is chosen and at each refresh, not at each drawing.
  const resolved = useMemo(() => resolveRange(rangeText, Math.max(now, Date.now() - 1000)), [rangeText, now]);
  const live = place.params["live"] === "1" && isRelative(rangeText) && isRanged(place.page);
  useEffect(() => {
    if (!live) return undefined;
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") refresh();
    }, LIVE_MILLIS);
    return () => clearInterval(timer);
  }, [live, refresh]);
  return {
    place,
    rangeText,
    range: typeof resolved === "string" ? { from: null, to: null } : resolved,
    rangeError: typeof resolved === "string" ? resolved : null,
    live,
    dark,
    tick,
    go,
    refresh,
    theme,
    setTheme,
    set: (change, replace = false) => go(withParams(here(), change), replace),
    open: (page, params = {}, id = "") => go(toPage(place, page, params, id)),
    href: (page, params = {}, id = "") => formatPlace(toPage(place, page, params, id)),
    setRange: (range) => {
      setNow(Date.now());
      go(withParams(here(), { from: range.from, to: range.to, cursor: null }));
    },
  };
}

function useTheme(): { theme: Theme; dark: boolean; setTheme: (theme: Theme) => void } {
  const [theme, choose] = useState<Theme>(() => readTheme());
  const [system, setSystem] = useState(() => matchMedia("(prefers-color-scheme: dark)").matches);
  useEffect(() => {
    const query = matchMedia("(prefers-color-scheme: dark)");
    const changed = (): void => setSystem(query.matches);
    query.addEventListener("change", changed);
    return () => query.removeEventListener("change", changed);
  }, []);
  const dark = theme === "system" ? system : theme === "dark";
  // Before anything is drawn with it: canvases read their colours from the style.
  useMemo(() => (document.documentElement.dataset["theme"] = dark ? "dark" : "light"), [dark]);
  const setTheme = (next: Theme): void => {
    choose(next);
    try {
      localStorage.setItem("spanlake.theme", next);
    } catch {
      // Private windows may refuse; the choice then lasts as long as the page.
    }
  };
  return { theme, dark, setTheme };
}

function readTheme(): Theme {
  try {
    const value = localStorage.getItem("spanlake.theme");
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system";
  }
}

export interface Asked<T> {
  data: T | null;
  error: ApiError | null;
  /** True while an answer is on its way; `data` may still be the one before. */
  loading: boolean;
}

/** Asks a question whenever `key` or the refresh changes; an answer to an older key is dropped, its work stopped. */
export function useAsk<T>(key: string | null, ask: (signal: AbortSignal) => Promise<T>): Asked<T> {
  const { tick } = useApp();
  const [state, setState] = useState<{ key: string | null; asked: Asked<T> }>({ key: null, asked: { data: null, error: null, loading: true } });
  const latest = useRef(ask);
  latest.current = ask;
  useEffect(() => {
    if (key === null) return undefined;
    const control = new AbortController();
    setState((before) => ({
      key,
      asked: { data: before.key === key ? before.asked.data : null, error: before.key === key ? before.asked.error : null, loading: true },
    }));
    latest.current(control.signal).then(
      (data) => {
        if (!control.signal.aborted) setState({ key, asked: { data, error: null, loading: false } });
      },
      (error: unknown) => {
        if (control.signal.aborted) return;
        const known = error instanceof ApiError ? error : new ApiError(0, "page", error instanceof Error ? error.message : String(error), "");
        setState({ key, asked: { data: null, error: known, loading: false } });
      },
    );
    return () => control.abort();
  }, [key, tick]);
  return state.key === key ? state.asked : { data: null, error: null, loading: true };
}
