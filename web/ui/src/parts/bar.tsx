// Top bar: where we are, search, the one time range, live, link.
import { useEffect, useRef, useState } from "preact/hooks";
import { absoluteRange, ALL_TIME, describeRange, isRelative, resolveRange } from "../range.ts";
import { useApp } from "../state.tsx";
import { formatPlace, isRanged, readSearch, toPage } from "../url.ts";
import { localTime } from "../instant.ts";
import { findAlias } from "../pages/trace/notes.tsx";
import { Link } from "./bits.tsx";
import { Icon } from "./icons.tsx";

export function Bar(props: { title: string }): preact.JSX.Element {
  const { place, href, live, refresh, set, rangeText } = useApp();
  const ranged = isRanged(place.page);
  return (
    <header class="bar">
      <h1>
        {place.page === "trace" ? (
          <>
            <Link to={href("traces")}>Traces</Link> <span class="quiet">/</span> <code>{place.id.slice(0, 8)}</code>
          </>
        ) : (
          props.title
        )}
      </h1>
      <Search />
      <div class="bar-right">
        {ranged && <RangePicker />}
        {place.page !== "tail" && <button type="button" class="icon-button" onClick={refresh} title="Ask again (r)" aria-label="Refresh"><Icon name="refresh" /></button>}
        {ranged && (
          <button
            type="button"
            class={live ? "icon-button on" : "icon-button"}
            aria-pressed={live}
            disabled={!isRelative(rangeText)}
            title={isRelative(rangeText) ? "Live: ask again every 5 s (.)" : "Live needs a range that ends now"}
            aria-label="Live"
            onClick={() => set({ live: live ? null : "1" }, true)}
          >
            <Icon name={live ? "pause" : "live"} />
          </button>
        )}
        <ShareButton />
      </div>
    </header>
  );
}

function ShareButton(): preact.JSX.Element {
  const { place, range, rangeText } = useApp();
  const [done, setDone] = useState(false);
  // A link proves an answer only if its range does not move.
  const share = (): void => {
    const fixed = isRelative(rangeText) && range.from !== null ? absoluteRange(range.from, range.to ?? Date.now()) : rangeText;
    const path = formatPlace({ ...place, params: { ...place.params, from: fixed.from, to: fixed.to, live: "" } });
    void navigator.clipboard?.writeText(location.origin + path).then(() => {
      setDone(true);
      setTimeout(() => setDone(false), 1200);
    });
  };
  return (
    <button type="button" class="icon-button" onClick={share} title={done ? "Copied" : "Copy a link with this exact range"} aria-label="Copy link">
      {done ? "✓" : <Icon name="link" />}
    </button>
  );
}

function Search(): preact.JSX.Element {
  const { go, place } = useApp();
  const [text, setText] = useState("");
  const submit = (event: Event): void => {
    event.preventDefault();
    const { kind, value } = readSearch(text);
    if (kind === "nothing") return;
    if (kind === "trace") go(toPage(place, "trace", {}, value));
    else if (kind === "sql") go(toPage(place, "sql", { q: value, run: "1" }));
    else void findAlias(value).catch(() => null).then((trace) => go(trace ? toPage(place, "trace", {}, trace) : toPage(place, "traces", { service: value })));
    setText("");
  };
  return (
    <form class="search" role="search" onSubmit={submit}>
      <Icon name="search" />
      <input
        type="search"
        value={text}
        placeholder="Trace id or name, service or SQL"
        aria-label="Search: a trace id or its name, a service or SQL"
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => setText(event.currentTarget.value)}
      />
    </form>
  );
}

const PRESETS = ["-5m", "-15m", "-1h", "-6h", "-24h", "-7d"];

function RangePicker(): preact.JSX.Element {
  const { rangeText, range, setRange } = useApp();
  const [open, setOpen] = useState(false);
  const frame = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return undefined;
    const outside = (event: Event): void => {
      const escape = event instanceof KeyboardEvent ? event.key === "Escape" : !frame.current?.contains(event.target as Element);
      if (escape) setOpen(false);
    };
    addEventListener("pointerdown", outside);
    addEventListener("keydown", outside);
    return () => {
      removeEventListener("pointerdown", outside);
      removeEventListener("keydown", outside);
    };
  }, [open]);
  const ends = `${range.from === null ? "the first span" : localTime(range.from, 0)} – ${range.to === null ? "the last" : localTime(range.to, 0)}`;
  const choose = (from: string, to: string): void => {
    setRange({ from, to });
    setOpen(false);
  };
  return (
    <div class="range" ref={frame}>
      <button type="button" class="button" aria-expanded={open} onClick={() => setOpen(!open)} title={ends}>{describeRange(rangeText)}</button>
      {open && (
        <div class="popover" role="dialog" aria-label="Time range">
          <div class="presets">
            {PRESETS.map((from) => (
              <button key={from} type="button" class={rangeText.from === from ? "on" : ""} onClick={() => choose(from, "now")}>{describeRange({ from, to: "now" })}</button>
            ))}
            <button type="button" class={rangeText.from === "all" ? "on" : ""} onClick={() => choose(ALL_TIME.from, ALL_TIME.to)}>All time</button>
          </div>
          <RangeForm onDone={choose} />
        </div>
      )}
    </div>
  );
}

function RangeForm(props: { onDone: (from: string, to: string) => void }): preact.JSX.Element {
  const { rangeText } = useApp();
  const [from, setFrom] = useState(rangeText.from);
  const [to, setTo] = useState(rangeText.to);
  const read = resolveRange({ from, to }, Date.now());
  const submit = (event: Event): void => {
    event.preventDefault();
    if (typeof read !== "string") props.onDone(from.trim(), to.trim());
  };
  return (
    <form class="range-form" onSubmit={submit}>
      <label>From<input value={from} spellcheck={false} onInput={(event) => setFrom(event.currentTarget.value)} /></label>
      <label>To<input value={to} spellcheck={false} onInput={(event) => setTo(event.currentTarget.value)} /></label>
      <p class={typeof read === "string" ? "error-text" : "quiet"}>
        {typeof read === "string" ? <><span class="mark-error" aria-hidden="true" />{read}</> : "-1h, now, 2026-11-22T10:00:00Z or Unix seconds; local time without a zone"}
      </p>
      <button type="submit" class="button primary" disabled={typeof read === "string"}>Apply</button>
    </form>
  );
}
