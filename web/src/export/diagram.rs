//! Drawings: DOT, Mermaid, GraphML.
use std::fmt::Write;

use super::{Edge, NodeKind, Nodes};

/// Graphviz (<https://graphviz.org/doc/info/lang.html>): `dot -Tsvg` draws it.
pub(super) fn dot(edges: &[Edge]) -> String {
    let nodes = Nodes::of(edges);
    let mut out = String::from("digraph dependencies {\n  rankdir=LR;\n  node [shape=box];\n");
    for (name, kind, number) in nodes.iter() {
        let shape = match kind {
            NodeKind::Service => "box",
            NodeKind::Database => "cylinder",
            NodeKind::External => "ellipse",
        };
        line(&mut out, &format!("  n{number} [label={}, shape={shape}];", dot_text(name)));
    }
    for edge in edges {
        let (caller, callee) = (nodes.caller(edge), nodes.callee(edge));
        let style =
            if matches!(edge.kind.as_str(), "messaging" | "link") { "dashed" } else { "solid" };
        let colour = if edge.errors > 0 { ", color=red" } else { "" };
        let label = dot_text(&label(edge));
        line(
            &mut out,
            &format!("  n{caller} -> n{callee} [label={label}, style={style}{colour}];"),
        );
    }
    out.push_str("}\n");
    out
}

/// Mermaid flowchart (<https://mermaid.js.org/syntax/flowchart.html>): GitHub and many wikis draw it.
pub(super) fn mermaid(edges: &[Edge]) -> String {
    let nodes = Nodes::of(edges);
    let mut out = String::from("flowchart LR\n");
    for (name, kind, number) in nodes.iter() {
        let (open, close) = match kind {
            NodeKind::Service => ("[", "]"),
            NodeKind::Database => ("[(", ")]"),
            NodeKind::External => ("([", "])"),
        };
        line(&mut out, &format!("  n{number}{open}\"{}\"{close}", mermaid_text(name)));
    }
    for edge in edges {
        let (caller, callee) = (nodes.caller(edge), nodes.callee(edge));
        let arrow = if matches!(edge.kind.as_str(), "messaging" | "link") { "-.->" } else { "-->" };
        let label = mermaid_text(&label(edge));
        line(&mut out, &format!("  n{caller} {arrow}|\"{label}\"| n{callee}"));
    }
    out
}

/// GraphML (<http://graphml.graphdrawing.org/>), figures as typed data.
pub(super) fn graphml(edges: &[Edge]) -> String {
    let nodes = Nodes::of(edges);
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n",
    );
    for (key, owner, kind) in KEYS {
        line(
            &mut out,
            &format!(
                "  <key id=\"{key}\" for=\"{owner}\" attr.name=\"{key}\" attr.type=\"{kind}\"/>"
            ),
        );
    }
    out.push_str("  <graph id=\"dependencies\" edgedefault=\"directed\">\n");
    for (name, kind, number) in nodes.iter() {
        let name = xml_text(name);
        let kind = kind.word();
        line(
            &mut out,
            &format!(
                "    <node id=\"n{number}\"><data key=\"name\">{name}</data><data key=\"type\">{kind}</data></node>"
            ),
        );
    }
    for edge in edges {
        let (caller, callee) = (nodes.caller(edge), nodes.callee(edge));
        line(
            &mut out,
            &format!(
                "    <edge source=\"n{caller}\" target=\"n{callee}\">{}</edge>",
                edge_data(edge)
            ),
        );
    }
    out.push_str("  </graph>\n</graphml>\n");
    out
}

const KEYS: [(&str, &str, &str); 11] = [
    ("name", "node", "string"),
    ("type", "node", "string"),
    ("kind", "edge", "string"),
    ("calls", "edge", "long"),
    ("errors", "edge", "long"),
    ("request_bytes", "edge", "long"),
    ("response_bytes", "edge", "long"),
    ("caller_p50_nano", "edge", "long"),
    ("caller_p99_nano", "edge", "long"),
    ("callee_p50_nano", "edge", "long"),
    ("callee_p99_nano", "edge", "long"),
];

fn edge_data(edge: &Edge) -> String {
    let figures = [
        ("calls", Some(edge.calls)),
        ("errors", Some(edge.errors)),
        ("request_bytes", Some(edge.request_bytes)),
        ("response_bytes", Some(edge.response_bytes)),
        ("caller_p50_nano", edge.caller_p50_nano),
        ("caller_p99_nano", edge.caller_p99_nano),
        ("callee_p50_nano", edge.callee_p50_nano),
        ("callee_p99_nano", edge.callee_p99_nano),
    ];
    let mut data = format!("<data key=\"kind\">{}</data>", xml_text(&edge.kind));
    for (key, value) in figures.iter().filter_map(|(key, value)| Some((key, (*value)?))) {
        data.push_str(&format!("<data key=\"{key}\">{value}</data>"));
    }
    data
}

/// `1,204 calls, 3 errors`.
fn label(edge: &Edge) -> String {
    let noun = if edge.calls == 1 { "call" } else { "calls" };
    match edge.errors {
        0 => format!("{} {noun}", edge.calls),
        1 => format!("{} {noun}, 1 error", edge.calls),
        errors => format!("{} {noun}, {errors} errors", edge.calls),
    }
}

fn line(out: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

/// A quoted DOT string. `\` would start an escape such as `\N` (the node's name), so it is doubled.
fn dot_text(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            // Graphviz reads HTML entities in labels.
            '&' => quoted.push_str("&amp;"),
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Text within Mermaid's double quotes: everything that it or HTML reads as a mark becomes an entity (`#34;`).
fn mermaid_text(text: &str) -> String {
    let mut quoted = String::new();
    for c in text.chars() {
        match c {
            '"' | '#' | '&' | '<' | '>' | '`' | '|' | ';' | '\\' | '%' | '[' | ']' | '{' | '}' => {
                quoted.push_str(&format!("#{};", u32::from(c)));
            }
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted
}

/// XML text. Characters that XML 1.0 cannot hold become U+FFFD.
fn xml_text(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' | '\r' => escaped.push_str(&format!("&#{};", u32::from(c))),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
