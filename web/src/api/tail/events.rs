//! Spans as server-sent events: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.
use arrow::array::BooleanArray;
use arrow::buffer::BooleanBuffer;
use query::Presenter;
use storage::Arrival;

use super::position::Position;
use crate::encode::Objects;
use crate::{Error, Result};

/// Why spans did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// The reader took too little; counted are spans that it wanted.
    Slow,
    /// They left memory before they were looked at; counted are all spans.
    Flushed,
    /// The server was started anew since; how many is not known.
    Restarted,
}

impl Lost {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Flushed => "flushed",
            Self::Restarted => "restarted",
        }
    }
}

/// The events of some rows of a batch.
#[derive(Debug)]
pub(super) struct Events {
    rows: Vec<usize>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Events {
    /// The rows of `arrival` that are set in `wanted`, in the columns of SQL `spans`.
    pub(super) fn encode(
        presenter: &Presenter,
        arrival: &Arrival,
        wanted: BooleanBuffer,
        run: u64,
    ) -> Result<Self> {
        let rows: Vec<usize> = wanted.set_indices().collect();
        let presented = presenter.rows(&arrival.batch, &BooleanArray::new(wanted, None))?;
        let objects = Objects::new(&presented)
            .map_err(|error| Error::Internal(format!("spans as JSON: {error}")))?;
        let mut events = Self { bytes: Vec::new(), ends: Vec::with_capacity(rows.len()), rows };
        for (index, row) in events.rows.iter().enumerate() {
            let next = arrival.first + *row as u64 + 1;
            let position = Position { run, through: arrival.through.0, next };
            let head = format!("event: span\nid: {position}\ndata: ");
            events.bytes.extend_from_slice(head.as_bytes());
            objects.write(index, &mut events.bytes);
            events.bytes.extend_from_slice(b"\n\n");
            events.ends.push(events.bytes.len());
        }
        Ok(events)
    }

    /// How many, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.rows.len(), self.bytes.len())
    }

    /// The events of `rows`, which must be among its own and ascend.
    pub(super) fn of<'a>(
        &'a self,
        rows: &'a [usize],
    ) -> impl Iterator<Item = (usize, &'a [u8])> + 'a {
        let mut at = 0;
        rows.iter().filter_map(move |row| {
            at += self.rows[at..].iter().position(|own| own == row)?;
            let from = if at == 0 { 0 } else { self.ends[at - 1] };
            Some((*row, &self.bytes[from..self.ends[at]]))
        })
    }
}

/// `lagged`: spans that this reader will not get.
pub(super) fn lagged(spans: Option<u64>, why: Lost, out: &mut Vec<u8>) {
    let spans = spans.map_or_else(|| "null".to_owned(), |spans| spans.to_string());
    let reason = why.as_str();
    let text = format!("event: lagged\ndata: {{\"spans\":{spans},\"reason\":\"{reason}\"}}\n\n");
    out.extend_from_slice(text.as_bytes());
}

/// `skipped`: spans over the limit.
pub(super) fn skipped(spans: u64, out: &mut Vec<u8>) {
    let text = format!("event: skipped\ndata: {{\"spans\":{spans}}}\n\n");
    out.extend_from_slice(text.as_bytes());
}

/// No event, only the place that a returning reader names.
pub(super) fn mark(position: Position, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("id: {position}\n\n").as_bytes());
}
