// A service has the same colour on every page: one of 24 hues of equal lightness, by a hash of its name.

export const HUES = 24;

/** FNV-1a over UTF-16 units, finished so that near names fall apart. */
export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    value ^= text.charCodeAt(index);
    value = Math.imul(value, 0x01000193);
  }
  value ^= value >>> 15;
  value = Math.imul(value, 0x2c1b3c6d);
  value ^= value >>> 12;
  return value >>> 0;
}

const known = new Map<string, number>();

/** Degrees of the service's hue. */
export function hueOf(service: string): number {
  let hue = known.get(service);
  if (hue === undefined) known.set(service, (hue = (hash(service) % HUES) * (360 / HUES)));
  return hue;
}

/** `deep` for bars, `tint` for areas with text on them, `edge` for outlines. */
export function serviceColour(service: string, use: "deep" | "tint" | "edge" | "self", dark: boolean): string {
  const hue = hueOf(service);
  if (use === "tint") return dark ? `oklch(0.32 0.05 ${hue})` : `oklch(0.94 0.035 ${hue})`;
  if (use === "edge") return dark ? `oklch(0.62 0.1 ${hue})` : `oklch(0.6 0.11 ${hue})`;
  if (use === "self") return dark ? `oklch(0.66 0.12 ${hue})` : `oklch(0.6 0.13 ${hue})`;
  return dark ? `oklch(0.5 0.085 ${hue})` : `oklch(0.78 0.085 ${hue})`;
}
