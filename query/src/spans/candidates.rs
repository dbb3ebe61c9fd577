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
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use super::first::First;
use super::integers::{self, Page};
use super::pages;
use super::reader::Reader;
use super::select::{Condition, Rows, is_changing};
use super::vocabulary::{self, Vocabularies};

/// What is known of a search before a file is opened.
#[derive(Debug)]
pub(super) struct Search {
    texts: Vec<Text>,
    /// Conditions on numbers, which are looked at only to find the first rows.
    numbers: Vec<Condition>,
    /// What a sort wants; `None` where nothing is sorted, or the conditions here are not all.
    first: Option<First>,
    vocabularies: Arc<Vocabularies>,
}

/// A condition that a dictionary decides.
#[derive(Debug)]
struct Text {
    condition: Condition,
    /// Of which its column must have one.
    texts: Option<Vec<String>>,
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
        vocabularies: Arc<Vocabularies>,
    ) -> Self {
        let mut search = Self { texts: Vec::new(), numbers: Vec::new(), first, vocabularies };
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

    /// True where nothing can be left out before the file is read.
    pub(super) fn is_open(&self) -> bool {
        self.texts.is_empty() && self.first.is_none()
    }

    /// True where the file at `path` is known to have no row for this search.
    pub(super) fn is_absent(&self, path: &str) -> bool {
        self.texts.iter().any(|text| {
            let texts = text.texts.as_deref();
            texts.is_some_and(|texts| self.vocabularies.lacks(path, text.condition.column(), texts))
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
        let mut learnt: Vec<Option<Vec<u32>>> =
            self.texts.iter().map(|text| text.texts.as_ref().map(|_| Vec::new())).collect();
        let mut selected = Vec::with_capacity(metadata.num_row_groups());
        for (number, row_group) in metadata.row_groups().iter().enumerate() {
            let mut left = Left::all(row_group);
            for (text, learnt) in self.texts.iter().zip(&mut learnt) {
                if left.ranges.is_empty() {
                    *learnt = None;
                    continue;
                }
                left.narrow(&text.condition, (reader, row_group), learnt).await?;
            }
            if let Some(first) = &self.first {
                self.keep_first(first, &mut left, reader, (metadata, number)).await?;
            }
            selected.push(left.rows());
        }
        for (text, learnt) in self.texts.iter().zip(learnt) {
            if let Some(hashes) = learnt {
                self.vocabularies.put(path, text.condition.column(), hashes);
            }
        }
        Ok(selected)
    }

    /// Leaves out the rows that cannot be among the first of this row group.
    async fn keep_first(
        &self,
        first: &First,
        left: &mut Left,
        reader: &mut Reader,
        (metadata, number): (&ParquetMetaData, usize),
    ) -> Result<()> {
        let row_group = metadata.row_group(number);
        if !left.is_decided || left.count() <= first.count {
            return Ok(());
        }
        for condition in &self.numbers {
            let Some((column, _)) = chunk_of(row_group, condition.column()) else { return Ok(()) };
            let place = (number, column);
            let values = integers::read(reader, metadata, place, &left.ranges).await?;
            let Some(values) = values else { return Ok(()) };
            let values: ArrayRef = Arc::new(Int64Array::from(values));
            left.keep(&condition.holds(values)?);
        }
        let Some((column, _)) = chunk_of(row_group, &first.column) else { return Ok(()) };
        let place = (number, column);
        if let Some(pages) = integers::pages(metadata, place) {
            left.keep_pages(&pages, first);
        }
        let values = integers::read(reader, metadata, place, &left.ranges).await?;
        let Some(values) = values else { return Ok(()) };
        if let Some(last) = first.last_of(&values) {
            let kept: Vec<bool> = values.iter().map(|value| first.rank(*value) >= last).collect();
            left.keep(&kept);
        }
        Ok(())
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

    /// Leaves out the rows for which `condition` certainly does not hold; adds the hashes of the column's texts to
    /// `learnt`, or nothing more where they are not all known.
    async fn narrow(
        &mut self,
        condition: &Condition,
        (reader, row_group): (&mut Reader, &RowGroupMetaData),
        learnt: &mut Option<Vec<u32>>,
    ) -> Result<()> {
        let Some((_, chunk)) = chunk_of(row_group, condition.column()) else {
            if !condition.holds_for_null()? {
                self.ranges.clear();
            }
            return Ok(());
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
        match found {
            Some(ranges) => {
                *learnt = hashes;
                self.ranges = both(&self.ranges, &ranges);
            }
            None => {
                *learnt = None;
                self.is_decided = false;
            }
        }
        Ok(())
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

    /// Leaves out the pages that certainly have none of the first rows.
    fn keep_pages(&mut self, pages: &[Page], first: &First) {
        let own = |page: &Page| -> usize {
            let rows = std::slice::from_ref(&page.rows);
            both(&self.ranges, rows).iter().map(ExactSizeIterator::len).sum()
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
        let Some(enough) = enough else { return };
        let near: Vec<Range<usize>> = pages
            .iter()
            .filter(|page| first.best(page) >= enough)
            .map(|page| page.rows.clone())
            .collect();
        self.ranges = both(&self.ranges, &near);
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

/// The chunk of the column `name`, and its place.
fn chunk_of<'a>(
    row_group: &'a RowGroupMetaData,
    name: &str,
) -> Option<(usize, &'a ColumnChunkMetaData)> {
    let is_it =
        |chunk: &ColumnChunkMetaData| matches!(chunk.column_path().parts(), [own] if own == name);
    row_group.columns().iter().enumerate().find(|(_, chunk)| is_it(chunk))
}

/// What is in both; each list rises.
fn both(a: &[Range<usize>], b: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut found, mut at, mut other) = (Vec::new(), 0, 0);
    while let (Some(left), Some(right)) = (a.get(at), b.get(other)) {
        let (start, end) = (left.start.max(right.start), left.end.min(right.end));
        if start < end {
            found.push(start..end);
        }
        if left.end <= right.end {
            at += 1;
        } else {
            other += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests;
