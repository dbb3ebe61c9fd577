//! Answers views from the rollups of files, and from spans what rollups do not tell.
//!
//! ```text
//! files in the range ------> their rollups, whole                                -.
//! files that it cuts ------> the slots of theirs that lie within it              -> Sum -> totals -> rows
//! open and linked traces,                                                         |
//! traces in cut slots,  ---> whole, from spans, less what rollups say of them    -'
//! traces in hot batches
//! ```
//! `storage::rollup` says what rollups count. Two things may differ from an answer from spans: a trace that lasts longer
//! than an hour is seen whole here, and a link to an id that two spans share (Zipkin) may mean the other one. What is computed from spans for a set of files is kept until the files or
//! the range change, so that a question asked again costs little more than writing its rows.
mod cache;
mod gather;
pub(crate) mod history;
pub(crate) mod recent;
mod rest;

use std::sync::Arc;
use std::time::Instant;

use datafusion::common::Result;
use futures::StreamExt;
use hashbrown::{HashMap, HashSet};
use storage::patch::Renames;
use storage::rollup::{
    Figures, Operation, OperationKey, Rollup, RollupSlots, RootKey, Sum, Traces,
};
use storage::schema::column;
use storage::{DataFile, TimeRange, TraceId};

use super::load::{self, Source};
use super::read::{ids, named, trace_bytes};
use super::totals::Gaps;
pub(crate) use cache::Cache;
use cache::Known;
use recent::Asked;
use rest::Job;

/// What views make their rows of.
#[derive(Debug, Clone)]
pub(crate) struct Totals {
    /// Figures of everything in the range.
    pub(crate) sum: Arc<Sum>,
    /// What is missing in traces.
    pub(crate) gaps: Arc<Gaps>,
    /// Where they come from, in words.
    pub(crate) source: String,
}

impl Totals {
    /// The same by the names that operations are shown by; those with one name are added up. An error says why rollups do
    /// not tell it: a trace counts once in the standard error of an operation, also where two of its operations become one.
    pub(crate) fn renamed(self, renames: &Renames) -> std::result::Result<Self, &'static str> {
        if renames.is_empty() {
            return Ok(self);
        }
        let Sum { names, figures } = Arc::unwrap_or_clone(self.sum);
        let mut shown = names.clone();
        let mut own = |service: u32, name: u32| {
            shown.key(renames.name(names.text(service), names.text(name)))
        };
        let (mut operations, mut roots) = (Figures::default().operations, Figures::default().roots);
        for (key, row) in &figures.operations {
            let key = OperationKey { name: own(key.service, key.name), ..*key };
            let all = operations.entry(key).or_insert_with(Operation::default);
            if all.weight.standard_error() > 0.0 && row.weight.standard_error() > 0.0 {
                return Err("sampled operations have one name now");
            }
            all.merge(row);
        }
        for (key, row) in &figures.roots {
            let key = RootKey { name: own(key.service, key.name), ..*key };
            roots.entry(key).or_insert_with(Traces::default).merge(row);
        }
        let mut gaps = Arc::unwrap_or_clone(self.gaps);
        for ((service, name), traces) in std::mem::take(&mut gaps.incomplete) {
            let name = renames.name(&service, &name).into();
            *gaps.incomplete.entry((service, name)).or_default() += traces;
        }
        let sum = Sum { names: shown, figures: Figures { operations, roots, ..figures } };
        Ok(Self { sum: Arc::new(sum), gaps: Arc::new(gaps), source: self.source })
    }
}

/// One file of the snapshot, and what a question takes from its rollup.
pub(crate) struct Part {
    file: Arc<DataFile>,
    /// `None` where the file lies outside of the range: then nothing is taken.
    rollup: Option<Arc<Rollup>>,
    slots: Option<Arc<RollupSlots>>,
    /// Starts of the spans that the rollup tells of; [`TimeRange::ALL`] of a whole file.
    covered: TimeRange,
}

/// No time at all.
const NEVER: TimeRange = TimeRange { from: 0, until: 0 };

