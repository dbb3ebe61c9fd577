// Left rail: the pages, and at its foot the state of the server in two lines.
import { PAGE_KEYS } from "../keys.ts";
import { useStatus } from "../status.ts";
import { useApp } from "../state.tsx";
import { bytes, count, rate } from "../units.ts";
import { Link } from "./bits.tsx";
import { Icon } from "./icons.tsx";

export function Rail(props: { onHelp: () => void }): preact.JSX.Element {
  const { place, href, theme, setTheme } = useApp();
  const active = place.page === "trace" || place.page === "compare" ? "traces" : place.page;
  const next = theme === "system" ? "light" : theme === "light" ? "dark" : "system";
  return (
    <nav class="rail" aria-label="Pages">
      <Link to={href("overview")} class="brand" title="Spanlake">
        <svg width="20" height="20" viewBox="0 0 32 32" aria-hidden="true"><path d="M3 6h20v5H3zM8 14h21v5H8zM13 22h12v5H13z" /></svg>
        <span>Spanlake</span>
      </Link>
      <ul>
        {PAGE_KEYS.map(([key, page, label]) => (
          <li key={page}>
            <Link to={href(page)} class={active === page ? "active" : ""} current={active === page} title={`${label} (g ${key})`}>
              <Icon name={page} />
              <span>{label}</span>
            </Link>
          </li>
        ))}
      </ul>
      <div class="foot">
        <ServerLine />
        <button type="button" class="icon-button" onClick={() => setTheme(next)} title={`Theme: ${theme}. Click for ${next}.`} aria-label={`Theme: ${theme}`}>
          <Icon name="theme" />
        </button>
        <button type="button" class="icon-button" onClick={props.onHelp} title="Keys (?)" aria-label="Keys">?</button>
      </div>
    </nav>
  );
}

function ServerLine(): preact.JSX.Element {
  const { data, error } = useStatus();
  if (error) return <p class="server error-text"><span class="mark-error" aria-hidden="true" />No answer</p>;
  if (!data) return <p class="server quiet">…</p>;
  return (
    <p class="server quiet">
      <span title="Spans received per second, over the last 15 s">{rate(data.spansPerSecond)}</span>
      <span title="Spans not yet in a file, and bytes of the write-ahead log">{count(data.hotRows)} hot · WAL {bytes(data.walBytes)}</span>
      <span title="Version of the table, and of the server">table v{data.tableVersion ?? "–"} · {data.version}</span>
    </p>
  );
}
