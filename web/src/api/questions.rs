//! `GET /api/v1/patterns`, `compare`, ...: views that take more than a range -> their rows.
use axum::extract::{Path, State};
use axum::response::Response;
use query::{Answer, Call};
use storage::TraceId;

use super::answer::respond;
use super::parameters::Parameters;
use super::{Web, literal};
use crate::encode::timestamp;
use crate::routes::Parameter;
use crate::state::Shared;
use crate::{Error, Result};

/// Rows of one answer at most.
const ROWS_MAX: usize = 100_000;

/// Columns that patterns can be filtered by.
pub(crate) const PATTERN_FILTERS: &[&str] = &["root_service", "root_name"];

/// Columns that unowned requests can be filtered by.
pub(crate) const UNOWNED_FILTERS: &[&str] = &["service", "method"];

/// Columns that self times can be filtered by.
pub(crate) const SELF_TIME_FILTERS: &[&str] = &["service", "name"];

/// Columns that missing parents can be filtered by.
pub(crate) const MISSING_FILTERS: &[&str] = &["service", "name", "reason"];

/// Columns that services can be filtered by.
pub(crate) const CAUSED_FILTERS: &[&str] = &["service"];

/// Columns that spans in their trees can be filtered by.
pub(crate) const STRUCTURE_FILTERS: &[&str] = &["service", "name"];

/// What `descendants` takes.
pub(crate) const DESCENDANTS: &[Parameter] = &[
    Parameter {
        name: "above",
        help: "what stands above, as a SQL condition over the columns of spans: service = 'web' AND kind = 'CLIENT'",
    },
    Parameter { name: "below", help: "what stands below it, directly or not, likewise" },
    crate::routes::FROM,
    crate::routes::TO,
    NEWEST,
];

/// What `calls` takes.
pub(crate) const CALLS: &[Parameter] = &[
    Parameter { name: "caller", help: "the calling service" },
    Parameter { name: "callee", help: "the service that is called, directly or not" },
    crate::routes::FROM,
    crate::routes::TO,
    NEWEST,
];

const NEWEST: Parameter = Parameter { name: "limit", help: "rows at most, 100 by default" };

/// Rows of an answer that begins with the newest.
const NEWEST_DEFAULT: usize = 100;

const ROOT_SERVICE: Parameter =
    Parameter { name: "root_service", help: "only traces of this root service" };
const ROOT_NAME: Parameter =
    Parameter { name: "root_name", help: "only traces of this root operation" };

/// What `critical-path` takes.
pub(crate) const PATHS: &[Parameter] =
    &[crate::routes::FROM, crate::routes::TO, crate::routes::LIMIT, ROOT_SERVICE, ROOT_NAME];

/// What `latency/heatmap` takes.
pub(crate) const HEATMAP: &[Parameter] = &[
    crate::routes::FROM,
    crate::routes::TO,
    crate::routes::LIMIT,
    ROOT_SERVICE,
    ROOT_NAME,
    Parameter {
        name: "step",
        help: "width of a column, such as 30s or 5m; by default what makes 60 columns at most",
    },
    Parameter {
        name: "rows",
        help: "rows from each power of two to the next: 1, 2, 4 (default), 8, 16, 32 or 64",
    },
];

/// What `compare` takes besides its range.
pub(crate) const COMPARE: &[Parameter] = &[
    crate::routes::FROM,
    crate::routes::TO,
    crate::routes::LIMIT,
    Parameter { name: "of", help: "traces (default) or spans" },
    Parameter {
        name: "selection",
        help: "what is asked about, as a SQL condition over the columns of the view traces (or of spans): \
               duration_nano > 500e6; without any condition: what failed",
    },
    Parameter {
        name: "baseline",
        help: "what it is compared with, likewise; everything else where absent",
    },
    Parameter { name: "root_service", help: "both sides: only traces of this root service" },
    Parameter { name: "root_name", help: "both sides: only traces of this root operation" },
    Parameter { name: "service", help: "both sides, of=spans: only spans of this service" },
    Parameter { name: "name", help: "both sides, of=spans: only spans of this name" },
    Parameter { name: "kind", help: "both sides, of=spans: only spans of this kind" },
    Parameter { name: "min_duration", help: "selection: at least this long, such as 500ms" },
    Parameter { name: "max_duration", help: "selection: at most this long" },
    Parameter { name: "status", help: "selection: error, or ok for what did not fail" },
    Parameter { name: "selection_from", help: "selection: starts at this time or later" },
    Parameter { name: "selection_to", help: "selection: starts before this time" },
    Parameter { name: "baseline_from", help: "baseline: starts at this time or later" },
    Parameter { name: "baseline_to", help: "baseline: starts before this time" },
];

pub(crate) async fn patterns(State(shared): Web, parameters: Parameters) -> Result<Response> {
    let mut call = call(&shared, "patterns", &parameters)?;
    call.filter = filter(PATTERN_FILTERS, &parameters)?;
    rows(&shared, call, &parameters).await
}

