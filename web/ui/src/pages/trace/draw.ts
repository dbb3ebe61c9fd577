// The drawing of a waterfall: bars, header, minimap. Only what is in sight is drawn.
import { serviceColour } from "../../hue.ts";
import { prepare } from "../../canvas.ts";
import { niceStep } from "../../parts/chart.tsx";
import { selfTime, type Row } from "../../tree.ts";
import { duration, tickDuration } from "../../units.ts";
import type { Critical } from "./critical.ts";
import type { Span, Trace } from "./model.ts";
import { pixels, type View } from "./view.ts";

export const ROW_HEIGHT = 24;
export const MAP_HEIGHT = 42;
export const HEAD_HEIGHT = 64;

export interface Palette {
  text: string;
  quiet: string;
  line: string;
  error: string;
  selected: string;
  background: string;
  accent: string;
}

export function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement);
  const value = (name: string): string => style.getPropertyValue(name).trim();
  return {
    text: value("--text"),
    quiet: value("--text-quiet"),
    line: value("--line"),
    error: value("--error"),
    selected: value("--selected"),
    background: value("--background"),
    accent: value("--accent"),
  };
}

/** Round durations for the axis. */
export function ticks(view: View, width: number): number[] {
  const step = niceStep(view.to - view.from, width / 90);
  const found = [];
  for (let at = Math.ceil(view.from / step) * step; at <= view.to && found.length < 60; at += step) found.push(at);
  return found;
}

export interface Scene {
  trace: Trace;
  /** Row indices from top to bottom, folded subtrees left out. */
  visible: readonly number[];
  view: View;
  width: number;
  height: number;
  scroll: number;
  selected: number;
  dark: boolean;
  palette: Palette;
  critical: Critical;
  collapsed: ReadonlySet<number>;
}

export function drawBars(context: CanvasRenderingContext2D, scene: Scene): void {
  const { view, width, height, palette } = scene;
  context.fillStyle = palette.line;
  for (const at of ticks(view, width)) context.fillRect(Math.round(toX(scene, at)), 0, 1, height);
  const first = Math.floor(scene.scroll / ROW_HEIGHT);
  const last = Math.min(scene.visible.length, Math.ceil((scene.scroll + height) / ROW_HEIGHT));
  for (let place = first; place < last; place += 1) {
    const index = scene.visible[place] as number;
    const row = scene.trace.rows[index];
    if (row) drawRow(context, { scene, row, index, y: place * ROW_HEIGHT - scene.scroll });
  }
}

function toX(scene: { view: View; width: number }, at: number): number {
  return ((at - scene.view.from) / (scene.view.to - scene.view.from)) * scene.width;
}

interface Place {
  scene: Scene;
  row: Row<Span>;
  index: number;
  y: number;
}

function drawRow(context: CanvasRenderingContext2D, place: Place): void {
  const { scene, row, index, y } = place;
  if (index === scene.selected) {
    context.fillStyle = scene.palette.selected;
    context.fillRect(0, y, scene.width, ROW_HEIGHT);
  }
  const left = toX(scene, row.start);
  const right = Math.max(left + 2, toX(scene, row.end));
  if (row.span === null) {
    hatch(context, { left: Math.max(-4, left), right: Math.min(scene.width + 4, right), y: y + 7, colour: scene.palette.quiet });
  } else {
    const { service } = row.span;
    bar(context, left, right, y + 5, serviceColour(service, "deep", scene.dark), scene.width);
    const own = scene.collapsed.has(index) ? [[row.start, row.end] as [number, number]] : ownTime(scene.trace, index);
    context.fillStyle = serviceColour(service, "self", scene.dark);
    for (const [from, to] of pixels(own, scene.view, scene.width)) context.fillRect(from, y + 5, to - from, 14);
    drawMarks(context, place, row.span, left);
  }
  context.fillStyle = scene.palette.text;
  for (const [from, to] of pixels(scene.critical.get(index) ?? [], scene.view, scene.width)) context.fillRect(from, y + 19, to - from, 2);
  label(context, place, left, right);
}

const known = new WeakMap<Trace, Map<number, [number, number][]>>();

/** Self time, worked out once a row: a row may have ten thousands of children. */
export function ownTime(trace: Trace, index: number): [number, number][] {
  let ofTrace = known.get(trace);
  if (!ofTrace) known.set(trace, (ofTrace = new Map()));
  let own = ofTrace.get(index);
  if (!own) ofTrace.set(index, (own = selfTime(trace.rows, index)));
  return own;
}

