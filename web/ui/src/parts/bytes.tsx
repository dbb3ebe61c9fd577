// Bytes of bodies: sizes are optional, so that none recorded is not 0.
import { bytes, grouped, percent } from "../units.ts";

/** Why a sum of nothing says nothing: what the dash in its place answers on hover. */
export function whyMissing(coverage: number | null): string {
  if (coverage === null) return "No span could have carried a body size.";
  if (coverage === 0) return "No span carried a body size.";
  return "No span recorded a size of this kind: nothing was sent, or nobody measured it.";
}

/** Bytes with all digits on hover; a dash that says why where no size was recorded: 0 would claim a measurement. */
export function Bytes(props: { value: number | null; coverage: number | null }): preact.JSX.Element {
  const { value, coverage } = props;
  if (!value || !coverage) return <span class="quiet" title={whyMissing(coverage)}>–</span>;
  return <span title={`${grouped(value)} B`}>{bytes(value)}</span>;
}

/** For sorting: missing values come last. */
export function measured(value: number | null, coverage: number | null): number | null {
  return value && coverage ? value : null;
}

/** The share of what could have carried a size and did, with a bar. */
export function Coverage(props: { share: number | null }): preact.JSX.Element {
  if (props.share === null) return <span class="quiet" title="No span could have carried a size.">–</span>;
  return (
    <>
      <span class="share" aria-hidden="true"><i style={{ width: `${props.share * 100}%` }} /></span>
      <span class="share-number">{percent(props.share)}</span>
    </>
  );
}
