// Line icons, 16 px, drawn here so that nothing is fetched.
const PATHS: Record<string, string> = {
  overview: "M2 13h12M4 13V8M8 13V3M12 13V6",
  traces: "M2 4h8M5 8h8M8 12h6",
  latency: "M2 13h12M3 11c2 0 2-7 4-7s2 5 4 6 2 1 3 1",
  dependencies: "M3 5h3v3H3zM10 2h3v3h-3zM10 10h3v3h-3zM6 6.5l4-2.500M6 7l4 4",
  network: "M4 3v10M4 3 2 5.500M4 3l2 2.500M12 13V3M12 13l-2-2.500M12 13l2-2.500",
  patterns: "M2.500 2.500h4.500v4.500h-4.500zM9.500 2.500h4v4h-4zM2.500 9.500h4v4h-4zM9.500 11.500h4M11.500 9.500v4",
  sql: "M2 4l4 4-4 4M8 12h6",
  tail: "M2 4h12M2 8h8M2 12h5M12 8v5M10 11l2 2 2-2",
  storage: "M3 4c0-2.600 10-2.600 10 0s-10 2.600-10 0v8c0 2.600 10 2.600 10 0V4M3 8c0 2.600 10 2.600 10 0",
  search: "M7 2.500a4.500 4.500 0 1 1 0 9 4.500 4.500 0 0 1 0-9M10.500 10.500 14 14",
  refresh: "M13 8a5 5 0 1 1-1.500-3.500M13 2v3h-3",
  link: "M6.500 9.500l3-3M7 5l1.500-1.500a2.800 2.800 0 0 1 4 4L11 9M9 11l-1.500 1.500a2.800 2.800 0 0 1-4-4L5 7",
  theme: "M8 2.500a5.500 5.500 0 1 1 0 11zM8 2.500a5.500 5.500 0 1 0 0 11",
  close: "M4 4l8 8M12 4l-8 8",
  live: "M5.500 3.500v9l7-4.500z",
  pause: "M5.500 3.500v9M10.500 3.500v9",
  download: "M8 2.500v7.500M5 7l3 3 3-3M3 13h10",
};

export function Icon(props: { name: string }): preact.JSX.Element {
  return (
    <svg class="icon" width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[props.name] ?? ""} />
    </svg>
  );
}