impl Part {
    /// Says what of a file lies in `range`, and loads it. `None` where that file has no usable rollup.
    async fn of(source: &Source, file: &Arc<DataFile>, range: TimeRange) -> Option<Self> {
        let file = Arc::clone(file);
        if !file.start.overlaps(&range) {
            return Some(Self { file, rollup: None, slots: None, covered: NEVER });
        }
        let rollups = &source.tables.snapshot.rollups;
        let rollup = Some(rollups.whole(&file).await?);
        if range.from <= file.start.from && file.start.until <= range.until {
            return Some(Self { file, rollup, slots: None, covered: TimeRange::ALL });
        }
        let slots = rollups.slots(&file).await?;
        let covered = slots.covered(range);
        Some(Self { file, rollup, slots: Some(slots), covered })
    }

    /// Adds what the rollup tells of `range`.
    fn add_to(&self, sum: &mut Sum, range: TimeRange) {
        match (&self.slots, &self.rollup) {
            (Some(slots), _) => slots.add_to(sum, range),
            (None, Some(rollup)) => rollup.add_to(sum),
            (None, None) => {}
        }
    }

    /// What of `range` the file has spans in that the rollup does not tell of.
    fn uncovered(&self, range: TimeRange) -> [TimeRange; 2] {
        let from = range.from.max(self.file.start.from);
        let until = range.until.min(self.file.start.until);
        if self.rollup.is_none() || self.covered == TimeRange::ALL {
            return [NEVER, NEVER];
        }
        let before = TimeRange { from, until: self.covered.from.clamp(from, until.max(from)) };
        let from = self.covered.until.clamp(before.until, until.max(before.until));
        [before, TimeRange { from, until }]
    }
}

/// The figures of `range`, or why rollups cannot tell them; while many spans arrive, those of a moment ago ([`recent`]).
///
/// # Errors
/// Something cannot be read.
pub(crate) async fn totals(
    source: &Source,
    cache: &Cache,
    range: TimeRange,
) -> Result<std::result::Result<Totals, &'static str>> {
    let asked = Asked::of(range, &source.tables);
    match cache.recent.find(asked, &source.tables) {
        Ok(totals) => return Ok(Ok(totals)),
        Err(false) => return make(source, cache, range).await,
        // Of several who ask at once, one adds up.
        Err(true) => {}
    }
    let _turn = cache.recent.turn.lock().await;
    if let Ok(totals) = cache.recent.find(asked, &source.tables) {
        return Ok(Ok(totals));
    }
    make(source, cache, range).await
}

/// Makes the answers anew that were given though they were not of now.
///
/// # Errors
/// Something cannot be read.
pub(crate) async fn renew(source: &Source, cache: &Cache) -> Result<()> {
    for range in cache.recent.given(source.tables.now_unix_nano) {
        let _turn = cache.recent.turn.lock().await;
        make(source, cache, range).await?.ok();
    }
    Ok(())
}

/// Makes an answer, and keeps it.
async fn make(
    source: &Source,
    cache: &Cache,
    range: TimeRange,
) -> Result<std::result::Result<Totals, &'static str>> {
    let begun = Instant::now();
    let totals = totals_of_now(source, cache, range).await?;
    if let Ok(totals) = &totals {
        let asked = Asked::of(range, &source.tables);
        cache.recent.put(asked, &source.tables, totals, begun.elapsed());
    }
    Ok(totals)
}

async fn totals_of_now(
    source: &Source,
    cache: &Cache,
    asked: TimeRange,
) -> Result<std::result::Result<Totals, &'static str>> {
    let range = widened(&source.tables.snapshot.files, asked);
    let known = match known(source, cache, range).await? {
        Ok(known) => known,
        Err(reason) => return Ok(Err(reason)),
    };
    let hot = rest::of_hot(source, &known, asked).await?;
    let mut words = format!(
        "rollups of {} files; {} traces from spans",
        known.parts.iter().filter(|part| part.rollup.is_some()).count(),
        known.traces.len() + hot.as_ref().map_or(0, |hot| hot.new_traces),
    );
    let (mut sum, mut gaps) = (Arc::clone(&known.sum), Arc::clone(&known.gaps));
    if let Some(hot) = hot {
        hot.rest.apply(Arc::make_mut(&mut sum), Arc::make_mut(&mut gaps));
    }
    if history::is_any(source, asked)
        && let Some(kept) = history::add(source, asked, Arc::make_mut(&mut sum)).await
    {
        words.push_str("; ");
        words.push_str(&kept);
    }
    Ok(Ok(Totals { sum, gaps, source: words }))
}

