// Rules of the retention policy as lines of a form; the first that matches decides.
import { useState } from "preact/hooks";
import { printPairs, readPairs, type Rule } from "./model.ts";

interface RuleEditorProps {
  rules: Rule[];
  onChange: (rules: Rule[]) => void;
}

export function RuleEditor(props: RuleEditorProps): preact.JSX.Element {
  const { rules, onChange } = props;
  const put = (index: number, rule: Rule): void => onChange(rules.map((one, at) => (at === index ? rule : one)));
  const move = (index: number): void => onChange(rules.flatMap((one, at) => (at === index - 1 ? [rules[index] as Rule, one] : at === index ? [] : [one])));
  return (
    <fieldset class="rules">
      <legend class="quiet">The first rule that a span of the trace matches decides for the whole trace; all conditions of a rule must hold on one span.</legend>
      {rules.map((rule, index) => (
        <RuleLine key={index} rule={rule} onChange={(next) => put(index, next)} onUp={index > 0 ? () => move(index) : null} onRemove={() => onChange(rules.filter((_, at) => at !== index))} />
      ))}
      <button type="button" class="button" data-action="add-rule" onClick={() => onChange([...rules, { class: rules.length === 0 ? "errors" : `class-${rules.length + 1}`, ttl: "90d", ...(rules.length === 0 ? { error: true } : {}) }])}>Add a rule</button>
    </fieldset>
  );
}

interface RuleLineProps {
  rule: Rule;
  onChange: (rule: Rule) => void;
  onUp: (() => void) | null;
  onRemove: () => void;
}

function RuleLine(props: RuleLineProps): preact.JSX.Element {
  const { rule, onChange } = props;
  const text = (name: "class" | "ttl" | "service" | "name" | "slower_than", label: string, hint: string, kind = ""): preact.JSX.Element => (
    <label class={`field ${kind}`}>
      {label}
      <input name={name} value={rule[name] ?? ""} placeholder={hint} spellcheck={false} onInput={(event) => onChange(without({ ...rule, [name]: event.currentTarget.value }))} />
    </label>
  );
  return (
    <div class="filters rule" data-part="rule">
      {text("class", "Class", "errors", "narrow")}
      {text("ttl", "Keep for", "90d, never", "narrow")}
      {text("service", "Service", "any")}
      {text("name", "Operation", "any; GET /api/*")}
      <label class="field narrow">
        Status
        <select name="error" value={rule.error === undefined ? "" : String(rule.error)} onChange={(event) => onChange(withError(rule, event.currentTarget.value))}>
          <option value="">any</option>
          <option value="true">failed</option>
          <option value="false">not failed</option>
        </select>
      </label>
      {text("slower_than", "Slower than", "500ms", "narrow")}
      <PairsField name="attributes" label="Attributes" pairs={rule.attributes} onChange={(pairs) => onChange(withPairs(rule, "attributes", pairs))} />
      <PairsField name="resource" label="Resource" pairs={rule.resource} onChange={(pairs) => onChange(withPairs(rule, "resource", pairs))} />
      <label class="field check"><input type="checkbox" name="root" checked={rule.root === true} onChange={(event) => onChange(withRoot(rule, event.currentTarget.checked))} />Root span only</label>
      {props.onUp && <button type="button" class="button" onClick={props.onUp} title="Try this rule before the one above">Up</button>}
      <button type="button" class="button" onClick={props.onRemove}>Remove</button>
    </div>
  );
}

/** Without conditions that were emptied. */
function without(rule: Rule): Rule {
  return Object.fromEntries(Object.entries(rule).filter(([name, value]) => name === "class" || name === "ttl" || value !== "")) as unknown as Rule;
}

function withError(rule: Rule, choice: string): Rule {
  const { error: _, ...rest } = rule;
  return choice === "" ? rest : { ...rest, error: choice === "true" };
}

function withRoot(rule: Rule, isRoot: boolean): Rule {
  const { root: _, ...rest } = rule;
  return isRoot ? { ...rest, root: true } : rest;
}

function withPairs(rule: Rule, name: "attributes" | "resource", pairs: Record<string, string>): Rule {
  const { [name]: _, ...rest } = rule;
  return Object.keys(pairs).length === 0 ? rest : { ...rest, [name]: pairs };
}

function PairsField(props: { name: string; label: string; pairs: Record<string, string> | undefined; onChange: (pairs: Record<string, string>) => void }): preact.JSX.Element {
  const [text, setText] = useState(printPairs(props.pairs));
  const pairs = readPairs(text);
  return (
    <label class="field">
      {props.label}
      <input
        name={props.name}
        value={text}
        placeholder="key=value, …"
        spellcheck={false}
        aria-invalid={pairs === undefined}
        onInput={(event) => {
          const next = event.currentTarget.value;
          setText(next);
          const read = readPairs(next);
          if (read) props.onChange(read);
        }}
      />
    </label>
  );
}
