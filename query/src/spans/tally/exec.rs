//! Counts chosen rows of files.
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, execute_stream,
};
use futures::{StreamExt, TryStreamExt, stream};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;

use super::{Bound, Chosen, Share};
use crate::spans::halves;
use crate::spans::integers;
use crate::spans::parts::{Parts, RowGroup};
use crate::spans::select::{self, common};

/// See the module.
#[derive(Debug)]
pub(super) struct CountRowsExec {
    chosen: Chosen,
    /// What it stands for.
    plain: Arc<dyn ExecutionPlan>,
    parts: Arc<Parts>,
    metrics: ExecutionPlanMetricsSet,
    properties: Arc<PlanProperties>,
}

impl CountRowsExec {
    /// Counts what `plain` counts, the rows that are `chosen`.
    pub(super) fn new(chosen: Chosen, plain: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(plain.schema()),
            Partitioning::UnknownPartitioning(chosen.scan.file_groups.len().max(1)),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let (parts, metrics) =
            (Arc::new(Parts::of(&chosen.scan)), chosen.source.scan_metrics().clone());
        Self { chosen, plain, parts, metrics, properties: Arc::new(properties) }
    }
}

/// Counts one row group after the other.
struct Counting {
    chosen: Chosen,
    plain: Arc<dyn ExecutionPlan>,
    parts: Arc<Parts>,
    context: Arc<TaskContext>,
    metrics: ExecutionPlanMetricsSet,
}

impl Counting {
    /// The count of the next row group; `None` after the last.
    async fn next(&self) -> Result<Option<SendableRecordBatchStream>> {
        let readers = self.chosen.source.readers();
        let Some(mut row_group) = self.parts.next(readers, &self.metrics).await? else {
            return Ok(None);
        };
        match self.chosen.rows_of(&mut row_group).await? {
            Some(rows) => self.batch(rows).map(Some),
            None => self.plainly(&row_group).map(Some),
        }
    }

    /// One row.
    fn batch(&self, rows: usize) -> Result<SendableRecordBatchStream> {
        let schema = self.plain.schema();
        let rows: ArrayRef = Arc::new(Int64Array::from(vec![i64::try_from(rows).unwrap_or(0)]));
        let columns = schema.fields().iter().map(|_| Arc::clone(&rows)).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter([Ok(batch)]))))
    }

    /// The row group as it would be counted otherwise.
    fn plainly(&self, row_group: &RowGroup) -> Result<SendableRecordBatchStream> {
        let Some(part) = row_group.part() else {
            return internal_err!("a row group lies nowhere");
        };
        let plain = halves::over_file(&self.plain, &part)?;
        execute_stream(plain, Arc::clone(&self.context))
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
        let reader = &mut row_group.reader;
        let Some(mut rows) = select::exactly(reader, of, &self.texts).await? else {
            return Ok(None);
        };
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
        let places: Vec<usize> = cut.iter().map(|(place, _)| *place).collect();
        let place = (row_group.number, places.as_slice());
        let metadata = Arc::clone(&row_group.metadata);
        let read = integers::read_all(&mut row_group.reader, &metadata, place, rows).await?;
        let Some(columns) = read else { return Ok(None) };
        let within: Vec<_> = cut.iter().map(|(_, bound)| &bound.within).collect();
        Ok(Some(match (columns.as_slice(), within.as_slice()) {
            ([numbers], [within]) => {
                let (low, high) = (*within.start(), *within.end());
                numbers.iter().filter(|number| (low <= **number) & (**number <= high)).count()
            }
            _ => {
                let holds = |row: usize| {
                    columns.iter().zip(&within).all(|(numbers, own)| own.contains(&numbers[row]))
                };
                (0..length(rows)).filter(|row| holds(*row)).count()
            }
        }))
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

fn length(ranges: &[Range<usize>]) -> usize {
    ranges.iter().map(ExactSizeIterator::len).sum()
}

impl DisplayAs for CountRowsExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CountRowsExec: files={}", self.parts.files())?;
        match self.chosen.source.condition() {
            Some(condition) => write!(f, ", predicate={condition}"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for CountRowsExec {
    crate::leaf::leaf_plan!("CountRowsExec", no expressions);

    fn execute(
        &self,
        _partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let counting = Counting {
            chosen: self.chosen.clone(),
            plain: Arc::clone(&self.plain),
            parts: Arc::clone(&self.parts),
            context,
            metrics: self.metrics.clone(),
        };
        let counts = stream::try_unfold(counting, |counting| async move {
            Ok::<_, DataFusionError>(counting.next().await?.map(|count| (count, counting)))
        });
        let stream = RecordBatchStreamAdapter::new(self.schema(), counts.try_flatten().boxed());
        Ok(Box::pin(cooperative(stream)))
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(self.chosen.clone(), Arc::clone(&self.plain))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