/// Finds out what the files alone tell of all time, and keeps it.
///
/// # Errors
/// Something cannot be read.
pub(crate) async fn warm(source: &Source, cache: &Cache) -> Result<()> {
    known(source, cache, TimeRange::ALL).await.map(drop)
}

/// The figures of the files alone. Of a range that begins within a minute the first part, up to the minute, is found out
/// each time, and the rest is kept: the last hour begins a second later each second.
async fn known(
    source: &Source,
    cache: &Cache,
    range: TimeRange,
) -> Result<std::result::Result<Arc<Known>, &'static str>> {
    let files = &source.tables.snapshot.files;
    let Some(minute) = first_minute(range) else { return kept(source, cache, range).await };
    if let Some(known) = cache.find(files, range) {
        return Ok(Ok(known));
    }
    let rest = match kept(source, cache, TimeRange { from: minute, ..range }).await? {
        Ok(rest) => rest,
        Err(reason) => return Ok(Err(reason)),
    };
    let first = of_files(source, TimeRange { until: minute, ..range }, None).await?;
    Ok(first.map(|first| Arc::new(rest.with(first))))
}

/// What is known of `range`, now or from before.
async fn kept(
    source: &Source,
    cache: &Cache,
    range: TimeRange,
) -> Result<std::result::Result<Arc<Known>, &'static str>> {
    let files = &source.tables.snapshot.files;
    if let Some(known) = cache.find(files, range) {
        return Ok(Ok(known));
    }
    // Of several that ask for everything at once, one reads.
    let _turn = match range {
        TimeRange::ALL => Some(cache.turn.lock().await),
        _ => None,
    };
    if let Some(known) = cache.find(files, range) {
        return Ok(Ok(known));
    }
    let older = older(source, cache, range).await;
    let known = of_files(source, range, older.as_deref()).await?;
    Ok(known.map(|known| cache.put(files, range, known)))
}

/// What is known of most of the files. Files that merely took the place of others tell the same as those did.
async fn older(source: &Source, cache: &Cache, range: TimeRange) -> Option<Arc<Known>> {
    let older = cache.older(&source.tables.snapshot, range)?;
    if older.merged.is_empty() {
        return Some(older.known);
    }
    let mut parts = Vec::new();
    for file in older.merged {
        let part = Part::of(source, &file, range).await?;
        let rollup = part.rollup.as_ref()?;
        // Their figures are in the sum as those of plain fragments, and could not be taken away again.
        let mut open = rollup.open().iter().chain(rollup.linked());
        if !open.all(|trace| older.known.traces.contains(&trace.0)) {
            return None;
        }
        parts.push(Arc::new(part));
    }
    Some(Arc::new(older.known.with_parts(parts)))
}

/// The first full minute of `range`, where there is something before it and several minutes after it.
fn first_minute(range: TimeRange) -> Option<i64> {
    const MINUTE: i64 = 60 * storage::time::NANOS_PER_SECOND;
    if range.from == i64::MIN || range.from.rem_euclid(MINUTE) == 0 {
        return None;
    }
    let minute = (range.from.div_euclid(MINUTE) + 1).checked_mul(MINUTE)?;
    (minute.saturating_add(MINUTE) < range.until).then_some(minute)
}

/// `range` without bounds that cut no file: it tells the same of the files, now and in a minute.
fn widened(files: &[Arc<DataFile>], range: TimeRange) -> TimeRange {
    let from = files.iter().all(|file| range.from <= file.start.from);
    let until = files.iter().all(|file| file.start.until <= range.until);
    TimeRange {
        from: if from { i64::MIN } else { range.from },
        until: if until { i64::MAX } else { range.until },
    }
}

