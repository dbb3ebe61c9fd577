//! `GET /api/v1/tail`: spans as they arrive, as server-sent events. The protocol: docs/tail.md.
//!
//! ```text
//! storage::Tail -> matcher (one thread) -> ring of each distinct filter -> reader, reader, ...
//!                     storage::Tail -> catch_up, or where it left memory SQL -> stored -'  (only a reader that came back)
//! ```
//! Each batch is compared once for each distinct filter, each wanted span is encoded once; readers share the bytes.
//! Nothing is left out silently: what a reader does not get, it is told by number.
mod catch_up;
mod config;
mod events;
pub(crate) mod filter;
mod hub;
mod matcher;
mod position;
mod reader;
mod ring;
mod select;
mod share;
mod stored;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use storage::metrics::Metric;
use storage::{Clock, Store};

use super::Web;
use super::parameters::Parameters;
use crate::{Error, Result};
pub use config::Config;
use filter::Filter;
use hub::{Hub, Seat};
use position::Position;
use reader::Reader;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The live tail of one store; cheap to clone.
#[derive(Debug, Clone)]
pub struct Tail {
    hub: Arc<Hub>,
}

impl Tail {
    /// Nobody listens yet. `clock` tells the starts of a server apart.
    pub fn new(store: Store, config: Config, clock: &dyn Clock) -> Self {
        Self { hub: Arc::new(Hub::new(store, config, clock.now_unix_nano())) }
    }

    /// Ends all streams at once and takes no new ones.
    pub async fn close(&self) {
        self.hub.close().await;
    }

    pub(crate) fn metrics(&self) -> Vec<Metric> {
        self.hub.metrics()
    }
}

/// In the extensions of an answer that is a stream: says when its connection must go, because the peer takes nothing.
/// The body cannot say so itself: it is not asked for bytes while the connection is full.
#[derive(Debug, Clone)]
pub struct Leave(Arc<Seat>);

impl Leave {
    /// True once the connection must go.
    pub fn is_asked(&self) -> bool {
        self.0.is_cut()
    }
}

pub(crate) async fn tail(
    State(shared): Web,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response> {
    let filter = Filter::parse(&parameters)?;
    let from = headers.get(LAST_EVENT_ID).map(place).transpose()?.flatten();
    let seated = shared.web.tail.hub.seat(filter, &headers, &shared.web.engine)?;
    let leave = Leave(Arc::clone(&seated.seat));
    let mut response = Response::new(Reader::new(seated, from).body());
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    // Proxies such as nginx would gather the events otherwise.
    let buffering = HeaderName::from_static("x-accel-buffering");
    response.headers_mut().insert(buffering, HeaderValue::from_static("no"));
    response.extensions_mut().insert(leave);
    Ok(response)
}

fn place(header: &HeaderValue) -> Result<Option<Position>> {
    let text = header.to_str().map_err(|_| Error::Invalid("Last-Event-ID is not text".into()))?;
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

#[cfg(test)]
mod tests;