pub(crate) async fn pattern(
    State(shared): Web,
    Path(pattern): Path<String>,
    parameters: Parameters,
) -> Result<Response> {
    let mut call = call(&shared, "pattern", &parameters)?;
    call.arguments.insert(0, Some(pattern));
    rows(&shared, call, &parameters).await
}

pub(crate) async fn compare(State(shared): Web, parameters: Parameters) -> Result<Response> {
    let of = Of::read(&parameters)?;
    let now = shared.web.clock.now_unix_nano();
    let (selection, baseline) = sides(of, &parameters, now)?;
    let mut call = call(&shared, of.function(), &parameters)?;
    call.arguments.splice(0..0, [Some(selection), baseline]);
    rows(&shared, call, &parameters).await
}

pub(crate) async fn critical_path(State(shared): Web, parameters: Parameters) -> Result<Response> {
    let mut call = call(&shared, "critical_path", &parameters)?;
    call.arguments.extend(root(&parameters)?);
    rows(&shared, call, &parameters).await
}

pub(crate) async fn trace_path(
    State(shared): Web,
    Path(trace): Path<String>,
    parameters: Parameters,
) -> Result<Response> {
    rows(&shared, of_trace("critical_path", &trace)?, &parameters).await
}

/// The arguments that choose traces by the operation of their root.
fn root(parameters: &Parameters) -> Result<[Option<String>; 2]> {
    let [service, name] = [parameters.one("root_service")?, parameters.one("root_name")?];
    Ok([service.map(str::to_owned), name.map(str::to_owned)])
}

/// A call of `function` with the id of a trace.
fn of_trace(function: &'static str, trace: &str) -> Result<Call> {
    let trace: TraceId = trace.parse().map_err(|error| Error::Invalid(format!("{error}")))?;
    Ok(Call {
        function,
        arguments: vec![Some(trace.to_string())],
        filter: None,
        order: None,
        limit: None,
    })
}

pub(crate) async fn heatmap(State(shared): Web, parameters: Parameters) -> Result<Response> {
    let mut call = call(&shared, "latency_heatmap", &parameters)?;
    call.arguments.extend(root(&parameters)?);
    call.arguments.push(parameters.duration("step")?.map(|nanos| nanos.to_string()));
    call.arguments.push(parameters.one("rows")?.map(str::to_owned));
    rows(&shared, call, &parameters).await
}

/// One row: the pattern of a trace.
pub(crate) async fn trace_pattern(
    State(shared): Web,
    Path(trace): Path<String>,
    parameters: Parameters,
) -> Result<Response> {
    rows(&shared, of_trace("trace_pattern", &trace)?, &parameters).await
}

pub(crate) async fn unowned(State(shared): Web, parameters: Parameters) -> Result<Response> {
    let mut call = call(&shared, "unowned", &parameters)?;
    call.filter = filter(UNOWNED_FILTERS, &parameters)?;
    rows(&shared, call, &parameters).await
}

pub(crate) async fn caused_services(
    State(shared): Web,
    parameters: Parameters,
) -> Result<Response> {
    let mut call = call(&shared, "network_caused_services", &parameters)?;
    call.filter = filter(CAUSED_FILTERS, &parameters)?;
    rows(&shared, call, &parameters).await
}

pub(crate) async fn missing(State(shared): Web, parameters: Parameters) -> Result<Response> {
    let mut call = call(&shared, "missing_parents", &parameters)?;
    call.filter = filter(MISSING_FILTERS, &parameters)?;
    rows(&shared, call, &parameters).await
}

pub(crate) async fn self_time(State(shared): Web, parameters: Parameters) -> Result<Response> {
    let mut call = call(&shared, "self_time", &parameters)?;
    call.filter = filter(SELF_TIME_FILTERS, &parameters)?;
    rows(&shared, call, &parameters).await
}

pub(crate) async fn structure(State(shared): Web, parameters: Parameters) -> Result<Response> {
    let mut call = call(&shared, "structure", &parameters)?;
    call.filter = filter(STRUCTURE_FILTERS, &parameters)?;
    rows(&shared, call, &parameters).await
}

pub(crate) async fn descendants(State(shared): Web, parameters: Parameters) -> Result<Response> {
    below(&shared, ("descendants", ["above", "below"]), &parameters).await
}

pub(crate) async fn calls(State(shared): Web, parameters: Parameters) -> Result<Response> {
    below(&shared, ("calls", ["caller", "callee"]), &parameters).await
}

/// One trace in the order of its tree.
pub(crate) async fn trace_tree(
    State(shared): Web,
    Path(trace): Path<String>,
    parameters: Parameters,
) -> Result<Response> {
    rows(&shared, of_trace("trace_tree", &trace)?, &parameters).await
}

