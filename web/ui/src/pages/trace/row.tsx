// The name of one row of the waterfall: text, so that it can be read, selected and found.
import { Component } from "preact";
import { serviceColour } from "../../hue.ts";
import type { Row } from "../../tree.ts";
import { duration, exactDuration } from "../../units.ts";
import type { Span } from "./model.ts";

interface NameRowProps {
  row: Row<Span>;
  index: number;
  top: number;
  state: string;
  folded: boolean;
  dark: boolean;
}

/** Drawn again only when something of it changes: scrolling moves all rows at once. */
export class NameRow extends Component<NameRowProps> {
  override shouldComponentUpdate(next: NameRowProps): boolean {
    const now = this.props;
    return next.row !== now.row || next.top !== now.top || next.state !== now.state || next.folded !== now.folded || next.dark !== now.dark;
  }

  override render(): preact.JSX.Element {
    const { row, folded, index } = this.props;
    const { span } = row;
    return (
      <div class={`wf-row ${this.props.state}`} style={{ transform: `translateY(${this.props.top}px)` }} role="treeitem" aria-level={row.depth + 1} aria-expanded={row.size > 0 ? !folded : undefined} data-row={index}>
        <span class="wf-guides" style={{ width: `${Math.min(row.depth, 24) * 12}px` }} />
        {row.size > 0 ? <button type="button" class="wf-fold" tabIndex={-1} aria-label={folded ? "Unfold" : "Fold"}>{folded ? "▸" : "▾"}</button> : <span class="wf-fold" />}
        {span ? (
          <>
            <span class="wf-chip" style={{ background: serviceColour(span.service, "self", this.props.dark) }} />
            {span.status === "ERROR" && <span class="mark-error" role="img" aria-label="error" />}
            <span class="wf-service" title={span.service}>{span.service}</span>
            <span class="wf-name" title={`${span.name} · ${exactDuration(span.duration)}`}>{span.name}</span>
          </>
        ) : (
          <span class="wf-name wf-missing" title={`Span ${row.id} is named as a parent but has not been received.`}>missing parent {row.id.slice(0, 8)}</span>
        )}
        {folded && <span class="wf-count" title={`${row.size} spans below, ${duration(row.end - row.start)} in all`}>{row.size}</span>}
        {row.cut && <span class="wf-count" title="The parents of this span form a circle; it was cut here.">circle</span>}
      </div>
    );
  }
}
