import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { HUES, hueOf, serviceColour } from "../src/hue.ts";

const css = readFileSync(new URL("../../../src/style.css", import.meta.url), "utf8");

/** Relative luminance of `oklch(l c h)`, out-of-gamut parts clipped as browsers do at last. */
function luminance(colour: string): number {
  const [l = 0, c = 0, h = 0] = (/oklch\(([^)]*)\)/.exec(colour)?.[1] ?? "").trim().split(/\s+/).map(Number);
  const a = c * Math.cos((h * Math.PI) / 180);
  const b = c * Math.sin((h * Math.PI) / 180);
  const [x, y, z] = [l + 0.3963377774 * a + 0.2158037573 * b, l - 0.1055613458 * a - 0.0638541728 * b, l - 0.0894841775 * a - 1.291485548 * b].map((root) => root ** 3) as [number, number, number];
  const clip = (value: number): number => Math.min(1, Math.max(0, value));
  const red = clip(4.0767416621 * x - 3.3077115913 * y + 0.2309699292 * z);
  const green = clip(-1.2684380046 * x + 2.6097574011 * y - 0.3413193965 * z);
  const blue = clip(-0.0041960863 * x - 0.7034186147 * y + 1.707614701 * z);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [high = 0, low = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
}

function tokens(theme: "light" | "dark"): Record<string, string> {
  const block = css.split(`:root[data-theme="${theme}"] {`)[1]?.split("}")[0] ?? "";
  return Object.fromEntries([...block.matchAll(/--([\w-]+):\s*(oklch\([^)]*\))/g)].map((found) => [found[1] ?? "", found[2] ?? ""]));
}

for (const theme of ["light", "dark"] as const) {
  test(`text of the ${theme} theme has the contrast of WCAG AA on every ground that it stands on`, () => {
    const all = tokens(theme);
    assert.ok(Math.abs(contrast("oklch(1 0 0)", "oklch(0 0 0)") - 21) < 0.01);
    for (const ground of ["background", "raised", "hover", "selected"]) {
      for (const text of ["text", "text-quiet", "accent", "error", "warn"]) {
        const found = contrast(all[text] ?? "", all[ground] ?? "");
        assert.ok(found >= 4.5, `${text} on ${ground}: ${found.toFixed(2)}`);
      }
    }
    assert.ok(contrast(all["error"] ?? "", all["error-area"] ?? "") >= 4.5);
    assert.ok(contrast(all["accent-text"] ?? "", all["accent"] ?? "") >= 4.5);
  });

  test(`names on tinted boxes and bars beside the ${theme} ground can be told apart`, () => {
    const all = tokens(theme);
    const names = Array.from({ length: 400 }, (_, index) => `service-${index}`);
    assert.equal(new Set(names.map(hueOf)).size, HUES);
    for (const name of names) {
      assert.ok(contrast(all["text"] ?? "", serviceColour(name, "tint", theme === "dark")) >= 4.5, `${name}: ${hueOf(name)}`);
      assert.ok(contrast(all["text-quiet"] ?? "", serviceColour(name, "tint", theme === "dark")) >= 4.5, `${name} quiet: ${hueOf(name)}`);
      assert.ok(contrast(all["background"] ?? "", serviceColour(name, "self", theme === "dark")) >= 3, `${name} bar: ${hueOf(name)}`);
    }
  });
}
