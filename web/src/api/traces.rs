//! `GET /api/v1/traces`: search, page by page.
//!
//! `service`, `name`, `status` and `attribute` must hold for one and the same span of the trace; `root_service`,
//! `root_name` and the durations are about the trace. A cursor remembers the last row of its page and the range,
//! so that pages neither overlap nor leave gaps while spans arrive.
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use storage::TraceId;
use storage::schema::{AttributeColumns, AttributeScope, AttributeType};

use super::answer::{self, of_batch, respond};
use super::parameters::{Parameters, key_and_value};
use super::{Web, literal, views};
use crate::encode::timestamp;
use crate::routes::Parameter;
use crate::{Error, Result};

/// Header with the cursor of the next page.
const NEXT_CURSOR: HeaderName = HeaderName::from_static("spanlake-cursor");
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
    Parameter {
        name: "attribute",
        help: "k=v: that span has this attribute with this value; may be given several times",
    },
    Parameter { name: "min_duration", help: "of the trace: 5ms, 1.5s, or nanoseconds" },
    Parameter { name: "max_duration", help: "likewise, inclusive" },
    Parameter { name: "order", help: "newest (default) or slowest" },
    Parameter { name: "limit", help: "traces a page: 1 to 1000, 100 by default" },
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
        let mut conditions = on_trace(parameters)?;
        conditions.extend(on_span(parameters, columns, [from, to])?);
        conditions.extend(cursor.as_ref().map(Cursor::condition));
        Ok(Self { from, to, order, limit, conditions })
    }

    /// One row more than the page, to know whether there is a next.
    fn statement(&self) -> String {
        let bound = |bound: Option<i64>| {
            bound.map_or_else(|| "NULL".to_owned(), |at| literal::text(&timestamp(at)))
        };
        let filter = match self.conditions.as_slice() {
            [] => String::new(),
            some => format!(" WHERE {}", some.join(" AND ")),
        };
        let arguments = match (self.from, self.to) {
            (None, None) => String::new(),
            (from, None) => bound(from),
            (from, to) => format!("{}, {}", bound(from), bound(to)),
        };
        format!(
            "SELECT * FROM traces({arguments}){filter} ORDER BY {} DESC, trace_id LIMIT {}",
            self.order.column(),
            self.limit + 1,
        )
    }
}

/// Conditions on the row of the trace.
fn on_trace(parameters: &Parameters) -> Result<Vec<String>> {
    let mut conditions = Vec::new();
    for column in views::filters(query::View::Traces) {
        if let Some(value) = parameters.one(column)? {
            conditions.push(format!("{column} = {}", literal::text(value)));
        }
    }
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
    for column in ["service", "name"] {
        if let Some(value) = parameters.one(column)? {
            conditions.push(format!("{column} = {}", literal::text(value)));
        }
    }
    for pair in parameters.all("attribute") {
        conditions.push(attribute(pair, columns)?);
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
fn attribute(pair: &str, columns: &AttributeColumns) -> Result<String> {
    let (key, value) = key_and_value(pair)?;
    let cell = format!("attributes[{}]", literal::text(key));
    let kind = columns.find(AttributeScope::Span, key).map(|(_, column)| column.kind);
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
    parameters.format()?;
    let columns = shared.web.store.columns();
    let search = Search::parse(&parameters, &columns, shared.web.clock.now_unix_nano())?;
    let answer = shared.web.engine.sql(&search.statement(), Vec::new()).await?;
    let notes = answer.notes.clone();
    let mut page = answer::collect(answer).await?;
    let next = if page.num_rows() > search.limit {
        page = page.slice(0, search.limit);
        Some(cursor_after(&search, &page)?.print()?)
    } else {
        None
    };
    let mut answer = of_batch(page);
    answer.notes = notes;
    let mut response = respond(&parameters, answer).await?;
    if let Some(next) = next.and_then(|next| HeaderValue::from_str(&next).ok()) {
        response.headers_mut().insert(NEXT_CURSOR, next);
    }
    Ok(response)
}

/// The cursor that stands on the last row of `page`.
fn cursor_after(search: &Search, page: &RecordBatch) -> Result<Cursor> {
    let cell = |name: &str, kind: &DataType| {
        let column = page.column_by_name(name);
        let column = column.and_then(|column| cast(column, kind).ok());
        column.ok_or_else(|| Error::Internal(format!("traces have no usable column {name}")))
    };
    let last = page.num_rows() - 1;
    let values = cell(search.order.column(), &DataType::Int64)?;
    let ids = cell("trace_id", &DataType::Utf8)?;
    if values.is_null(last) || ids.is_null(last) {
        return Err(Error::Internal("a trace has neither id nor time".to_owned()));
    }
    Ok(Cursor {
        order: search.order,
        from: search.from,
        to: search.to,
        value: values.as_primitive::<Int64Type>().value(last),
        trace_id: ids.as_string::<i32>().value(last).to_owned(),
    })
}

#[cfg(test)]
mod tests;
