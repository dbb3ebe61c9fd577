//! What stays of spans that leave: what they add up to, for as long as the policy says.
//!
//! ```text
//! kept of some files = figures of all live spans - figures of the live spans without those files
//! ```
//! So a view over what is live and what was kept equals the one before the drop, also of traces that lie partly in files that
//! stay. Only those traces and the open ones are read; all others are in the rollups of the files. What is kept
//! names no trace. The drop's commit carries the receipt, which names the objects: without it they are orphans.
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use chrono::NaiveDate;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::carry_out::is_lasting;
use super::plan::expires_unix_nano;
use super::policy::Policy;
use super::scan::{self, Traces};
use crate::compact::source::Source;
use crate::compact::{HORIZON_NANO, is_needed, split};
use crate::error::{Error, Result};
use crate::file::FilePaths;
use crate::flush;
use crate::flush::mend::{Leaving, Parts, leave};
use crate::id::TraceId;
use crate::rollup::{Content, Joining, Rollup, Slots};
use crate::schema::column;
use crate::snapshot::DataFile;
use crate::table::Table;
use crate::time::TimeRange;

/// Traces that are read at a time.
const SLICE_TRACES: usize = 20_000;

/// What is kept of the files of one date and class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRollup {
    /// UTC date.
    pub date: NaiveDate,
    /// Retention class.
    pub class: String,
    /// The object, relative to the table's folder.
    pub path: String,
    /// Another one, that is to be taken away: what traces still add up to that lie partly in files that stayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minus: Option<String>,
    /// Spans that left.
    pub spans: u64,
    /// Size of the objects.
    pub bytes: u64,
    /// Whatever they tell of lies between here, Unix nanoseconds,
    pub from_unix_nano: i64,
    /// and here.
    pub until_unix_nano: i64,
    /// From then on they tell nothing, and are deleted.
    pub expires_unix_nano: i64,
}

impl KeptRollup {
    /// Whatever it tells of.
    pub fn range(&self) -> TimeRange {
        TimeRange { from: self.from_unix_nano, until: self.until_unix_nano }
    }

    /// Its objects.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        [Some(self.path.as_str()), self.minus.as_deref()].into_iter().flatten()
    }
}

