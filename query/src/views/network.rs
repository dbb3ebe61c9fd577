//! `network` and `network_caused`: bytes by the service that moved them, and by the operation that made it do so;
//! `network_operations`: by the operation that moved them.
//!
//! Bytes are body sizes that spans carry as attributes. Sizes are optional, so `coverage` says how many of the spans
//! (or calls) that move bytes carried one.
pub(crate) mod operations;
pub(crate) mod services;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use futures::StreamExt;
use hashbrown::HashMap;
use storage::TimeRange;
use storage::schema::column;

use super::attribute::{Attributes, Sizes, Wanted};
use super::edge::Moved;
use super::forest::{Forest, Kind, Texts};
use super::load::{Extent, Source};
use super::read::{Last, texts};
use super::rows::{Columns, Estimate, Weight, share};
use super::sweep::{Harvest, Sweep};
use super::traces::{self, Incomplete};
use super::{Ask, Notes, by_names, share_note};

/// What bytes are read of.
const WANTED: Wanted = Wanted { sizes: true, peers: false };

/// Bytes of one service or operation. The four components are never mixed: a call between two services is in two of them.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) server_in: i64,
    pub(crate) server_out: i64,
    pub(crate) client_out: i64,
    pub(crate) client_in: i64,
    pub(crate) spans: i64,
    /// SERVER, CLIENT, PRODUCER and CONSUMER spans.
    pub(crate) eligible: i64,
    pub(crate) sized: i64,
}

impl Traffic {
    fn add(&mut self, kind: Kind, sizes: Sizes) {
        self.spans += 1;
        if !kind.calls() && !kind.is_called() {
            return;
        }
        let (request, response) = match kind {
            Kind::Producer | Kind::Consumer => (sizes.message, None),
            _ => (sizes.request, sizes.response),
        };
        self.eligible += 1;
        self.sized += i64::from(request.is_some() || response.is_some());
        let (asked, answered) = if kind.is_called() {
            (&mut self.server_in, &mut self.server_out)
        } else {
            (&mut self.client_out, &mut self.client_in)
        };
        *asked = asked.saturating_add(request.unwrap_or(0));
        *answered = answered.saturating_add(response.unwrap_or(0));
    }

    /// In and out.
    fn bytes(&self) -> i64 {
        self.bytes_in().saturating_add(self.bytes_out())
    }

    fn bytes_in(&self) -> i64 {
        self.server_in.saturating_add(self.client_in)
    }

    fn bytes_out(&self) -> i64 {
        self.server_out.saturating_add(self.client_out)
    }
}

pub(crate) type Row = (u32, Traffic);

/// Reads the spans of `range` and hands on batch after batch, with these `columns` and with what the spans carried.
async fn each_batch(
    source: &Source,
    range: TimeRange,
    columns: &[&str],
    mut each: impl FnMut(&RecordBatch, &Attributes) -> Result<()> + Send,
) -> Result<()> {
    let known = &source.tables.snapshot.columns;
    let own = WANTED.columns(&source.tables.snapshot);
    let mut read = columns.to_vec();
    read.extend(own.iter().map(String::as_str));
    let mut batches = source.scan(range, &read, None)?;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        each(&batch, &Attributes::of(&batch, WANTED, known)?)?;
    }
    Ok(())
}

/// The answer of `network`, heaviest service first.
pub(crate) async fn answer(
    source: &Source,
    range: TimeRange,
    notes: &mut Notes,
) -> Result<Vec<RecordBatch>> {
    let mut words = Texts::default();
    let mut services: HashMap<u32, Traffic> = HashMap::new();
    let add = |batch: &RecordBatch, attributes: &Attributes| {
        let service = texts(batch, column::SERVICE)?;
        let kind = texts(batch, column::KIND)?;
        let (mut last_service, mut last_kind) = (Last::default(), Last::default());
        for row in 0..batch.num_rows() {
            let kind = last_kind.of(&kind, row, Kind::of);
            let moves = kind.calls() || kind.is_called();
            let sizes = if moves { attributes.sizes(row) } else { Sizes::default() };
            let service = last_service.of(&service, row, |text| words.id(text));
            services.entry(service).or_default().add(kind, sizes);
        }
        Ok(())
    };
    each_batch(source, range, &[column::SERVICE, column::KIND], add).await?;
    sorted(&words, services.into_iter().collect(), notes)
}

/// The answer of `network` in its order, with its notes.
pub(crate) fn sorted(
    words: &Texts,
    mut rows: Vec<Row>,
    notes: &mut Notes,
) -> Result<Vec<RecordBatch>> {
    rows.sort_unstable_by_key(|(service, traffic)| {
        (std::cmp::Reverse(traffic.bytes()), words.text(*service).to_owned())
    });
    let eligible = rows.iter().map(|(_, traffic)| traffic.eligible).sum();
    let sized = rows.iter().map(|(_, traffic)| traffic.sized).sum();
    notes.push(("coverage", share_note(share(sized, eligible))));
    Ok(vec![batch(words, &rows)?])
}

