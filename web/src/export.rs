//! The dependency map for other programs: DOT, Mermaid, GraphML, CSV, JSON, Jaeger's dependency JSON.
//!
//! Pure functions over the rows of the view `dependencies`. Names come from spans, so from strangers: every format
//! escapes them in its own way.
mod diagram;
mod table;

use std::collections::BTreeMap;
use std::str::FromStr;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};

/// A format that [`draw`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawing {
    /// Graphviz.
    Dot,
    /// Mermaid flowchart.
    Mermaid,
    /// GraphML (yEd, Gephi, Cytoscape, networkx).
    GraphMl,
    /// Comma-separated values with a header.
    Csv,
    /// An array of row objects.
    Json,
    /// What Jaeger's `/api/dependencies` answers.
    Jaeger,
}

impl Drawing {
    /// All formats with their names.
    pub const ALL: [(&'static str, Self); 6] = [
        ("dot", Self::Dot),
        ("mermaid", Self::Mermaid),
        ("graphml", Self::GraphMl),
        ("csv", Self::Csv),
        ("json", Self::Json),
        ("jaeger", Self::Jaeger),
    ];

    /// The media type to serve it with.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Dot => "text/vnd.graphviz; charset=utf-8",
            Self::Mermaid => "text/plain; charset=utf-8",
            Self::GraphMl => "application/xml; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json | Self::Jaeger => "application/json",
        }
    }
}

/// A name that is no [`Drawing`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown format: choose dot, mermaid, graphml, csv, json or jaeger")]
pub struct UnknownDrawing;

impl FromStr for Drawing {
    type Err = UnknownDrawing;

    fn from_str(name: &str) -> Result<Self, UnknownDrawing> {
        let found = Self::ALL.into_iter().find(|(own, _)| *own == name);
        found.map(|(_, drawing)| drawing).ok_or(UnknownDrawing)
    }
}

/// One row of the view `dependencies`, as far as drawings use it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Edge {
    /// Calling service.
    pub caller: String,
    /// Called service, database or address.
    pub callee: String,
    /// `rpc messaging link database external`.
    pub kind: String,
    /// Calls.
    pub calls: i64,
    /// Calls whose callee (or caller, where it has none) says ERROR.
    pub errors: i64,
    /// Bytes there.
    pub request_bytes: i64,
    /// Bytes back.
    pub response_bytes: i64,
    /// Nanoseconds, as the caller sees it.
    pub caller_p50_nano: Option<i64>,
    /// Nanoseconds, as the caller sees it.
    pub caller_p99_nano: Option<i64>,
    /// Nanoseconds, as the callee sees it.
    pub callee_p50_nano: Option<i64>,
    /// Nanoseconds, as the callee sees it.
    pub callee_p99_nano: Option<i64>,
    /// Calls before sampling, estimated.
    pub weighted_calls: f64,
}

/// Reads the rows of the view `dependencies`; a column that is not there reads as empty or 0.
pub fn edges(batches: &[RecordBatch]) -> Vec<Edge> {
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| edge(batch, row))).collect()
}

fn edge(batch: &RecordBatch, row: usize) -> Edge {
    let big = |name: &str| {
        let array = batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
        array.is_valid(row).then(|| array.value(row))
    };
    let weighted = batch.column_by_name("weighted_calls");
    let weighted = weighted.and_then(|array| array.as_primitive_opt::<Float64Type>());
    Edge {
        caller: text(batch, "caller", row),
        callee: text(batch, "callee", row),
        kind: text(batch, "kind", row),
        calls: big("calls").unwrap_or(0),
        errors: big("errors").unwrap_or(0),
        request_bytes: big("request_bytes").unwrap_or(0),
        response_bytes: big("response_bytes").unwrap_or(0),
        caller_p50_nano: big("caller_p50_nano"),
        caller_p99_nano: big("caller_p99_nano"),
        callee_p50_nano: big("callee_p50_nano"),
        callee_p99_nano: big("callee_p99_nano"),
        weighted_calls: weighted.map_or(0.0, |array| array.value(row)),
    }
}

fn text(batch: &RecordBatch, name: &str, row: usize) -> String {
    let Some(array) = batch.column_by_name(name).filter(|array| array.is_valid(row)) else {
        return String::new();
    };
    match array.data_type() {
        DataType::Utf8View => array.as_string_view().value(row).to_owned(),
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        _ => String::new(),
    }
}

/// Writes `edges` in the format asked for, ending with a line break.
pub fn draw(drawing: Drawing, edges: &[Edge]) -> String {
    match drawing {
        Drawing::Dot => diagram::dot(edges),
        Drawing::Mermaid => diagram::mermaid(edges),
        Drawing::GraphMl => diagram::graphml(edges),
        Drawing::Csv => table::csv(edges),
        Drawing::Json => table::json(edges),
        Drawing::Jaeger => table::jaeger(edges),
    }
}

/// What a node is: a service and a database of one name are two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum NodeKind {
    Service,
    Database,
    External,
}

impl NodeKind {
    fn of_callee(kind: &str) -> Self {
        match kind {
            "database" => Self::Database,
            "external" => Self::External,
            _ => Self::Service,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Database => "database",
            Self::External => "external",
        }
    }
}

/// The nodes of a drawing, numbered in the order of their names.
struct Nodes<'a> {
    numbers: BTreeMap<(&'a str, NodeKind), usize>,
}

impl<'a> Nodes<'a> {
    fn of(edges: &'a [Edge]) -> Self {
        let mut numbers = BTreeMap::new();
        for edge in edges {
            numbers.insert((edge.caller.as_str(), NodeKind::Service), 0);
            numbers.insert((edge.callee.as_str(), NodeKind::of_callee(&edge.kind)), 0);
        }
        for (number, own) in numbers.values_mut().enumerate() {
            *own = number;
        }
        Self { numbers }
    }

    fn iter(&self) -> impl Iterator<Item = (&'a str, NodeKind, usize)> {
        self.numbers.iter().map(|((name, kind), number)| (*name, *kind, *number))
    }

    fn caller(&self, edge: &'a Edge) -> usize {
        self.number(&edge.caller, NodeKind::Service)
    }

    fn callee(&self, edge: &'a Edge) -> usize {
        self.number(&edge.callee, NodeKind::of_callee(&edge.kind))
    }

    fn number(&self, name: &'a str, kind: NodeKind) -> usize {
        self.numbers.get(&(name, kind)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