impl Table {
    /// Writes what stays of `inputs`, which are about to leave, but for copies of `survivors`.
    ///
    /// # Errors
    /// Something cannot be read for now, or written.
    pub(super) async fn keep_rollups(
        &self,
        inputs: &[Arc<DataFile>],
        survivors: &Traces,
        policy: &Policy,
    ) -> Result<Vec<KeptRollup>> {
        let now = self.clock().now_unix_nano();
        let mut parts: BTreeMap<(NaiveDate, &str), Vec<Arc<DataFile>>> = BTreeMap::new();
        for file in inputs {
            parts.entry((file.date, file.class())).or_default().push(Arc::clone(file));
        }
        let (mut kept, mut gone) = (Vec::new(), HashSet::new());
        for ((date, class), files) in parts {
            gone.extend(files.iter().map(|file| file.path.clone()));
            let expires = policy.rollups_of(class).map(|ttl| expires_unix_nano(date, ttl));
            let Some(expires) = expires.filter(|expires| *expires > now) else { continue };
            match (Part { table: self, gone: &gone, survivors }).figures(files).await {
                Ok(Some(figures)) => {
                    kept.push(self.write_kept((date, class), figures, expires).await?)
                }
                Ok(None) => {
                    tracing::warn!(%date, class, "a file has no rollup: nothing of its date is kept");
                }
                Err(error) if is_lasting(&error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(%date, class, error, "file not readable: nothing of its date is kept");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(kept)
    }

    async fn write_kept(
        &self,
        (date, class): (NaiveDate, &str),
        figures: Figures,
        expires_unix_nano: i64,
    ) -> Result<KeptRollup> {
        let range = figures.range();
        let spans = figures.plus.spans;
        let (path, mut bytes) = self.put_kept(date, &figures.plus).await?;
        let mut minus = None;
        if !figures.minus.slots.slots.is_empty() {
            let (path, more) = self.put_kept(date, &figures.minus).await?;
            minus = Some(path);
            bytes += more;
        }
        Ok(KeptRollup {
            date,
            class: class.to_owned(),
            path,
            minus,
            spans,
            bytes,
            from_unix_nano: range.from,
            until_unix_nano: range.until,
            expires_unix_nano,
        })
    }

    async fn put_kept(&self, date: NaiveDate, content: &Content) -> Result<(String, u64)> {
        let path = FilePaths::unique(date).rollup;
        let bytes = content.to_bytes()?;
        let length = bytes.len() as u64;
        let written = self.place().table.put(&Path::from(path.as_str()), bytes.into()).await;
        written.map_err(|source| Error::ObjectStore {
            step: "write rollup",
            path: path.clone(),
            source,
        })?;
        Ok((path, length))
    }
}

/// What some files leave behind.
struct Figures {
    plus: Content,
    minus: Content,
}

impl Figures {
    /// From the first slot to the end of the last.
    fn range(&self) -> TimeRange {
        let of = |slots: &Slots| {
            let (first, last) = (slots.slots.first_key_value()?, slots.slots.last_key_value()?);
            let from = first.0.saturating_mul(slots.slot_nano);
            Some(TimeRange {
                from,
                until: last.0.saturating_add(1).saturating_mul(slots.slot_nano).max(from),
            })
        };
        let both = [of(&self.plus.slots), of(&self.minus.slots)];
        let union = both.into_iter().flatten().reduce(|a, b| a.union(&b));
        union.unwrap_or(TimeRange { from: 0, until: 0 })
    }
}

/// Files of one date and class on their way out.
struct Part<'a> {
    table: &'a Table,
    /// Paths of all files that leave up to this part.
    gone: &'a HashSet<String>,
    survivors: &'a Traces,
}

impl Part<'_> {
    /// `None` where a file has no rollup.
    async fn figures(&self, leaving: Vec<Arc<DataFile>>) -> Result<Option<Figures>> {
        let rollups = self.table.rollups();
        let mut loaded = Vec::with_capacity(leaving.len());
        for file in &leaving {
            let both = rollups.whole(file).await.zip(rollups.slots(file).await);
            let Some(both) = both else { return Ok(None) };
            loaded.push(both);
        }
        let (near, traces) = self.around(&leaving, loaded.iter().map(|(whole, _)| whole)).await;
        let slot_nano = loaded.iter().map(|(_, slots)| slots.slot_nano()).max().unwrap_or(1);
        let mut joining = Joining::new(slot_nano);
        for (file, (whole, slots)) in leaving.iter().zip(&loaded) {
            joining.add(file.rows, (whole, slots, None), &|_| true);
        }
        let count = leaving.len();
        let files: Vec<Arc<DataFile>> = leaving.into_iter().chain(near).collect();
        let whole: Arc<[Arc<Rollup>]> = loaded.into_iter().map(|(whole, _)| whole).collect();
        let mut after = Slots { slot_nano, ..Slots::default() };
        let slices = traces.len().div_ceil(SLICE_TRACES) as u64;
        for number in 0..slices {
            let is_own = |id: &&[u8; 16]| (split::hash(&TraceId(**id)) >> 32) % slices == number;
            let own: Traces = traces.iter().filter(is_own).copied().collect();
            let parts = self.parts(&files, &own).await?;
            let left = self.leave(parts, own, (&whole, count), slot_nano).await?;
            joining.mend(left.plus, &left.before);
            after.add(&left.after);
        }
        let Some(mut plus) = joining.finish() else { return Ok(None) };
        // What is kept tells of no single trace.
        (plus.open, plus.linked, plus.traces) = (Vec::new(), Vec::new(), Vec::new());
        let minus = Content { spans: plus.spans, slots: after, ..Content::default() };
        Ok(Some(Figures { plus, minus }))
    }

    /// Files that stay and tell of something in common with those that leave, and the traces that the rollups of the
    /// leaving files do not tell whole, or that change what the staying ones tell.
    async fn around(
        &self,
        leaving: &[Arc<DataFile>],
        rollups: impl Iterator<Item = &Arc<Rollup>>,
    ) -> (Vec<Arc<DataFile>>, Traces) {
        let (mut near, mut traces) = (Vec::new(), Traces::default());
        for rollup in rollups {
            traces.extend(rollup.open().iter().chain(rollup.linked()).map(|trace| trace.0));
        }
        let torn = traces.clone();
        let leaves = |trace: &TraceId| leaving.iter().any(|file| file.may_hold_trace(trace));
        let within = horizon(leaving);
        let state = self.table.state();
        for file in state.files.iter().filter(|file| !self.gone.contains(&file.path)) {
            let is_near = within.is_some_and(|within| file.start.overlaps(&within));
            let rollup = self.table.rollups().whole(file).await;
            let open = rollup.iter().flat_map(|whole| whole.open().iter().chain(whole.linked()));
            // A near one may link to a trace that leaves, though no span of its own does; of a far one only spans count.
            let open: Vec<_> = open.filter(|trace| is_near || leaves(trace)).collect();
            if is_near || !open.is_empty() || scan::may_hold(file, &torn) {
                traces.extend(open.iter().map(|trace| trace.0));
                near.push(Arc::clone(file));
            }
        }
        traces.extend(self.survivors.iter().filter(|id| leaves(&TraceId(**id))));
        (near, traces)
    }

    async fn leave(
        &self,
        parts: Parts,
        own: Traces,
        (rollups, leaving): (&Arc<[Arc<Rollup>]>, usize),
        slot_nano: i64,
    ) -> Result<flush::mend::Left> {
        let attributes = Arc::clone(&self.table.state().columns);
        let survivors: Traces = own.intersection(self.survivors).copied().collect();
        let rollups = Arc::clone(rollups);
        let work = move || {
            let how = Leaving {
                slot_nano,
                counts: &|trace| own.contains(&trace.0),
                was_open: &|file, trace| rollups[usize::from(file)].is_open(trace),
                files: u16::try_from(leaving).unwrap_or(u16::MAX),
                stays: &|trace| survivors.contains(&trace.0),
            };
            leave(&parts, &attributes, &how)
        };
        let left = tokio::task::spawn_blocking(work).await;
        left.map_err(|error| Error::Table { step: "add up what leaves", source: error.into() })?
    }

    /// The spans of `own` in `files`, and those of traces that they link to.
    async fn parts(&self, files: &[Arc<DataFile>], own: &Traces) -> Result<Parts> {
        let mut linked = Traces::default();
        let mut found: Vec<(u16, Vec<Arc<crate::SpanBatch>>)> = Vec::new();
        for (number, file) in (0u16..).zip(files) {
            let batches = self.spans(file, own).await?;
            batches.iter().for_each(|batch| add_linked(batch, &mut linked));
            found.push((number, batches));
        }
        linked.retain(|trace| !own.contains(trace));
        for (number, file) in (0u16..).zip(files).filter(|_| !linked.is_empty()) {
            found.push((number, self.spans(file, &linked).await?));
        }
        let mut parts = Parts { batches: Vec::new(), files: Vec::new() };
        for (number, batches) in found {
            let rows: usize = batches.iter().map(|batch| batch.rows()).sum();
            parts.files.resize(parts.files.len() + rows, number);
            parts.batches.extend(batches);
        }
        Ok(parts)
    }

    /// The spans of `wanted` in a file, in the columns that count.
    async fn spans(
        &self,
        file: &Arc<DataFile>,
        wanted: &Traces,
    ) -> Result<Vec<Arc<crate::SpanBatch>>> {
        if !scan::may_hold(file, wanted) {
            return Ok(Vec::new());
        }
        let attributes = Arc::clone(&self.table.state().columns);
        let hashes: split::Hashes = wanted.iter().map(|id| split::hash(&TraceId(*id))).collect();
        let sources = [Source::open(self.table.object_store(), file).await?];
        let rows = split::Rows::of(&sources, &attributes).await?;
        let [source] = sources;
        let mut found = Vec::new();
        for group in 0..source.groups() {
            let ranges = rows.of_group((0, group), &hashes);
            if ranges.is_empty() {
                continue;
            }
            let selection = split::selection(ranges, source.rows(group));
            let counts = |name: &str| is_needed(name, file, &attributes);
            found.extend(source.spans(group, &counts, Some(selection), &attributes).await?);
        }
        Ok(found)
    }
}

/// An hour around the spans of `files`: within it links are followed.
fn horizon(files: &[Arc<DataFile>]) -> Option<TimeRange> {
    let range = files.iter().map(|file| file.start).reduce(|a, b| a.union(&b))?;
    Some(TimeRange {
        from: range.from.saturating_sub(HORIZON_NANO),
        until: range.until.saturating_add(HORIZON_NANO),
    })
}

/// Adds the traces that spans link to.
fn add_linked(batch: &crate::SpanBatch, linked: &mut Traces) {
    let links = batch.records().column_by_name(column::LINKS);
    let Some(lists) = links.and_then(|links| links.as_list_opt::<i32>()) else { return };
    let traces = lists.values().as_struct_opt().and_then(|link| link.column_by_name("trace_id"));
    let Some(traces) = traces.and_then(|traces| traces.as_fixed_size_binary_opt()) else { return };
    let ids = (0..traces.len()).filter(|row| traces.is_valid(*row)).map(|row| traces.value(row));
    linked.extend(ids.filter_map(|id| <[u8; 16]>::try_from(id).ok()));
}