/// Spans below others, the newest first.
async fn below(
    shared: &Shared,
    (function, sides): (&'static str, [&'static str; 2]),
    parameters: &Parameters,
) -> Result<Response> {
    let mut call = call(shared, function, parameters)?;
    for (place, side) in sides.into_iter().enumerate() {
        let Some(given) = parameters.one(side)? else {
            return Err(Error::Invalid(format!("{side} is missing")));
        };
        call.arguments.insert(place, Some(given.to_owned()));
    }
    call.order = Some("start_time DESC, trace_id, span_id");
    call.limit = Some(parameters.count("limit", NEWEST_DEFAULT, ROWS_MAX)?);
    rows(shared, call, parameters).await
}

/// A call of `function` with the range of `parameters` as its arguments.
fn call(shared: &Shared, function: &'static str, parameters: &Parameters) -> Result<Call> {
    let now = shared.web.clock.now_unix_nano();
    let from = parameters.time("from", now)?.map(timestamp);
    let to = parameters.time("to", now)?.map(timestamp);
    let limit = Some(parameters.count("limit", ROWS_MAX, ROWS_MAX)?);
    Ok(Call { function, arguments: vec![from, to], filter: None, order: None, limit })
}

/// The columns that have exactly the values given.
fn filter(columns: &[&str], parameters: &Parameters) -> Result<Option<String>> {
    let mut conditions = Vec::new();
    for column in columns {
        if let Some(value) = parameters.one(column)? {
            conditions.push(format!("{} = {}", literal::column(column), literal::text(value)));
        }
    }
    Ok(together(conditions))
}

async fn rows(shared: &Shared, call: Call, parameters: &Parameters) -> Result<Response> {
    parameters.format()?;
    let answer: Answer = shared.web.engine.call(call).await?;
    respond(parameters, answer).await
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Traces,
    Spans,
}

impl Of {
    fn read(parameters: &Parameters) -> Result<Self> {
        match parameters.one("of")? {
            None | Some("traces") => Ok(Self::Traces),
            Some("spans") => Ok(Self::Spans),
            Some(other) => Err(Error::Invalid(format!("of is traces or spans, not {other:?}"))),
        }
    }

    fn function(self) -> &'static str {
        match self {
            Self::Traces => "compare",
            Self::Spans => "compare_spans",
        }
    }

    /// Columns that both sides can be narrowed by.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Traces => &["root_service", "root_name"],
            Self::Spans => &["service", "name", "kind", "root_service", "root_name"],
        }
    }

    fn failed(self) -> &'static str {
        match self {
            Self::Traces => "root_error",
            Self::Spans => "status = 'ERROR'",
        }
    }
}

/// Selection and baseline as SQL conditions.
fn sides(of: Of, parameters: &Parameters, now: i64) -> Result<(String, Option<String>)> {
    for column in ["service", "name", "kind"] {
        if of == Of::Traces && parameters.one(column)?.is_some() {
            return Err(Error::Invalid(format!(
                "{column} needs of=spans: a trace has no {column}"
            )));
        }
    }
    let both = filter(of.columns(), parameters)?;
    let mut selection = window("selection", parameters, now)?;
    selection.extend(given("selection", parameters)?);
    for (name, sign) in [("min_duration", ">="), ("max_duration", "<=")] {
        if let Some(nanos) = parameters.duration(name)? {
            selection.push(format!("duration_nano {sign} {nanos}"));
        }
    }
    match parameters.one("status")? {
        None if selection.is_empty() => selection.push(of.failed().to_owned()),
        None => {}
        Some("error") => selection.push(of.failed().to_owned()),
        Some("ok") => selection.push(format!("NOT ({})", of.failed())),
        Some(other) => {
            return Err(Error::Invalid(format!("status is error or ok, not {other:?}")));
        }
    }
    selection.extend(both.clone());
    let mut baseline = window("baseline", parameters, now)?;
    baseline.extend(given("baseline", parameters)?);
    baseline.extend(both);
    Ok((together(selection).unwrap_or_default(), together(baseline)))
}

/// The condition in the parameter `side`.
fn given(side: &str, parameters: &Parameters) -> Result<Option<String>> {
    // The new line ends a comment.
    Ok(parameters.one(side)?.map(|text| format!("({text}\n)")))
}

fn window(side: &str, parameters: &Parameters, now: i64) -> Result<Vec<String>> {
    let mut conditions = Vec::new();
    for (end, sign) in [("from", ">="), ("to", "<")] {
        if let Some(time) = parameters.time(&format!("{side}_{end}"), now)? {
            conditions.push(format!("start_time {sign} {}", literal::time(time)));
        }
    }
    Ok(conditions)
}

fn together(conditions: Vec<String>) -> Option<String> {
    (!conditions.is_empty()).then(|| conditions.join(" AND "))
}

#[cfg(test)]
mod tests;
