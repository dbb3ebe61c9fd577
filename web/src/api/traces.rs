//! `GET /api/v1/traces`: search, page by page.
//!
//! `service`, `name`, `kind`, `scope_name`, `status`, `attribute` and `resource` must hold for one and the same span of
//! the trace; `root_service`, `root_name` and the durations are about the trace. A cursor remembers the last row of its
//! page and the range, so that pages neither overlap nor leave gaps while spans arrive.
mod pages;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use serde::{Deserialize, Serialize};
use storage::TraceId;
use storage::schema::{AttributeColumns, AttributeScope, AttributeType};

use self::pages::{Page, Window};
use super::answer::{of_batch, respond};
use super::parameters::{Parameters, key_and_value};
use super::{Web, literal, views};
use crate::encode::{self, Format, Options, timestamp};
use crate::routes::Parameter;
use crate::{Error, Result};

/// Header with the cursor of the next page.
const NEXT_CURSOR: HeaderName = HeaderName::from_static("spanlake-cursor");
/// Header with the number of traces that are found on all pages: `1234`, or `101+` where there are so many or more.
const TOTAL: HeaderName = HeaderName::from_static("spanlake-total");
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;

pub(crate) const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "from",
        help: "start of the range of trace starts, inclusive: -1h, now, 2026-11-21T10:00:00Z, 2026-11-21 or \
               Unix seconds",
    },
    Parameter { name: "to", help: "end of the range, exclusive, likewise" },
    Parameter { name: "service", help: "a span of this service" },
    Parameter { name: "name", help: "a span of this name (the same span as `service`)" },
    Parameter {
        name: "status",
        help: "error: that span failed; with no other condition on spans: any did",
    },
    Parameter { name: "kind", help: "a span of this kind (the same span)" },
    Parameter { name: "scope_name", help: "a span of this instrumentation scope (the same span)" },
    Parameter {
        name: "attribute",
        help: "k=v: that span has this attribute with this value; may be given several times",
    },
    Parameter {
        name: "resource",
        help: "k=v: the resource of that span has this attribute with this value; likewise",
    },
    Parameter {
        name: "root_status",
        help: "error: the root failed, which is what counts as an error in latency and patterns",
    },
    Parameter { name: "min_duration", help: "of the trace: 5ms, 1.5s, or nanoseconds" },
    Parameter { name: "max_duration", help: "likewise, inclusive" },
    Parameter { name: "order", help: "newest (default) or slowest" },
    Parameter { name: "limit", help: "traces a page: 1 to 1000, 100 by default" },
    Parameter {
        name: "total",
        help: "exact: count all pages whatever it costs; otherwise the header spanlake-total may be a bound such as 101+",
    },
    Parameter {
        name: "stream",
        help: "true, with format=ndjson: rows as they are found; the last line has cursor and total of the page",
    },
    Parameter {
        name: "cursor",
        help: "from the header spanlake-cursor of the page before; all else must stay the same",
    },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    Newest,
    Slowest,
}

impl Order {
    fn of(parameters: &Parameters) -> Result<Self> {
        match parameters.one("order")? {
            None | Some("newest") => Ok(Self::Newest),
            Some("slowest") => Ok(Self::Slowest),
            Some(other) => {
                Err(Error::Invalid(format!("order is newest or slowest, not {other:?}")))
            }
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Newest => "start_time",
            Self::Slowest => "duration_nano",
        }
    }
}

/// Where a page ended, and in which range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    order: Order,
    from: Option<i64>,
    to: Option<i64>,
    /// Start or duration of the last row.
    value: i64,
    trace_id: String,
    /// Rows up to here.
    #[serde(default)]
    seen: u64,
}

impl Cursor {
    fn parse(text: &str) -> Result<Self> {
        let wrong = || Error::Invalid("the cursor is not one that this server gave".to_owned());
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
        let cursor: Self = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
        // It goes into a statement: only an id may pass.
        cursor.trace_id.parse::<TraceId>().map_err(|_| wrong())?;
        Ok(cursor)
    }

