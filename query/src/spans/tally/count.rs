//! Counts chosen rows of a row group.
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::datasource::physical_plan::FileScanConfig;
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;

use super::{Bound, Chosen, Share};
use crate::spans::halves::Shorter;
use crate::spans::integers;
use crate::spans::parts::RowGroup;
use crate::spans::select::{self, common, length};
use crate::spans::source::SelectiveSource;

impl Shorter for Chosen {
    fn name(&self) -> &'static str {
        "CountRowsExec"
    }

    fn detail(&self) -> String {
        String::new()
    }

    fn scan(&self) -> (&FileScanConfig, &SelectiveSource) {
        (&self.scan, &self.source)
    }

    fn of_row_group<'a>(
        &'a self,
        row_group: &'a mut RowGroup,
        schema: &'a SchemaRef,
    ) -> BoxFuture<'a, Result<Option<RecordBatch>>> {
        let counted = async move {
            let Some(rows) = self.rows_of(row_group).await? else { return Ok(None) };
            let rows: ArrayRef = Arc::new(Int64Array::from(vec![i64::try_from(rows).unwrap_or(0)]));
            let columns = schema.fields().iter().map(|_| Arc::clone(&rows)).collect();
            Ok(Some(RecordBatch::try_new(Arc::clone(schema), columns)?))
        };
        counted.boxed()
    }
}

impl Chosen {
    /// How many rows of a row group are chosen; `None` where they have to be counted otherwise.
    async fn rows_of(&self, row_group: &mut RowGroup) -> Result<Option<usize>> {
        let metadata = Arc::clone(&row_group.metadata);
        let of = metadata.row_group(row_group.number);
        let mut cut = Vec::new();
        for bound in self.bounds.iter() {
            let Some((place, chunk)) = select::chunk_of(of, &bound.column) else { return Ok(None) };
            if !integers::is_plain(chunk) {
                return Ok(None);
            }
            match share_of(chunk, bound) {
                Share::None => return Ok(Some(0)),
                Share::Some => cut.push((place, bound)),
                Share::All => {}
            }
        }
        let place = (row_group.file.object_meta.location.as_ref(), &self.source.known().chosen);
        let reader = &mut row_group.reader;
        let rows = select::exactly(place, (reader, of), &self.texts).await?;
        let Some(mut rows) = rows else { return Ok(None) };
        // Rows of which something must be read to know.
        let mut unsure: Vec<Range<usize>> = Vec::new();
        for (place, bound) in &cut {
            let Some(pages) = integers::pages(&metadata, (row_group.number, *place)) else {
                unsure.extend(rows.clone());
                continue;
            };
            let shares = || pages.iter().map(|page| (page, bound.share(page.low, page.high)));
            let possible = shares().filter(|(_, share)| *share != Share::None);
            rows = common(&rows, &touching(possible.map(|(page, _)| page.rows.clone())));
            let some = shares().filter(|(_, share)| *share == Share::Some);
            unsure.extend(some.map(|(page, _)| page.rows.clone()));
        }
        unsure.sort_unstable_by_key(|rows| rows.start);
        let unsure = common(&rows, &touching(unsure));
        let sure = length(&rows) - length(&unsure);
        let found = self.count(row_group, &cut, &unsure).await?;
        Ok(found.map(|found| sure + found))
    }

    /// How many of the rows lie within all bounds.
    async fn count(
        &self,
        row_group: &mut RowGroup,
        cut: &[(usize, &Bound)],
        rows: &[Range<usize>],
    ) -> Result<Option<usize>> {
        if rows.is_empty() {
            return Ok(Some(0));
        }
        let (metadata, number) = (Arc::clone(&row_group.metadata), row_group.number);
        let reader = &mut row_group.reader;
        if let [(place, bound)] = cut {
            return integers::count(reader, &metadata, (number, *place), (rows, &bound.within))
                .await;
        }
        let places: Vec<usize> = cut.iter().map(|(place, _)| *place).collect();
        let read = integers::read_all(reader, &metadata, (number, &places), rows).await?;
        let Some(columns) = read else { return Ok(None) };
        let holds = |row: usize| {
            columns.iter().zip(cut).all(|(numbers, (_, own))| own.within.contains(&numbers[row]))
        };
        Ok(Some((0..length(rows)).filter(|row| holds(*row)).count()))
    }
}

/// How many numbers of a chunk `bound` admits.
fn share_of(chunk: &ColumnChunkMetaData, bound: &Bound) -> Share {
    match chunk.statistics() {
        Some(Statistics::Int64(known)) => match (known.min_opt(), known.max_opt()) {
            (Some(low), Some(high)) => bound.share(*low, *high),
            _ => Share::Some,
        },
        _ => Share::Some,
    }
}

/// Ranges that rise, those that touch or overlap as one.
fn touching(ranges: impl IntoIterator<Item = Range<usize>>) -> Vec<Range<usize>> {
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}
