// What is copied of a rounded duration is all of its nanoseconds.

/** Listens until the returned function is called. */
export function copyWhole(): () => void {
  const copied = (event: ClipboardEvent): void => {
    const selection = getSelection();
    const element = holder(selection?.anchorNode ?? null);
    if (!selection || !element || element !== holder(selection.focusNode) || selection.toString().trim() !== element.textContent?.trim()) return;
    event.clipboardData?.setData("text/plain", element.dataset["nanos"] ?? "");
    event.preventDefault();
  };
  addEventListener("copy", copied);
  return () => removeEventListener("copy", copied);
}

function holder(node: Node | null): HTMLElement | null {
  const element = node instanceof HTMLElement ? node : (node?.parentElement ?? null);
  return element?.closest<HTMLElement>("[data-nanos]") ?? null;
}
