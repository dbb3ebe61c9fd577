// JSON without losing numbers: integers beyond 2^53 and doubles that look whole keep their text.

/** A number that JavaScript cannot tell from another: its own digits. */
export interface Exact {
  $number: string;
}

const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** `JSON.parse`, where `9223372036854775807` and `1.0` become [`Exact`]. */
export function parseExact(text: string): unknown {
  if (!/\d{16}|\d\.\d|\d[eE]/.test(text)) return JSON.parse(text);
  return JSON.parse(text.replace(TOKENS, (token) => (keepsItsText(token) ? `{"$number":"${token}"}` : token)));
}

function keepsItsText(token: string): boolean {
  if (token.startsWith('"')) return false;
  const value = Number(token);
  return /[.eE]/.test(token) ? Number.isInteger(value) : !Number.isSafeInteger(value);
}

export function isExact(value: unknown): value is Exact {
  return typeof value === "object" && value !== null && typeof (value as Exact).$number === "string" && Object.keys(value).length === 1;
}

/** The nearest double of a JSON number; null for everything else. */
export function numberOf(value: unknown): number | null {
  if (typeof value === "number") return value;
  if (isExact(value)) return Number(value.$number);
  return null;
}

/** A number, 0 where there is none: for sums. */
export function numberOrZero(value: unknown): number {
  return numberOf(value) ?? 0;
}

/** One value as JSON text, with every digit it came with. */
export function exactText(value: unknown, indent = ""): string {
  if (value === undefined) return "null";
  if (isExact(value)) return value.$number;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const inner = indent === "" ? "" : indent + "  ";
  const [open, gap, close] = indent === "" ? ["", ", ", ""] : [`\n${inner}`, `,\n${inner}`, `\n${indent}`];
  if (Array.isArray(value)) {
    return value.length === 0 ? "[]" : `[${open}${value.map((part) => exactText(part, inner)).join(gap)}${close}]`;
  }
  const parts = Object.entries(value).map(([key, part]) => `${JSON.stringify(key)}: ${exactText(part, inner)}`);
  return parts.length === 0 ? "{}" : `{${open}${parts.join(gap)}${close}}`;
}

/** The name of an attribute's OTLP type, told from the JSON rule of the table. */
export function typeName(value: unknown): string {
  if (value === null || value === undefined) return "empty";
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "number") return Number.isInteger(value) ? "int" : "double";
  if (isExact(value)) return /[.eE]/.test(value.$number) ? "double" : "int";
  if (Array.isArray(value)) return "array";
  const keys = Object.keys(value);
  if (keys.length === 1 && keys[0] === "$double") return "double";
  if (keys.length === 1 && keys[0] === "$bytes") return "bytes";
  return "kvlist";
}

/** The value as a person reads it: strings without quotes, the rest as JSON. */
export function plainText(value: unknown): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  const kind = typeName(value);
  if (kind === "double" && typeof value === "object" && !isExact(value)) return String((value as { $double: unknown }).$double);
  if (kind === "bytes") return String((value as { $bytes: unknown }).$bytes);
  return exactText(value);
}

/** A JSON object that may come as text; null where it is neither. */
export function objectOf(value: unknown): Record<string, unknown> | null {
  if (typeof value === "string" && value.startsWith("{")) {
    try {
      return objectOf(parseExact(value));
    } catch {
      return null;
    }
  }
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
}