    fn print(&self) -> Result<String> {
        let bytes = serde_json::to_vec(self)
            .map_err(|error| Error::Internal(format!("cursor as JSON: {error}")))?;
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Rows after the last one. Equal values go by trace id.
    fn condition(&self) -> String {
        let value = match self.order {
            Order::Newest => literal::time(self.value),
            Order::Slowest => self.value.to_string(),
        };
        let (column, id) = (self.order.column(), literal::text(&self.trace_id));
        format!("({column} < {value} OR ({column} = {value} AND trace_id > {id}))")
    }
}

/// What is asked, parsed.
#[derive(Debug)]
struct Search {
    from: Option<i64>,
    to: Option<i64>,
    order: Order,
    limit: usize,
    conditions: Vec<String>,
    /// The condition that rows lie after the page before.
    later: Option<String>,
    /// Start or duration of the last row of the page before.
    after: Option<i64>,
    /// Rows on the pages before.
    seen: u64,
    /// All rows are to be counted.
    counts: bool,
    /// There are no conditions but on service and name of the root.
    only_roots: bool,
}

impl Search {
    fn parse(parameters: &Parameters, columns: &AttributeColumns, now: i64) -> Result<Self> {
        let order = Order::of(parameters)?;
        let cursor = parameters.one("cursor")?.map(Cursor::parse).transpose()?;
        let (from, to) = match &cursor {
            Some(cursor) if cursor.order != order => {
                return Err(Error::Invalid("the cursor belongs to another order".to_owned()));
            }
            Some(cursor) => (cursor.from, cursor.to),
            None => (parameters.time("from", now)?, parameters.time("to", now)?),
        };
        let limit = parameters.count("limit", LIMIT_DEFAULT, LIMIT_MAX)?;
        let mut conditions = on_root(parameters)?;
        let roots = conditions.len();
        conditions.extend(on_outcome(parameters)?);
        conditions.extend(on_duration(parameters)?);
        conditions.extend(on_span(parameters, columns, [from, to])?);
        let counts = match parameters.one("total")? {
            None => false,
            Some("exact") => true,
            Some(other) => {
                return Err(Error::Invalid(format!("total is exact or absent, not {other:?}")));
            }
        };
        let only_roots = conditions.len() == roots;
        let later = cursor.as_ref().map(Cursor::condition);
        let after = cursor.as_ref().map(|cursor| cursor.value);
        let seen = cursor.as_ref().map_or(0, |cursor| cursor.seen);
        Ok(Self { from, to, order, limit, conditions, later, after, seen, counts, only_roots })
    }

    /// At most `limit` rows of one window.
    fn statement(&self, [from, to]: Window, limit: usize) -> String {
        let filter = filter(self.conditions.iter().chain(&self.later));
        let (arguments, column) = (arguments(from, to), self.order.column());
        format!(
            "SELECT * FROM traces({arguments}){filter} ORDER BY {column} DESC, trace_id LIMIT {limit}"
        )
    }

    /// Counts the rows of all pages; `None` where nobody asked for it and it is more than adding up rollups.
    fn count_statement(&self) -> Option<String> {
        let (filter, arguments) = (filter(self.conditions.iter()), arguments(self.from, self.to));
        if self.only_roots {
            return Some(format!(
                "SELECT coalesce(sum(traces), 0) FROM latency({arguments}){filter}"
            ));
        }
        self.counts.then(|| format!("SELECT count(*) FROM traces({arguments}){filter}"))
    }
}

/// `WHERE` all `conditions` hold.
fn filter<'a>(conditions: impl Iterator<Item = &'a String>) -> String {
    let all: Vec<&str> = conditions.map(String::as_str).collect();
    if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) }
}

/// A range as arguments of a view.
fn arguments(from: Option<i64>, to: Option<i64>) -> String {
    let bound = |bound: Option<i64>| {
        bound.map_or_else(|| "NULL".to_owned(), |at| literal::text(&timestamp(at)))
    };
    match (from, to) {
        (None, None) => String::new(),
        (from, None) => bound(from),
        (from, to) => format!("{}, {}", bound(from), bound(to)),
    }
}

/// Conditions on service and name of the root.
fn on_root(parameters: &Parameters) -> Result<Vec<String>> {
    let mut conditions = Vec::new();
    for column in views::filters(query::View::Traces) {
        if let Some(value) = parameters.one(column)? {
            conditions.push(format!("{column} = {}", literal::text(value)));
        }
    }
    Ok(conditions)
}

/// The condition that the root failed.
fn on_outcome(parameters: &Parameters) -> Result<Option<String>> {
    match parameters.one("root_status")? {
        None => Ok(None),
        Some("error") => Ok(Some("root_error".to_owned())),
        Some(other) => {
            Err(Error::Invalid(format!("root_status is error or absent, not {other:?}")))
        }
    }
}

/// Conditions on the duration of the trace.
fn on_duration(parameters: &Parameters) -> Result<Vec<String>> {
    let mut conditions = Vec::new();
    if let Some(nanos) = parameters.duration("min_duration")? {
        conditions.push(format!("duration_nano >= {nanos}"));
    }
    if let Some(nanos) = parameters.duration("max_duration")? {
        conditions.push(format!("duration_nano <= {nanos}"));
    }
    Ok(conditions)
}

