//! Traces where a sort by duration wants only the first: the slowest ones, without a look at what cannot be among them.
//!
//! ```text
//! files, the one with the slowest whole trace first -> those of its longest that last long enough -.
//!   (of all it has whole, where these are too few);                                                |-> filter
//!   ends with the first file whose slowest is too fast                                              |
//! open traces whose rows are known                  -> those that last long enough                  |
//! other open traces: each begins with a span that lasts as long as it does, so of the files         |
//!   that have such spans, the one with the longest first -> the open traces among their ids        -'
//!                                                        -> from their spans
//! ```
//! How long is long enough, the sort says, which knows it as soon as it has seen as many traces as it wants.
use std::ops::RangeInclusive;
use std::sync::Arc;

use datafusion::common::Result;
use hashbrown::HashSet;
use storage::DataFile;
use storage::rollup::{RollupTraces, TraceRow};

use super::filter::Filter;
use super::heads::{Heads, Possible, Roots};
use super::listing::{Listing, READ_AT_ONCE_MAX, told_row};
use super::longest::LongestOf;
use crate::views::near::Rolled;

/// See the module.
pub(super) struct Slowest {
    /// By the longest trace that a file has whole, that last.
    whole: Vec<(i64, Arc<DataFile>, Roots)>,
    /// By the longest span that a wanted trace can begin with, that last.
    open: Vec<(i64, Rolled, Possible)>,
    file: Option<File>,
    /// Open traces whose rows are not known; `None` before they were looked for.
    unknown: Option<HashSet<[u8; 16]>>,
}

/// The file whose whole traces are shown.
struct File {
    of: Arc<DataFile>,
    told: Told,
    keys: Vec<u32>,
    /// Durations and places of the rows that are still to be shown, the longest last.
    places: Vec<(i64, usize)>,
    /// No wanted trace that is not among these rows lasts longer; `None` where there is none.
    left_out: Option<i64>,
}

/// Where the rows of a file are.
enum Told {
    Longest(Arc<LongestOf>),
    All(Arc<RollupTraces>),
}

impl Slowest {
    /// Takes the files of `listing`.
    pub(super) fn new(listing: &mut Listing, mut heads: Heads, filter: &Filter) -> Result<Self> {
        let (mut whole, mut open) = (Vec::new(), Vec::new());
        for rolled in std::mem::take(&mut listing.files) {
            let possible = heads.possible(&rolled.1, filter, &mut listing.texts)?;
            if let Some(longest) = possible.traces_nano {
                whole.push((longest, Arc::clone(&rolled.0), possible.roots.clone()));
            }
            if let Some(longest) = possible.spans_nano {
                open.push((longest, rolled, possible));
            }
        }
        whole.sort_by_key(|(longest, ..)| *longest);
        open.sort_by_key(|(longest, ..)| *longest);
        Ok(Self { whole, open, file: None, unknown: None })
    }

    /// Moves what comes next to the rows of `listing`; false after the last.
    pub(super) async fn next(&mut self, listing: &mut Listing, filter: &Filter) -> Result<bool> {
        let shortest = filter.shortest()?;
        if let Some(mut file) = self.file.take() {
            if file.show(listing, shortest) {
                self.file = Some(file);
            } else if let Some(longest) = file.left_out.filter(|longest| *longest >= shortest) {
                let told = Told::All(listing.told(&file.of).await?);
                self.file = Some(File::of((file.of, told), listing, shortest..=longest));
            }
            return Ok(true);
        }
        if let Some((longest, file, roots)) = self.whole.pop() {
            if longest < shortest {
                self.whole.clear();
            } else if filter.admits(file.start)? {
                listing.seen.files += 1;
                let told = longest_of(listing, &file).await?;
                let mut file = File::of((file, Told::Longest(told)), listing, shortest..=i64::MAX);
                file.leave_out(&roots);
                listing.hold(file.bytes())?;
                self.file = Some(file);
            }
            return Ok(true);
        }
        if self.unknown.is_none() {
            let settled = listing.open.settled().copied().collect::<Vec<_>>();
            let unknown = listing.show_known(settled, shortest);
            self.unknown = Some(unknown.into_iter().collect());
            listing.rows.sort_by_key(|row| row.duration);
            listing.hold(0)?;
            return Ok(true);
        }
        self.next_open(listing, filter, shortest).await
    }

