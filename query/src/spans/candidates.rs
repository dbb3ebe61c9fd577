//! Which rows of a file a search has to read: those that its conditions leave and, where a sort wants only its first rows,
//! the first of these.
//!
//! ```text
//! filter -> texts: by dictionaries -> rows   | is that the whole filter, besides what the sort itself has found out?
//!        -> numbers: by their values         | then the numbers that are sorted by tell which rows can be among the first
//! ```
//! So the other columns are read at a few rows, however many satisfy the filter.
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::Schema;
use datafusion::common::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::{collect_columns, split_conjunction};
use parquet::arrow::arrow_reader::RowSelection;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::first::First;
use super::integers::{self, Page};
use super::known::Known;
use super::pages;
use super::reader::Reader;
use super::select::{Condition, Rows, chunk_of, common, is_changing};
use super::vocabulary;

/// What is known of a search before a file is opened.
#[derive(Debug)]
pub(super) struct Search {
    texts: Vec<Text>,
    /// Conditions on numbers, which are looked at only to find the first rows.
    numbers: Vec<Condition>,
    /// What a sort wants; `None` where nothing is sorted, or the conditions here are not all.
    first: Option<First>,
    known: Arc<Known>,
}

/// A condition that a dictionary decides.
#[derive(Debug)]
struct Text {
    condition: Condition,
    /// Of which its column must have one.
    texts: Option<Vec<String>>,
}

/// A row that can be among the first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// Its place in the order: the greater, the earlier.
    pub(super) rank: i64,
    /// Its row group.
    pub(super) group: usize,
    /// Its place in that.
    pub(super) row: usize,
}

/// The rows of one row group that are left.
#[derive(Debug)]
struct Left {
    ranges: Vec<Range<usize>>,
    all: usize,
    /// Every condition on texts was decided.
    is_decided: bool,
}

impl Search {
    /// Of `filter` over the columns of `table`, and of the rows that a sort wants first.
    pub(super) fn new(
        filter: Option<&Arc<dyn PhysicalExpr>>,
        table: &Schema,
        first: Option<First>,
        known: Arc<Known>,
    ) -> Self {
        let mut search = Self { texts: Vec::new(), numbers: Vec::new(), first, known };
        for part in filter.into_iter().flat_map(split_conjunction) {
            if let Some(condition) = Condition::of(part, table) {
                let texts = vocabulary::texts_of(&condition.expr);
                search.texts.push(Text { condition, texts });
            } else if let Some(condition) = Condition::of_integers(part, table) {
                search.numbers.push(condition);
            } else if !search.is_of_sort(part) {
                search.first = None;
            }
        }
        search
    }

    /// True where `part` is what the sort has found out so far: that leaves out no row which is among the first.
    fn is_of_sort(&self, part: &Arc<dyn PhysicalExpr>) -> bool {
        let Some(first) = &self.first else { return false };
        let columns = collect_columns(part);
        is_changing(part) && columns.iter().all(|column| column.name() == first.column)
    }

    /// True where the conditions here are all, and tell which rows are the first.
    pub(super) fn tells_first(&self) -> bool {
        self.first.is_some()
    }

    /// True where nothing can be left out before the file is read.
    pub(super) fn is_open(&self) -> bool {
        self.texts.is_empty() && self.first.is_none()
    }

    /// True where the file at `path` is known to have no row for this search.
    pub(super) fn is_absent(&self, path: &str) -> bool {
        self.texts.iter().any(|text| {
            let texts = text.texts.as_deref();
            texts.is_some_and(|texts| {
                self.known.vocabularies.lacks(path, text.condition.column(), texts)
            })
        })
    }

    /// By row group of the file at `path`, what to read.
    ///
    /// # Errors
    /// The file is damaged, or cannot be read.
    pub(super) async fn rows(
        &self,
        path: &str,
        reader: &mut Reader,
        metadata: &ParquetMetaData,
    ) -> Result<Vec<Rows>> {
        let mut learnt = self.unlearnt();
        let mut selected = Vec::with_capacity(metadata.num_row_groups());
        for (number, row_group) in metadata.row_groups().iter().enumerate() {
            let mut left = self.left(path, (&mut *reader, row_group), &mut learnt).await?;
            if let Some(first) = &self.first
                && left.is_decided
                && left.count() > first.count
            {
                let place = (&mut *reader, metadata, number);
                self.keep_first(first, &mut left, place, None).await?;
            }
            selected.push(left.rows());
        }
        self.learn(path, learnt);
        Ok(selected)
    }