function bar(context: CanvasRenderingContext2D, left: number, right: number, y: number, colour: string, width: number): void {
  const from = Math.max(-4, left);
  const to = Math.min(width + 4, right);
  if (to <= from) return;
  context.fillStyle = colour;
  context.fillRect(from, y, to - from, 14);
}

function hatch(context: CanvasRenderingContext2D, area: { left: number; right: number; y: number; colour: string }): void {
  const { left, right, y, colour } = area;
  context.save();
  context.beginPath();
  context.rect(left, y, right - left, 10);
  context.clip();
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.beginPath();
  for (let x = Math.floor(left / 6) * 6 - 12; x < right + 12; x += 6) {
    context.moveTo(x, y + 11);
    context.lineTo(x + 12, y - 1);
  }
  context.stroke();
  context.restore();
  context.strokeStyle = colour;
  context.strokeRect(left + 0.5, y + 0.5, Math.max(1, right - left - 1), 9);
}

/** Errors as a red outline with a diamond, events as ticks. */
function drawMarks(context: CanvasRenderingContext2D, place: Place, span: Span, left: number): void {
  const { scene, y } = place;
  if (span.status === "ERROR") {
    const right = Math.min(scene.width + 4, Math.max(left + 2, toX(scene, place.row.end)));
    const from = Math.max(-4, left);
    context.strokeStyle = scene.palette.error;
    context.lineWidth = 1.5;
    if (right > from) context.strokeRect(from + 0.5, y + 5.5, Math.max(1, right - from - 1), 13);
    const x = Math.min(scene.width - 6, Math.max(6, left));
    if (left > -20 && left < scene.width + 20) diamond(context, x, y + 12, scene.palette);
  }
  context.fillStyle = scene.palette.text;
  let last = -Infinity;
  for (const at of span.events) {
    const x = toX(scene, at);
    if (x < -2 || x > scene.width + 2 || Math.abs(x - last) < 0.5) continue;
    last = x;
    context.fillRect(Math.round(x) - 0.5, y + 3, 1, 18);
    context.fillRect(Math.round(x) - 1.5, y + 2, 3, 3);
  }
}

function diamond(context: CanvasRenderingContext2D, x: number, y: number, palette: Palette): void {
  context.beginPath();
  context.moveTo(x, y - 6);
  context.lineTo(x + 6, y);
  context.lineTo(x, y + 6);
  context.lineTo(x - 6, y);
  context.closePath();
  context.fillStyle = palette.error;
  context.fill();
  context.strokeStyle = palette.background;
  context.lineWidth = 1;
  context.stroke();
}

const widths = new Map<string, number>();
const MOST_WIDTHS = 20_000;

/** Measuring costs as much as drawing, and scrolling shows the same texts again and again. */
function widthOf(context: CanvasRenderingContext2D, text: string): number {
  let width = widths.get(text);
  if (width === undefined) {
    if (widths.size >= MOST_WIDTHS) widths.clear();
    widths.set(text, (width = context.measureText(text).width));
  }
  return width;
}

/** The duration where there is room: after the bar, before it, or in it. */
function label(context: CanvasRenderingContext2D, place: Place, left: number, right: number): void {
  const { scene, row, y } = place;
  const links = row.span && row.span.links > 0 ? `  ↗ ${row.span.links}` : "";
  const text = row.span === null ? "parent not received" : duration(row.end - row.start) + links;
  const wide = widthOf(context, text);
  const middle = y + ROW_HEIGHT / 2;
  if (right < 0 || left > scene.width) {
    context.fillStyle = scene.palette.quiet;
    context.textAlign = right < 0 ? "left" : "right";
    context.fillText(right < 0 ? `◂ ${text}` : `${text} ▸`, right < 0 ? 4 : scene.width - 4, middle);
    return;
  }
  context.textAlign = "left";
  context.fillStyle = scene.palette.quiet;
  if (right + wide + 8 <= scene.width) context.fillText(text, right + 6, middle);
  else if (left - wide - 12 >= 0) context.fillText(text, left - wide - 10, middle);
  else {
    context.fillStyle = scene.dark ? "oklch(0.98 0 0)" : "oklch(0.2 0.02 255)";
    context.fillText(text, Math.max(10, left + 10), middle);
  }
}