/// Conditions on one span of the trace, as one condition on the trace.
fn on_span(
    parameters: &Parameters,
    columns: &AttributeColumns,
    [from, to]: [Option<i64>; 2],
) -> Result<Option<String>> {
    let mut conditions = Vec::new();
    for column in ["service", "name", "kind", "scope_name"] {
        if let Some(value) = parameters.one(column)? {
            conditions.push(format!("{column} = {}", literal::text(value)));
        }
    }
    for pair in parameters.all("attribute") {
        conditions.push(attribute(pair, AttributeScope::Span, columns)?);
    }
    for pair in parameters.all("resource") {
        conditions.push(attribute(pair, AttributeScope::Resource, columns)?);
    }
    match parameters.one("status")? {
        None => {}
        Some("error") if conditions.is_empty() => return Ok(Some("errors > 0".to_owned())),
        Some("error") => conditions.push("status = 'ERROR'".to_owned()),
        Some(other) => {
            return Err(Error::Invalid(format!("status is error or absent, not {other:?}")));
        }
    }
    if conditions.is_empty() {
        return Ok(None);
    }
    conditions.extend(from.map(|from| format!("start_time >= {}", literal::time(from))));
    conditions.extend(to.map(|to| format!("start_time < {}", literal::time(to))));
    Ok(Some(format!("trace_id IN (SELECT trace_id FROM spans WHERE {})", conditions.join(" AND "))))
}

/// `k=v`, compared in the type of the attribute's column, where it has one and the value fits it.
pub(crate) fn attribute(
    pair: &str,
    scope: AttributeScope,
    columns: &AttributeColumns,
) -> Result<String> {
    let (key, value) = key_and_value(pair)?;
    let map = match scope {
        AttributeScope::Span => "attributes",
        AttributeScope::Resource => "resource",
    };
    let cell = format!("{map}[{}]", literal::text(key));
    let kind = columns.find(scope, key).map(|(_, column)| column.kind);
    let typed = match kind {
        None | Some(AttributeType::String) => {
            return Ok(format!("{cell} = {}", literal::text(value)));
        }
        Some(AttributeType::Int) => value.parse::<i64>().ok().map(|number| number.to_string()),
        Some(AttributeType::Double) => {
            let number = value.parse::<f64>().ok().filter(|number| number.is_finite());
            number.map(|number| format!("CAST({} AS DOUBLE)", literal::text(&number.to_string())))
        }
        Some(AttributeType::Bool) => value.parse::<bool>().ok().map(|truth| truth.to_string()),
    };
    Ok(match typed {
        Some(typed) => format!("{cell} = {typed}"),
        None => format!("CAST({cell} AS VARCHAR) = {}", literal::text(value)),
    })
}

pub(crate) async fn search(State(shared): Web, parameters: Parameters) -> Result<Response> {
    let format = parameters.format()?;
    let columns = shared.web.store.columns();
    let search = Search::parse(&parameters, &columns, shared.web.clock.now_unix_nano())?;
    let streams = parameters.truth("stream")?;
    if streams && format != Format::Ndjson {
        return Err(Error::Invalid("stream=true needs format=ndjson".to_owned()));
    }
    let mut page = Page::of(Arc::clone(&shared), search);
    let first = page.next().await?;
    if streams {
        return Ok(streamed(page, first, parameters.options()?));
    }
    let mut rows: Vec<RecordBatch> = first.into_iter().collect();
    while let Some(more) = page.next().await? {
        rows.push(more);
    }
    let Some(schema) = rows.first().map(RecordBatch::schema) else {
        return Err(Error::Internal("a search without any window".to_owned()));
    };
    let all = concat_batches(&schema, &rows)
        .map_err(|error| Error::Internal(format!("rows of one search differ: {error}")))?;
    let (next, total) = (page.cursor()?, page.total().await?.to_string());
    let mut response = respond(&parameters, of_batch(all)).await?;
    for (name, value) in [(NEXT_CURSOR, next), (TOTAL, Some(total))] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// Rows as they are found, and a last line `{"page":{"cursor":...,"total":...}}`.
fn streamed(page: Page, first: Option<RecordBatch>, options: Options) -> Response {
    let rows = stream::unfold((Some(page), first), |(page, ready)| async move {
        let mut page = page?;
        let rows = match ready {
            Some(rows) => Ok(Some(rows)),
            None => page.next().await,
        };
        match rows {
            Ok(Some(rows)) => Some((Ok(Piece::Rows(rows)), (Some(page), None))),
            Ok(None) => Some((last_line(&page).await.map(Piece::End), (None, None))),
            Err(error) => Some((Err(error), (None, None))),
        }
    });
    let request_id = options.request_id.clone();
    let bytes = rows.flat_map(move |piece| match piece {
        Ok(Piece::Rows(rows)) => encode::stream(of_batch(rows), Format::Ndjson, options.clone()),
        Ok(Piece::End(line)) => stream::once(async move { Ok(line) }).boxed(),
        Err(error) => {
            error.log(&request_id);
            stream::once(async move { Err(error) }).boxed()
        }
    });
    let mut response = Response::new(Body::from_stream(bytes));
    let kind = HeaderValue::from_static(Format::Ndjson.media_type());
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// What a streamed page is made of.
enum Piece {
    Rows(RecordBatch),
    End(Bytes),
}

async fn last_line(page: &Page) -> Result<Bytes> {
    let (cursor, total) = (page.cursor()?, page.total().await?.to_string());
    let line = serde_json::json!({ "page": { "cursor": cursor, "total": total } });
    Ok(format!("{line}\n").into())
}

#[cfg(test)]
mod tests;
