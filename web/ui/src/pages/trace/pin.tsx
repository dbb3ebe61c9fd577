// Pins a trace, so that it outlives its partition.
import { useState } from "preact/hooks";
import { AdminDialog } from "../../parts/admin.tsx";
import { Badge } from "../../parts/bits.tsx";
import { useAsk } from "../../state.tsx";
import { askPins } from "../storage/model.ts";

export function PinButton(props: { trace: string }): preact.JSX.Element | null {
  const { trace } = props;
  const { data } = useAsk("pins", askPins);
  const [dialog, setDialog] = useState(false);
  const [note, setNote] = useState("");
  if (!data) return null;
  const pin = data.find((one) => one.trace_id === trace);
  return (
    <>
      {pin && <Badge title={`Pinned ${pin.at}${pin.note === "" ? "" : `: ${pin.note}`}. No drop removes it.`}>pinned</Badge>}
      <button type="button" class="link" data-action="pin" onClick={() => setDialog(true)}>{pin ? "Unpin…" : "Pin…"}</button>
      {dialog && (
        <AdminDialog
          title={pin ? "Unpin this trace" : "Pin this trace"}
          action={pin ? "Unpin 1 trace" : "Pin 1 trace"}
          method={pin ? "DELETE" : "POST"}
          path={pin ? `pins/${trace}` : "pins"}
          body={pin ? null : { trace_id: trace, note: note.trim() }}
          onClose={() => setDialog(false)}
        >
          <p>{pin ? "It then goes with its partition, as others do." : "It stays when its partition goes, until it is unpinned; links to it go on working."}</p>
          {!pin && <label class="field wide">Note<input name="note" value={note} placeholder="what it shows" autocomplete="off" onInput={(event) => setNote(event.currentTarget.value)} /></label>}
        </AdminDialog>
      )}
    </>
  );
}