/// The figures of the files alone.
async fn of_files(
    source: &Source,
    range: TimeRange,
    older: Option<&Known>,
) -> Result<std::result::Result<Known, &'static str>> {
    let files = &source.tables.snapshot.files;
    let mut parts = Vec::with_capacity(files.len());
    let mut sum = older.map_or_else(Sum::default, |older| older.sum.as_ref().clone());
    let mut traces: HashSet<[u8; 16]> = HashSet::new();
    let mut is_new = Vec::with_capacity(files.len());
    for file in files.iter() {
        let known = older.and_then(|older| older.part(file));
        is_new.push(known.is_none());
        if let Some(known) = known {
            parts.push(known);
            continue;
        }
        let Some(part) = Part::of(source, file, range).await else {
            return Ok(Err(NO_ROLLUP));
        };
        part.add_to(&mut sum, range);
        if let Some(rollup) = &part.rollup {
            traces.extend(rollup.open().iter().chain(rollup.linked()).map(|trace| trace.0));
        }
        touched(source, &part, range, &mut traces).await?;
        traces.extend(older.into_iter().flat_map(|older| older.linked_to(file)));
        parts.push(Arc::new(part));
    }
    if !open_beside(source, &parts, range, &mut traces).await {
        return Ok(Err(NO_ROLLUP));
    }
    let is_new = |at: usize| is_new.get(at).copied().unwrap_or_default();
    let job = Job { source, parts: &parts, range, before: older, is_new: &is_new };
    let rest = job.run(&traces).await?;
    let mut gaps = older.map_or_else(Gaps::default, |older| older.gaps.as_ref().clone());
    rest.apply(&mut sum, &mut gaps);
    let (mut all, mut dangling) = (traces, HashMap::<[u8; 16], Vec<[u8; 16]>>::new());
    if let Some(older) = older {
        all.extend(&older.traces);
        dangling.clone_from(&older.dangling);
    }
    for (linked, trace) in rest.dangling {
        dangling.entry(linked).or_default().push(trace);
    }
    Ok(Ok(Known { parts, traces: all, dangling, sum: Arc::new(sum), gaps: Arc::new(gaps) }))
}

const NO_ROLLUP: &str = "a file has no rollup";

/// Adds the traces of files near the range that are open there and may have a plain fragment in the range. `false` where
/// such a file has no rollup.
async fn open_beside(
    source: &Source,
    parts: &[Arc<Part>],
    range: TimeRange,
    traces: &mut HashSet<[u8; 16]>,
) -> bool {
    let window = load::window(range);
    let within: Vec<_> = parts.iter().filter(|part| part.rollup.is_some()).collect();
    for part in parts.iter().filter(|part| part.rollup.is_none()) {
        if !part.file.start.overlaps(&window) {
            continue;
        }
        let Some(rollup) = source.tables.snapshot.rollups.whole(&part.file).await else {
            return false;
        };
        let here = |trace: &&TraceId| within.iter().any(|part| part.file.may_hold_trace(trace));
        traces.extend(rollup.open().iter().filter(here).map(|trace| trace.0));
    }
    true
}

/// Adds the traces with spans in what the rollup of `part` does not tell of.
async fn touched(
    source: &Source,
    part: &Part,
    range: TimeRange,
    traces: &mut HashSet<[u8; 16]>,
) -> Result<()> {
    let file = source.tables.part([Arc::clone(&part.file)].into(), Arc::new([]));
    for uncovered in part.uncovered(range).into_iter().filter(|piece| piece.from < piece.until) {
        let mut batches = source.scan_part(&file, uncovered, &[column::TRACE_ID], None)?;
        while let Some(batch) = batches.next().await {
            let ids = ids(named(&batch?, column::TRACE_ID)?)?;
            traces.extend(ids.iter().flatten().map(trace_bytes));
        }
    }
    Ok(())
}
