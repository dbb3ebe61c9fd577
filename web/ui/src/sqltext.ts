// Words of SQL, for colour only: nothing is understood here.

export interface Token {
  kind: "keyword" | "string" | "number" | "comment" | "text";
  text: string;
}

const KEYWORDS = new Set(
  ("select from where group by order having limit offset as and or not in is null like ilike between case when then else end join left right full inner outer cross on using with union all " +
    "distinct explain asc desc nulls first last filter over partition cast interval timestamp date true false exists lateral unnest values")
    .split(" "),
);

const PATTERN = /(--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|('(?:[^']|'')*'?|"(?:[^"]|"")*"?)|(\b\d+(?:\.\d+)?\b)|([A-Za-z_][A-Za-z_0-9]*)|([\s\S])/g;

/** The statement in pieces that add up to it. */
export function tokens(statement: string): Token[] {
  const found: Token[] = [];
  for (const [text, comment, string, number, word] of statement.matchAll(PATTERN)) {
    const kind = comment ? "comment" : string ? "string" : number ? "number" : word && KEYWORDS.has(word.toLowerCase()) ? "keyword" : "text";
    const last = found[found.length - 1];
    if (last && last.kind === kind) last.text += text;
    else found.push({ kind, text });
  }
  return found;
}