/** The shape of the whole trace with the part in sight marked; `shape` is drawn once and kept. */
export function drawMap(context: CanvasRenderingContext2D, scene: Scene, shape: HTMLCanvasElement): void {
  const { trace, width, palette, view } = scene;
  context.drawImage(shape, 0, 0, width, MAP_HEIGHT);
  if (view.from <= 0 && view.to >= trace.length) return;
  const whole = { view: { from: 0, to: trace.length }, width };
  const left = toX(whole, view.from);
  const right = toX(whole, view.to);
  context.globalAlpha = 0.7;
  context.fillStyle = palette.background;
  context.fillRect(0, 0, left, MAP_HEIGHT);
  context.fillRect(right, 0, width - right, MAP_HEIGHT);
  context.globalAlpha = 1;
  context.fillStyle = palette.accent;
  context.fillRect(left - 1, 0, 2, MAP_HEIGHT);
  context.fillRect(right - 1, 0, 2, MAP_HEIGHT);
}

/** All spans as thin lines: the shape of the whole trace, whatever is in sight below. */
export function drawShape(scene: Scene): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  const context = prepare(canvas, scene.width, MAP_HEIGHT);
  if (context) drawLines(context, scene);
  return canvas;
}

function drawLines(context: CanvasRenderingContext2D, scene: Scene): void {
  const { trace, width } = scene;
  const scale = Math.min(4, (MAP_HEIGHT - 4) / Math.max(1, trace.rows.length));
  if (scale < 1) return drawCrowd(context, scene);
  const thick = Math.max(1, scale - (scale > 2 ? 1 : 0));
  const whole = { view: { from: 0, to: trace.length }, width };
  trace.rows.forEach((row, index) => {
    const left = toX(whole, row.start);
    context.fillStyle = lineColour(row, scene);
    context.fillRect(left, 2 + index * scale, Math.max(1, toX(whole, row.end) - left), row.span?.status === "ERROR" ? Math.max(1.5, thick) : thick);
  });
}

function lineColour(row: Row<Span>, scene: Scene): string {
  if (row.span === null) return scene.palette.quiet;
  return row.span.status === "ERROR" ? scene.palette.error : serviceColour(row.span.service, "self", scene.dark);
}

/** What of a row decides its colour: cheaper to compare than the colour. */
function colourKey(row: Row<Span>): string {
  return row.span === null ? "" : row.span.status === "ERROR" ? "\n" : row.span.service;
}

/** More rows than lines of pixels: each pixel takes the colour of the last row that covers it, failed ones before all. */
function drawCrowd(context: CanvasRenderingContext2D, scene: Scene): void {
  const { trace } = scene;
  const wide = Math.ceil(scene.width);
  const high = MAP_HEIGHT - 4;
  const cells = new Uint16Array(wide * high);
  const colours: string[] = [""];
  const places = new Map<string, number>();
  let failed = -1;
  trace.rows.forEach((row, index) => {
    const key = colourKey(row);
    let place = places.get(key);
    if (place === undefined) {
      places.set(key, (place = colours.push(lineColour(row, scene)) - 1));
      if (row.span?.status === "ERROR") failed = place;
    }
    const line = Math.floor((index / trace.rows.length) * high) * wide;
    const last = Math.min(wide - 1, Math.floor((row.end / trace.length) * wide));
    for (let x = Math.max(0, Math.floor((row.start / trace.length) * wide)); x <= last; x += 1) if (cells[line + x] !== failed) cells[line + x] = place;
  });
  for (let line = 0; line < high; line += 1) drawRuns(context, cells.subarray(line * wide, (line + 1) * wide), line + 2, colours);
}

function drawRuns(context: CanvasRenderingContext2D, cells: Uint16Array, y: number, colours: readonly string[]): void {
  for (let from = 0; from < cells.length; ) {
    let to = from + 1;
    while (to < cells.length && cells[to] === cells[from]) to += 1;
    const colour = colours[cells[from] ?? 0];
    if (colour) {
      context.fillStyle = colour;
      context.fillRect(from, y, to - from, 1);
    }
    from = to;
  }
}

export function drawAxis(context: CanvasRenderingContext2D, scene: Scene): void {
  const { palette, width, view } = scene;
  context.fillStyle = palette.line;
  context.fillRect(0, MAP_HEIGHT, width, 1);
  for (const at of ticks(view, width)) {
    const x = Math.round(toX(scene, at));
    context.fillStyle = palette.line;
    context.fillRect(x, MAP_HEIGHT, 1, HEAD_HEIGHT - MAP_HEIGHT);
    context.fillStyle = palette.quiet;
    const text = at === 0 ? "0" : tickDuration(at);
    if (x + context.measureText(text).width + 4 < width) {
      context.textAlign = "left";
      context.fillText(text, x + 4, (MAP_HEIGHT + HEAD_HEIGHT) / 2 + 1);
    }
  }
}