    /// The rows of the file at `path` that can be among the first, of those of rank `least` at least; `None` where the
    /// conditions have to be decided by reading all rows.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub(super) async fn first_rows(
        &self,
        path: &str,
        (reader, metadata): (&mut Reader, &ParquetMetaData),
        least: Option<i64>,
    ) -> Result<Option<Vec<Candidate>>> {
        let Some(first) = &self.first else { return Ok(None) };
        let mut learnt = self.unlearnt();
        let mut found = Vec::new();
        for (group, row_group) in metadata.row_groups().iter().enumerate() {
            let mut left = self.left(path, (&mut *reader, row_group), &mut learnt).await?;
            if !left.is_decided {
                return Ok(None);
            }
            let place = (&mut *reader, metadata, group);
            let ranks = self.keep_first(first, &mut left, place, least).await?;
            let Some(ranks) = ranks else { return Ok(None) };
            let rows = left.ranges.into_iter().flatten();
            found.extend(rows.zip(ranks).map(|(row, rank)| Candidate { rank, group, row }));
        }
        self.learn(path, learnt);
        Ok(Some(found))
    }

    fn unlearnt(&self) -> Vec<Option<Vec<u32>>> {
        self.texts.iter().map(|text| text.texts.as_ref().map(|_| Vec::new())).collect()
    }

    fn learn(&self, path: &str, learnt: Vec<Option<Vec<u32>>>) {
        for (text, learnt) in self.texts.iter().zip(learnt) {
            if let Some(hashes) = learnt {
                self.known.vocabularies.put(path, text.condition.column(), hashes);
            }
        }
    }

    /// The rows of a row group that the conditions on texts leave.
    async fn left(
        &self,
        path: &str,
        (reader, row_group): (&mut Reader, &RowGroupMetaData),
        learnt: &mut [Option<Vec<u32>>],
    ) -> Result<Left> {
        let mut left = Left::all(row_group);
        for (text, learnt) in self.texts.iter().zip(learnt) {
            if left.ranges.is_empty() {
                *learnt = None;
                continue;
            }
            let column = text.condition.column();
            let place = chunk_of(row_group, column).map(|(_, chunk)| (path, chunk));
            let known = place.and_then(|place| self.known.chosen.find(place, &text.condition));
            if let Some(known) = known {
                // Its texts were learnt with it.
                *learnt = None;
                left.ranges = common(&left.ranges, &known);
                continue;
            }
            let found = left.narrow(&text.condition, (reader, row_group), learnt).await?;
            if let (Some(place), Some(found)) = (place, found) {
                self.known.chosen.put(place, &text.condition, &found);
            }
        }
        Ok(left)
    }

    /// Leaves out the rows that cannot be among the first of this row group, or have a rank below `least`; the ranks of the
    /// others. `None` where numbers are not as we write them: then some may be left that are not wanted.
    async fn keep_first(
        &self,
        first: &First,
        left: &mut Left,
        (reader, metadata, number): (&mut Reader, &ParquetMetaData, usize),
        least: Option<i64>,
    ) -> Result<Option<Vec<i64>>> {
        let row_group = metadata.row_group(number);
        for condition in &self.numbers {
            let Some((column, _)) = chunk_of(row_group, condition.column()) else {
                return Ok(None);
            };
            let place = (number, column);
            let values = integers::read(reader, metadata, place, &left.ranges).await?;
            let Some(values) = values else { return Ok(None) };
            let values: ArrayRef = Arc::new(Int64Array::from(values));
            left.keep(&condition.holds(values)?);
        }
        let Some((column, _)) = chunk_of(row_group, &first.column) else { return Ok(None) };
        let place = (number, column);
        if let Some(pages) = integers::pages(metadata, place) {
            left.keep_pages(&pages, first, least);
        }
        let values = integers::read(reader, metadata, place, &left.ranges).await?;
        let Some(values) = values else { return Ok(None) };
        let mut ranks: Vec<i64> = values.iter().map(|value| first.rank(*value)).collect();
        if let Some(least) = first.last_of(&values).max(least) {
            let kept: Vec<bool> = ranks.iter().map(|rank| *rank >= least).collect();
            left.keep(&kept);
            ranks.retain(|rank| *rank >= least);
        }
        Ok(Some(ranks))
    }
}

