//! One page of a search, read window by window: the newest traces first, without reading all that are older.
//!
//! A trace belongs to the window in which its root starts, so windows that touch each other give every trace once, in
//! the order of the whole.
use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use storage::Snapshot;
use storage::time::NANOS_PER_SECOND;

use super::{Cursor, Order, Search};
use crate::api::answer;
use crate::state::Shared;
use crate::{Error, Result};

/// How far back from the newest trace windows end, in seconds; what is older is one window more.
const REACHES: [i64; 5] = [60, 600, 3_600, 21_600, 172_800];

/// From (inclusive) and to (exclusive); open where absent.
pub(super) type Window = [Option<i64>; 2];

/// The windows of a search, in the order in which they are read.
pub(super) fn windows(search: &Search, extent: Option<(i64, i64)>) -> VecDeque<Window> {
    let whole = VecDeque::from([[search.from, search.to]]);
    let (Order::Newest, Some((oldest, newest))) = (search.order, extent) else { return whole };
    // Traces that start together with the last one of the page before may still come.
    let after = search.after.map(|start| start.saturating_add(1));
    let to = match (search.to, after) {
        (Some(to), Some(after)) => Some(to.min(after)),
        (to, after) => to.or(after),
    };
    let top = to.map_or(newest, |to| to.min(newest));
    let bottom = search.from.map_or(oldest, |from| from.max(oldest));
    let mut windows = VecDeque::new();
    let mut until = to;
    for reach in REACHES {
        let from = top.saturating_sub(reach * NANOS_PER_SECOND);
        if from <= bottom {
            break;
        }
        windows.push_back([Some(from), until]);
        until = Some(from);
    }
    windows.push_back([search.from, until]);
    windows
}

/// Where the starts of all spans lie; `None` of no spans.
pub(super) fn extent(snapshot: &Snapshot) -> Option<(i64, i64)> {
    let files = snapshot.files.iter().map(|file| file.start);
    let all = files.chain(snapshot.hot.iter().map(|batch| batch.start()));
    let bounds = all.filter(|part| part.from < part.until).map(|part| (part.from, part.until));
    bounds.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

/// What is known of the number of traces that are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Total {
    /// So many.
    Exactly(u64),
    /// So many or more.
    OrMore(u64),
}

impl std::fmt::Display for Total {
    /// `1234`, or `101+`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(traces) => write!(f, "{traces}"),
            Self::OrMore(traces) => write!(f, "{traces}+"),
        }
    }
}

/// A page that is being read.
pub(super) struct Page {
    shared: Arc<Shared>,
    search: Search,
    windows: VecDeque<Window>,
    found: usize,
    /// There are more traces than the page has, or there may be.
    more: bool,
    /// A row lies behind the page.
    is_seen: bool,
    /// Start or duration, and id, of the last row.
    last: Option<(i64, String)>,
    is_first: bool,
}

impl Page {
    /// Nothing is read yet.
    pub(super) fn of(shared: Arc<Shared>, search: Search) -> Self {
        let windows = windows(&search, extent(&shared.web.store.snapshot()));
        let (last, is_first) = (None, true);
        Self { shared, search, windows, found: 0, more: false, is_seen: false, last, is_first }
    }

    /// The rows of the next window that has some; without any, the first answer is empty.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let limit = self.search.limit;
        let mut empty = None;
        while let Some(window) = self.windows.pop_front() {
            let room = limit - self.found;
            if room == 0 {
                // Whether one of the older ones has something, the next page will tell.
                self.more = true;
                break;
            }
            let statement = self.search.statement(window, room + 1);
            let answer = self.shared.web.engine.sql(&statement, Vec::new()).await?;
            let mut rows = answer::collect(answer).await?;
            if rows.num_rows() > room {
                rows = rows.slice(0, room);
                (self.more, self.is_seen) = (true, true);
                self.windows.clear();
            }
            if rows.num_rows() > 0 {
                self.found += rows.num_rows();
                self.last = Some(last_of(&rows, self.search.order)?);
                self.is_first = false;
                return Ok(Some(rows));
            }
            empty = Some(rows);
        }
        Ok(empty.filter(|_| std::mem::take(&mut self.is_first)))
    }

    /// The cursor of the next page, where there may be one. Known after the last rows.
    pub(super) fn cursor(&self) -> Result<Option<String>> {
        let Some((value, trace_id)) = self.last.as_ref().filter(|_| self.more) else {
            return Ok(None);
        };
        let cursor = Cursor {
            order: self.search.order,
            from: self.search.from,
            to: self.search.to,
            value: *value,
            trace_id: trace_id.clone(),
            seen: self.seen(),
        };
        cursor.print().map(Some)
    }

    /// Traces on this page and those before.
    fn seen(&self) -> u64 {
        self.search.seen + self.found as u64
    }

    /// How many traces there are in all; asks for it where that was wanted, or costs little.
    pub(super) async fn total(&self) -> Result<Total> {
        if !self.more {
            return Ok(Total::Exactly(self.seen()));
        }
        let Some(statement) = self.search.count_statement() else {
            return Ok(Total::OrMore(self.seen() + u64::from(self.is_seen)));
        };
        let answer = self.shared.web.engine.sql(&statement, Vec::new()).await?;
        let count = answer::collect(answer).await?;
        let count = count.columns().first().map(|column| cast(column, &DataType::Int64));
        let count = count.transpose().ok().flatten();
        let count = count.and_then(|count| count.as_primitive::<Int64Type>().iter().next());
        let count = count.flatten().and_then(|count| u64::try_from(count).ok());
        count.map(Total::Exactly).ok_or_else(|| Error::Internal("a count is no number".to_owned()))
    }
}

/// What a cursor needs of the last of `rows`.
fn last_of(rows: &RecordBatch, order: Order) -> Result<(i64, String)> {
    let cell = |name: &str, kind: &DataType| {
        let column = rows.column_by_name(name);
        let column = column.and_then(|column| cast(column, kind).ok());
        column.ok_or_else(|| Error::Internal(format!("traces have no usable column {name}")))
    };
    let last = rows.num_rows() - 1;
    let values = cell(order.column(), &DataType::Int64)?;
    let ids = cell("trace_id", &DataType::Utf8)?;
    if values.is_null(last) || ids.is_null(last) {
        return Err(Error::Internal("a trace has neither id nor time".to_owned()));
    }
    let value = values.as_primitive::<Int64Type>().value(last);
    Ok((value, ids.as_string::<i32>().value(last).to_owned()))
}