    /// The same of open traces whose rows are not known.
    async fn next_open(
        &mut self,
        listing: &mut Listing,
        filter: &Filter,
        shortest: i64,
    ) -> Result<bool> {
        let Some(unknown) = self.unknown.as_mut().filter(|unknown| !unknown.is_empty()) else {
            return Ok(false);
        };
        let Some((longest, (file, rollup), possible)) = self.open.pop() else { return Ok(false) };
        if longest < shortest {
            return Ok(false);
        }
        if !filter.admits(file.start)? {
            return Ok(true);
        }
        let beginning = possible.beginning(shortest);
        let traces = match &beginning {
            _ if unknown.len() <= READ_AT_ONCE_MAX => unknown.drain().collect(),
            Some(_) => unknown.iter().copied().collect(),
            None => {
                // Nothing is known that narrows it: all that the file has something of.
                let told = listing.told(&file).await?;
                let rows = told.rows().iter().map(|row| row.id.0);
                let open = rollup.open().iter().map(|trace| trace.0);
                rows.chain(open).filter(|trace| unknown.contains(trace)).collect::<Vec<_>>()
            }
        };
        let before = listing.shown.len();
        match beginning {
            Some(beginning) => listing.read_open(&file, traces, beginning).await?,
            None => listing.show_all(traces).await?,
        }
        if listing.shown.len() > before {
            unknown.retain(|trace| !listing.shown.contains(trace));
        }
        listing.rows.sort_by_key(|row| row.duration);
        listing.hold(unknown.capacity() * 17)?;
        Ok(true)
    }
}

/// The longest traces that `file` has whole.
async fn longest_of(listing: &Listing, file: &DataFile) -> Result<Arc<LongestOf>> {
    let known = &listing.cache.longest;
    Ok(match known.find(&file.path) {
        Some(longest) => longest,
        None => known.put(&file.path, &*listing.told(file).await?),
    })
}

impl Told {
    fn rows(&self) -> &[TraceRow] {
        match self {
            Self::Longest(longest) => &longest.rows,
            Self::All(told) => told.rows(),
        }
    }

    fn names(&self) -> &[Arc<str>] {
        match self {
            Self::Longest(longest) => &longest.names,
            Self::All(told) => told.names(),
        }
    }
}

impl File {
    /// Those of `told` that may be shown, with durations in `wanted`.
    fn of(
        (of, told): (Arc<DataFile>, Told),
        listing: &mut Listing,
        wanted: RangeInclusive<i64>,
    ) -> Self {
        let keys = told.names().iter().map(|name| listing.texts.id(name)).collect();
        let range = listing.ask.range;
        let rows = (0..).zip(told.rows());
        let rows =
            rows.filter(|(_, row)| wanted.contains(&row.duration) && range.contains(row.start));
        let rows = rows.filter(|(_, row)| !listing.open.contains(&row.id.0));
        let mut places: Vec<(i64, usize)> =
            rows.map(|(place, row)| (row.duration, place)).collect();
        places.sort_unstable();
        Self { of, told, keys, places, left_out: None }
    }

    /// Of the longest, keeps those that come before all wanted ones that are not among them.
    fn leave_out(&mut self, roots: &Roots) {
        let Told::Longest(longest) = &self.told else { return };
        let keys = &self.keys;
        let left_out = longest.left_out(|(service, name)| {
            let key = (keys[service as usize], keys[name as usize]);
            roots.as_ref().is_none_or(|roots| roots.contains(&key))
        });
        if let Some(left_out) = left_out {
            let kept = self.places.partition_point(|(duration, _)| *duration <= left_out);
            self.places.drain(..kept);
        }
        self.left_out = left_out;
    }

    /// Shows the next rows; false where none that is left lasts long enough.
    fn show(&mut self, listing: &mut Listing, shortest: i64) -> bool {
        let taken = listing.steps.take(&mut self.places);
        let wanted = taken.into_iter().filter(|(duration, _)| *duration >= shortest);
        let rows = self.told.rows();
        listing.rows = wanted.map(|(_, place)| told_row(&rows[place], &self.keys)).collect();
        !listing.rows.is_empty()
    }

    fn bytes(&self) -> usize {
        self.places.capacity() * size_of::<(i64, usize)>()
    }
}