/// The columns of `network`. `coverage` is NULL for a service that neither calls nor is called.
pub(crate) fn batch(words: &Texts, rows: &[Row]) -> Result<RecordBatch> {
    Columns::of(rows)
        .text("service", |(service, _)| words.text(*service))
        .big("server_in", |(_, traffic)| traffic.server_in)
        .big("server_out", |(_, traffic)| traffic.server_out)
        .big("client_out", |(_, traffic)| traffic.client_out)
        .big("client_in", |(_, traffic)| traffic.client_in)
        .big("bytes_in", |(_, traffic)| traffic.bytes_in())
        .big("bytes_out", |(_, traffic)| traffic.bytes_out())
        .big("spans", |(_, traffic)| traffic.spans)
        .float_or_null("coverage", |(_, traffic)| share(traffic.sized, traffic.eligible))
        .big("eligible_spans", |(_, traffic)| traffic.eligible)
        .big("sized_spans", |(_, traffic)| traffic.sized)
        .finish()
}

/// What `network_caused` reads.
pub(crate) const CAUSED_EXTENT: Extent =
    Extent { wanted: Wanted { sizes: true, peers: true }, links: false };

/// The traces of one root operation.
#[derive(Debug, Default)]
struct Caused {
    traces: i64,
    moved: Moved,
    weight: Weight,
}

/// One row of `network_caused`.
#[derive(Debug)]
pub(crate) struct CausedRow {
    pub(crate) key: (u32, u32),
    pub(crate) traces: i64,
    pub(crate) moved: Moved,
    pub(crate) weight: Estimate,
}

/// All root operations.
struct Causes {
    ask: Ask,
    groups: HashMap<(u32, u32), Caused>,
    incomplete: Incomplete,
}

impl Causes {
    fn none(ask: Ask) -> Self {
        Self { ask, groups: HashMap::new(), incomplete: Incomplete::default() }
    }

    fn merge(&mut self, other: Self) {
        self.incomplete.merge(other.incomplete);
        for (key, more) in other.groups {
            let caused = self.groups.entry(key).or_default();
            caused.traces += more.traces;
            caused.moved.merge(&more.moved);
            caused.weight.merge(&more.weight);
        }
    }
}

impl Harvest for Causes {
    fn add(&mut self, forest: &Forest, _alone: bool) {
        for row in traces::rows(forest, self.ask.range) {
            self.incomplete.add(&row);
            let caused = self.groups.entry((row.service, row.name)).or_default();
            caused.traces += 1;
            caused.weight.add(row.key, row.weight);
            caused.moved.merge(&row.moved);
        }
    }

    fn bytes(&self) -> usize {
        self.groups.capacity() * (size_of::<((u32, u32), Caused)>() + 1)
    }
}

/// The answer of `network_caused`, heaviest operation first: all edge bytes of the traces that it started.
pub(crate) async fn caused(
    sweep: &mut Sweep,
    ask: Ask,
    notes: &mut Notes,
) -> Result<Vec<RecordBatch>> {
    let mut all = Causes::none(ask);
    while let Some(slice) = sweep.next(|| Causes::none(ask)).await? {
        all.merge(slice);
        sweep.keep(all.bytes())?;
    }
    all.incomplete.note(notes);
    let rows = all.groups.into_iter().map(|(key, caused)| CausedRow {
        key,
        traces: caused.traces,
        moved: caused.moved,
        weight: caused.weight.into(),
    });
    caused_sorted(&sweep.forest.texts, rows.collect(), notes)
}

/// The answer of `network_caused` in its order, with its note.
pub(crate) fn caused_sorted(
    texts: &Texts,
    mut groups: Vec<CausedRow>,
    notes: &mut Notes,
) -> Result<Vec<RecordBatch>> {
    let mut total = Moved::default();
    groups.iter().for_each(|row| total.merge(&row.moved));
    notes.push(("coverage", share_note(share(total.sized, total.calls))));
    groups.sort_unstable_by(|a, b| {
        b.moved.bytes().cmp(&a.moved.bytes()).then_with(|| by_names(texts, a.key, b.key))
    });
    Ok(vec![caused_batch(texts, &groups)?])
}

/// The columns of `network_caused`.
pub(crate) fn caused_batch(texts: &Texts, groups: &[CausedRow]) -> Result<RecordBatch> {
    Columns::of(groups)
        .text("root_service", |row| texts.text(row.key.0))
        .text("root_name", |row| texts.text(row.key.1))
        .big("traces", |row| row.traces)
        .big("bytes", |row| row.moved.bytes())
        .big("request_bytes", |row| row.moved.request)
        .big("response_bytes", |row| row.moved.response)
        .big("calls", |row| row.moved.calls)
        .float_or_null("coverage", |row| share(row.moved.sized, row.moved.calls))
        .float("weighted_traces", |row| row.weight.total)
        .float("weighted_traces_error", |row| row.weight.error)
        .finish()
}
