// The columns that most tables have: names, services, counts, durations, sizes, shares. Each is printed, sorted and explained in one way.
import { count, grouped } from "../units.ts";
import { Duration, Errors, Service } from "./bits.tsx";
import { Bytes, Coverage, measured } from "./bytes.tsx";
import type { Column } from "./table.tsx";

type Of<T, V> = (row: T) => V;

export function textColumn<T>(key: string, label: string, of: Of<T, string>, help?: string): Column<T> {
  return { key, label, help, value: of, cell: of, title: of };
}

/** A service with its colour; with `link`, to its traces. */
export function serviceColumn<T>(key: string, label: string, of: Of<T, string>, more: { link?: boolean; help?: string } = {}): Column<T> {
  return { key, label, help: more.help, value: of, cell: (row) => <Service name={of(row)} link={more.link} /> };
}

/** All digits on hover. */
export function countColumn<T>(key: string, label: string, of: Of<T, number>, help?: string): Column<T> {
  return { key, label, help, number: true, value: of, cell: (row) => count(of(row)), title: (row) => grouped(of(row)) };
}

/** Nanoseconds. */
export function durationColumn<T>(key: string, label: string, of: Of<T, number | null>, help?: string): Column<T> {
  return { key, label, help, number: true, value: of, cell: (row) => <Duration nanos={of(row)} /> };
}

/** Errors as a share of what `of` counts. */
export function errorColumn<T extends { errors: number }>(help: string, of: Of<T, number>): Column<T> {
  return { key: "errors", label: "Errors", help, number: true, value: (row) => row.errors / Math.max(1, of(row)), cell: (row) => <Errors errors={row.errors} of={of(row)} /> };
}

/** Bytes of bodies; a dash where nobody recorded a size. */
export function sizeColumn<T extends { coverage: number | null }>(key: string, label: string, of: Of<T, number | null>, help?: string): Column<T> {
  return { key, label, help, number: true, value: (row) => measured(of(row), row.coverage), cell: (row) => <Bytes value={of(row)} coverage={row.coverage} /> };
}

export function coverageColumn<T extends { coverage: number | null }>(help: string): Column<T> {
  return { key: "coverage", label: "Coverage", help, number: true, value: (row) => row.coverage, cell: (row) => <Coverage share={row.coverage} /> };
}
