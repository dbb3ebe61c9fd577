// One table for all pages: sorted by the URL, every number in its own column, rows that open something.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { useApp } from "../state.tsx";

export interface Column<T> {
  key: string;
  label: string;
  /** One sentence that defines the figure. */
  help?: string;
  number?: boolean;
  /** What the rows are sorted by; not sortable without. */
  value?: (row: T) => number | string | null;
  cell: (row: T) => ComponentChildren;
  /** Text on hover. */
  title?: (row: T) => string;
  className?: string;
}

export interface TableProps<T> {
  rows: readonly T[];
  columns: readonly Column<T>[];
  name: string;
  /** `-calls`: descending by `calls`. */
  sort: string;
  /** The URL parameter that holds the sort. */
  param?: string;
  rowKey: (row: T, index: number) => string;
  onOpen?: (row: T) => void;
  selected?: (row: T) => boolean;
  /** The server sorts: called with the column's key, rows stay in the order in which they came. */
  onSort?: (key: string) => void;
  /** Rows shown before “show more”. */
  most?: number;
}

export function Table<T>(props: TableProps<T>): preact.JSX.Element {
  const { place, set } = useApp();
  const param = props.param ?? "sort";
  const sort = props.onSort ? props.sort : (place.params[param] ?? props.sort);
  const [more, setMore] = useState(1);
  const rows = props.onSort ? props.rows : sorted(props.rows, props.columns, sort);
  const limit = (props.most ?? 200) * more;
  const choose = (column: Column<T>): void => {
    if (props.onSort) return props.onSort(column.key);
    const first = column.number ? `-${column.key}` : column.key;
    const second = column.number ? column.key : `-${column.key}`;
    set({ [param]: sort === first ? second : first }, true);
  };
  return (
    <div class="table-frame" tabIndex={-1}>
      <table class="table" data-name={props.name}>
        <thead>
          <tr>
            {props.columns.map((column) => (
              <Head key={column.key} column={column} sort={sort} onSort={() => choose(column)} />
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, limit).map((row, index) => (
            <Line key={props.rowKey(row, index)} row={row} table={props} />
          ))}
        </tbody>
      </table>
      {rows.length > limit && (
        <button type="button" class="link more" onClick={() => setMore(more + 1)}>
          Show more: {rows.length - limit} of {rows.length} rows are not shown
        </button>
      )}
    </div>
  );
}

function Head<T>(props: { column: Column<T>; sort: string; onSort: () => void }): preact.JSX.Element {
  const { column, sort } = props;
  const active = sort === column.key ? "ascending" : sort === `-${column.key}` ? "descending" : "none";
  const label = column.help ? <span class="helped" title={column.help}>{column.label}</span> : column.label;
  return (
    <th scope="col" class={column.number ? "number" : ""} aria-sort={column.value ? active : undefined}>
      {column.value ? (
        <button type="button" onClick={props.onSort}>
          {label}
          <span class="arrow" aria-hidden="true">{active === "ascending" ? "▴" : active === "descending" ? "▾" : ""}</span>
        </button>
      ) : (
        label
      )}
    </th>
  );
}

function Line<T>(props: { row: T; table: TableProps<T> }): preact.JSX.Element {
  const { row, table } = props;
  const open = table.onOpen;
  const selected = table.selected?.(row) ?? false;
  const opening = open
    ? {
        tabIndex: 0,
        onClick: (event: MouseEvent) => {
          if (!(event.target as Element).closest("a, button")) open(row);
        },
        onKeyDown: (event: KeyboardEvent) => {
          if (event.key === "Enter" && event.target === event.currentTarget) open(row);
        },
      }
    : {};
  return (
    <tr class={`${open ? "opens" : ""} ${selected ? "selected" : ""}`} aria-selected={selected || undefined} {...opening}>
      {table.columns.map((column) => (
        <td key={column.key} class={`${column.number ? "number" : ""} ${column.className ?? ""}`} title={column.title?.(row)} data-column={column.key}>
          {column.cell(row)}
        </td>
      ))}
    </tr>
  );
}

function sorted<T>(rows: readonly T[], columns: readonly Column<T>[], sort: string): readonly T[] {
  const down = sort.startsWith("-");
  const value = columns.find((column) => column.key === (down ? sort.slice(1) : sort))?.value;
  if (!value) return rows;
  const keyed = rows.map((row) => ({ row, key: value(row) }));
  // Missing values come last in either direction.
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null) return (a.key === null ? 1 : 0) - (b.key === null ? 1 : 0);
    const order = typeof a.key === "number" && typeof b.key === "number" ? a.key - b.key : String(a.key).localeCompare(String(b.key));
    return down ? -order : order;
  });
  return keyed.map((one) => one.row);
}
