// Flows as bands: the largest edges, senders left of receivers; hover names a band, click opens it.
import { useMemo, useState } from "preact/hooks";
import { serviceColour } from "../hue.ts";
import { layoutSankey, SANKEY_NODE, type Band, type Flow, type SankeyNode } from "../sankey.ts";
import { useApp } from "../state.tsx";
import { useWidth } from "./chart.tsx";

interface SankeyProps<T extends Flow> {
  flows: readonly T[];
  label: string;
  /** Lines of the tip. */
  words: (flow: T) => string[];
  print: (size: number) => string;
  /** How a node is called where its key is not its name. */
  nameOf?: (key: string) => string;
  /** Whose colour a node has. */
  serviceOf?: (key: string) => string;
}

const TOP = 4;
/** Room for a name beside the last column. */
const NAMES = 150;
const LETTER = 6.6;

export function Sankey<T extends Flow>(props: SankeyProps<T>): preact.JSX.Element {
  const { flows } = props;
  const { dark } = useApp();
  const [frame, width] = useWidth();
  const [hover, setHover] = useState<{ band: Band | null; node: SankeyNode | null; x: number; y: number } | null>(null);
  const height = Math.min(560, Math.max(220, flows.length * 22));
  const inner = Math.max(120, width - Math.min(NAMES, width * 0.3));
  const placed = useMemo(() => layoutSankey(flows, { width: inner, height: height - TOP * 2 }), [flows, inner, height]);
  const colour = (node: SankeyNode): string => serviceColour((props.serviceOf ?? same)(node.name), "self", dark);
  const isLit = (band: Band): boolean => hover === null || hover.band === band || (hover.node !== null && (band.from.name === hover.node.name || band.to.name === hover.node.name));
  const at = (event: PointerEvent): { x: number; y: number } => {
    const box = frame.current?.getBoundingClientRect();
    return { x: event.clientX - (box?.left ?? 0), y: event.clientY - (box?.top ?? 0) };
  };
  const tip = hover?.band ? props.words(hover.band.flow as T) : hover?.node ? [`${(props.nameOf ?? same)(hover.node.name)}: ${props.print(hover.node.size)}`] : null;
  const columnWide = placed.columns > 1 ? (inner - SANKEY_NODE) / (placed.columns - 1) : inner;
  return (
    <div class="chart-frame sankey" ref={frame} style={{ height: `${height}px` }}>
      {width > 0 && (
        <svg class="chart" width={width} height={height} role="img" aria-label={props.label} onPointerLeave={() => setHover(null)}>
          {placed.bands.map((band) => (
            <path
              key={`${band.flow.from}\n${band.flow.to}`}
              class={isLit(band) ? "band" : "band dim"}
              d={bandPath(band)}
              fill={colour(band.from)}
              data-band={`${band.flow.from} → ${band.flow.to}`}
              onPointerMove={(event) => setHover({ band, node: null, ...at(event) })}
            />
          ))}
          {placed.nodes.map((node) => (
            <g key={node.key} onPointerMove={(event) => setHover({ band: null, node, ...at(event) })}>
              <rect x={node.x} y={TOP + node.y} width={SANKEY_NODE} height={node.height} fill={colour(node)} />
              <text class="sankey-name" x={node.x + SANKEY_NODE + 5} y={TOP + node.y + node.height / 2 + 4}>{shortened(`${(props.nameOf ?? same)(node.name)}${node.again ? " ↩" : ""}`, node.column === placed.columns - 1 ? width - inner : columnWide - SANKEY_NODE)}</text>
            </g>
          ))}
        </svg>
      )}
      {tip && hover && (
        <div class="tip" style={{ top: `${Math.min(height - 40, hover.y + 14)}px`, ...(hover.x > width / 2 ? { right: `${width - hover.x + 8}px` } : { left: `${hover.x + 12}px` }) }}>
          {tip.map((line) => <div key={line}>{line}</div>)}
        </div>
      )}
    </div>
  );
}

const same = (key: string): string => key;

/** An area as high at both ends as the flow is large; a thick line would stick out there. */
function bandPath(band: Band): string {
  const from = (band.from.x + SANKEY_NODE).toFixed(1);
  const to = band.to.x.toFixed(1);
  const middle = ((band.from.x + SANKEY_NODE + band.to.x) / 2).toFixed(1);
  const edge = (center: number, side: number): string => (TOP + center + (side * band.thick) / 2).toFixed(1);
  const [a, b, c, d] = [edge(band.fromY, -1), edge(band.toY, -1), edge(band.toY, 1), edge(band.fromY, 1)];
  return `M${from} ${a}C${middle} ${a} ${middle} ${b} ${to} ${b}V${c}C${middle} ${c} ${middle} ${d} ${from} ${d}Z`;
}

/** Cut to what has room; the tip has the rest. */
function shortened(text: string, room: number): string {
  const most = Math.max(4, Math.floor((room - 8) / LETTER));
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
