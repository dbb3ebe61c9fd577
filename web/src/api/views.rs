//! `GET /api/v1/latency`, `dependencies`, `network`, ...: a range and equality filters -> a view's rows.
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use query::{Answer, View, ViewRequest};

use super::answer::{NOTES, collect, notes, respond};
use super::parameters::Parameters;
use super::{Web, literal};
use crate::Result;
use crate::encode::timestamp;
use crate::export::{Drawing, draw, edges};
use crate::state::Shared;

/// Columns that a view can be filtered by with `column=value`.
pub(crate) const fn filters(view: View) -> &'static [&'static str] {
    match view {
        View::Traces | View::Latency | View::LatencyHistogram | View::NetworkCaused => {
            &["root_service", "root_name"]
        }
        View::Operations | View::NetworkOperations => &["service", "name", "kind"],
        View::Dependencies => &["caller", "callee", "kind"],
        View::Network => &["service"],
    }
}

/// Rows of one answer at most.
const ROWS_MAX: usize = 100_000;

pub(crate) async fn latency(State(shared): Web, parameters: Parameters) -> Result<Response> {
    rows(&shared, View::Latency, &parameters).await
}

pub(crate) async fn histogram(State(shared): Web, parameters: Parameters) -> Result<Response> {
    rows(&shared, View::LatencyHistogram, &parameters).await
}

pub(crate) async fn operations(State(shared): Web, parameters: Parameters) -> Result<Response> {
    rows(&shared, View::Operations, &parameters).await
}

/// Rows, or a drawing where `format` names one that is no format of rows.
pub(crate) async fn dependencies(State(shared): Web, parameters: Parameters) -> Result<Response> {
    let drawing = parameters.one("format")?.and_then(|name| name.parse::<Drawing>().ok());
    let is_rows = parameters.format().is_ok();
    let Some(drawing) = drawing.filter(|_| !is_rows) else {
        return rows(&shared, View::Dependencies, &parameters).await;
    };
    let answer = ask(&shared, View::Dependencies, &parameters).await?;
    let notes = notes(&answer.notes);
    let batch = collect(answer).await?;
    let mut response = Response::new(Body::from(draw(drawing, &edges(&[batch]))));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(drawing.media_type()));
    if let Some(notes) = notes {
        headers.insert(NOTES, notes);
    }
    Ok(response)
}

pub(crate) async fn network(State(shared): Web, parameters: Parameters) -> Result<Response> {
    rows(&shared, View::Network, &parameters).await
}

pub(crate) async fn network_operations(
    State(shared): Web,
    parameters: Parameters,
) -> Result<Response> {
    rows(&shared, View::NetworkOperations, &parameters).await
}

pub(crate) async fn caused(State(shared): Web, parameters: Parameters) -> Result<Response> {
    rows(&shared, View::NetworkCaused, &parameters).await
}

async fn rows(shared: &Shared, view: View, parameters: &Parameters) -> Result<Response> {
    parameters.format()?;
    let answer = ask(shared, view, parameters).await?;
    respond(parameters, answer).await
}

/// Asks the view for the range and filters in `parameters`.
async fn ask(shared: &Shared, view: View, parameters: &Parameters) -> Result<Answer> {
    let now = shared.web.clock.now_unix_nano();
    let mut conditions = Vec::new();
    for column in filters(view) {
        if let Some(value) = parameters.one(column)? {
            conditions.push(format!("{} = {}", literal::column(column), literal::text(value)));
        }
    }
    let request = ViewRequest {
        view,
        from: parameters.time("from", now)?.map(timestamp),
        to: parameters.time("to", now)?.map(timestamp),
        exact: parameters.truth("exact")?,
        filter: (!conditions.is_empty()).then(|| conditions.join(" AND ")),
        order: None,
        limit: Some(parameters.count("limit", ROWS_MAX, ROWS_MAX)?),
    };
    Ok(shared.web.engine.view(request).await?)
}