impl Left {
    fn all(row_group: &RowGroupMetaData) -> Self {
        let all = usize::try_from(row_group.num_rows()).unwrap_or(usize::MAX);
        Self { ranges: std::iter::once(0..all).collect(), all, is_decided: true }
    }

    fn count(&self) -> usize {
        self.ranges.iter().map(ExactSizeIterator::len).sum()
    }

    /// Leaves out the rows for which `condition` certainly does not hold; gives those for which it holds, where keys tell
    /// them. Adds the hashes of the column's texts to `learnt`, or nothing more where they are not all known.
    async fn narrow(
        &mut self,
        condition: &Condition,
        (reader, row_group): (&mut Reader, &RowGroupMetaData),
        learnt: &mut Option<Vec<u32>>,
    ) -> Result<Option<Vec<Range<usize>>>> {
        let Some((_, chunk)) = chunk_of(row_group, condition.column()) else {
            if !condition.holds_for_null()? {
                self.ranges.clear();
            }
            return Ok(None);
        };
        let mut hashes = None;
        let mut found = None;
        if chunk.dictionary_page_offset().is_some() {
            let (start, length) = chunk.byte_range();
            let bytes = reader.get_bytes(start..start.saturating_add(length)).await?;
            found = pages::rows(bytes, chunk, self.all, |values| {
                let mut all = learnt.take();
                hashes = all.as_mut().and_then(|all| vocabulary::add(values, all)).and(all);
                condition.wanted(values)
            })?;
        }
        match &found {
            Some(ranges) => {
                *learnt = hashes;
                self.ranges = common(&self.ranges, ranges);
            }
            None => {
                *learnt = None;
                self.is_decided = false;
            }
        }
        Ok(found)
    }

    /// Keeps the rows that are marked; there is a mark for each that is left.
    fn keep(&mut self, marks: &[bool]) {
        let rows = self.ranges.iter().flat_map(Clone::clone);
        let mut kept: Vec<Range<usize>> = Vec::new();
        for (row, _) in rows.zip(marks).filter(|(_, mark)| **mark) {
            match kept.last_mut() {
                Some(last) if last.end == row => last.end = row + 1,
                _ => kept.push(row..row + 1),
            }
        }
        self.ranges = kept;
    }

    /// Leaves out the pages that certainly have none of the first rows, or none of rank `least` at least.
    fn keep_pages(&mut self, pages: &[Page], first: &First, least: Option<i64>) {
        let own = |page: &Page| -> usize {
            let rows = std::slice::from_ref(&page.rows);
            common(&self.ranges, rows).iter().map(ExactSizeIterator::len).sum()
        };
        // By rank, the worst row of each page, and how many rows it has at least that good.
        let mut worst: Vec<(i64, usize)> =
            pages.iter().map(|page| (first.worst(page), own(page))).collect();
        worst.sort_unstable_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        let mut count = 0;
        let enough = worst.into_iter().find_map(|(rank, rows)| {
            count += rows;
            (count >= first.count).then_some(rank)
        });
        let Some(enough) = enough.max(least) else { return };
        let near: Vec<Range<usize>> = pages
            .iter()
            .filter(|page| first.best(page) >= enough)
            .map(|page| page.rows.clone())
            .collect();
        self.ranges = common(&self.ranges, &near);
    }

    fn rows(self) -> Rows {
        /// A selection that leaves out fewer rows than this, of four, is not worth skipping.
        const QUARTERS_LEFT_OUT_MIN: usize = 3;
        let count = self.count();
        if count == 0 {
            return Rows::None;
        }
        if (self.all - count) < self.all / 4 * QUARTERS_LEFT_OUT_MIN {
            return Rows::All;
        }
        Rows::Some(RowSelection::from_consecutive_ranges(self.ranges.into_iter(), self.all))
    }
}

#[cfg(test)]
mod tests;
