// A change of the store: says its counts, asks for the admin token, shows what came of it.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { apiPath, request, type ApiError } from "../api.ts";
import { objectOf } from "../exact.ts";
import { useApp } from "../state.tsx";

interface AdminDialogProps {
  title: string;
  /** The button, with its count. */
  action: string;
  danger?: boolean;
  method: "POST" | "PUT" | "DELETE";
  path: string;
  body: unknown;
  /** Nothing would change yet. */
  disabled?: boolean;
  children: ComponentChildren;
  onClose: () => void;
  /** The answer, where one is of use; the dialog closes itself. */
  onDone?: (answer: Record<string, unknown>) => void;
}

/** Lasts as long as the page: a token is never stored. */
let token = "";

export function AdminDialog(props: AdminDialogProps): preact.JSX.Element {
  const { refresh } = useApp();
  const dialog = useRef<HTMLDialogElement>(null);
  const [text, setText] = useState(token);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const act = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      const body = props.body === null ? {} : { body: JSON.stringify(props.body) };
      const response = await request(apiPath(props.path), { method: props.method, headers: { authorization: `Bearer ${text.trim()}`, "content-type": "application/json" }, ...body });
      token = text;
      const answer = objectOf(await response.text()) ?? {};
      props.onDone?.(answer);
      refresh();
      props.onClose();
    } catch (caught) {
      setError(caught as ApiError);
      setBusy(false);
    }
  };
  return (
    <dialog ref={dialog} onClose={props.onClose}>
      <form class="dialog-form" onSubmit={(event) => void act(event)}>
        <h2>{props.title}</h2>
        {props.children}
        <label class="field wide">
          Admin token
          <input type="password" name="token" value={text} autocomplete="off" required onInput={(event) => setText(event.currentTarget.value)} />
        </label>
        <p class="quiet">The server printed it at its first start; <code>spanlake token create</code> makes another.</p>
        {error && <p class="error-text box-text" role="alert"><span class="mark-error" aria-hidden="true" />{error.message} {error.requestId && <code>{error.requestId}</code>}</p>}
        <div class="dialog-buttons">
          <button type="button" class="button" onClick={props.onClose}>Cancel</button>
          <button type="submit" class={props.danger ? "button danger" : "button primary"} disabled={busy || props.disabled === true || text.trim() === ""}>{props.action}</button>
        </div>
      </form>
    </dialog>
  );
}
