//! Columns of an answer: name, type and values in one place.
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions,
    StringViewBuilder, TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::common::Result;

/// Makes a batch, column by column, from the rows of an answer. Without rows it still makes the schema.
pub(crate) struct Columns<'a, Row> {
    rows: &'a [Row],
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
    /// The places of the columns to make; `None` for all.
    wanted: Option<&'a [usize]>,
    /// The place of the next column.
    place: usize,
}

impl<'a, Row> Columns<'a, Row> {
    /// No columns yet.
    pub(crate) fn of(rows: &'a [Row]) -> Self {
        Self { rows, fields: Vec::new(), arrays: Vec::new(), wanted: None, place: 0 }
    }

    /// No columns yet; only those at `wanted` are going to be made.
    pub(crate) fn some_of(rows: &'a [Row], wanted: &'a [usize]) -> Self {
        Self { wanted: Some(wanted), ..Self::of(rows) }
    }

    /// Passes over the next column where it is not wanted.
    fn passes(&mut self) -> bool {
        let place = self.place;
        self.place += 1;
        self.wanted.is_some_and(|wanted| !wanted.contains(&place))
    }

    /// A text column.
    pub(crate) fn text<T: AsRef<str>>(mut self, name: &str, value: impl Fn(&'a Row) -> T) -> Self {
        if self.passes() {
            return self;
        }
        let mut texts = StringViewBuilder::with_capacity(self.rows.len());
        for row in self.rows {
            texts.append_value(value(row));
        }
        self.add(name, DataType::Utf8View, false, Arc::new(texts.finish()))
    }

    /// A text column with NULLs.
    pub(crate) fn text_or_null<T: AsRef<str>>(
        mut self,
        name: &str,
        value: impl Fn(&'a Row) -> Option<T>,
    ) -> Self {
        if self.passes() {
            return self;
        }
        let mut texts = StringViewBuilder::with_capacity(self.rows.len());
        for row in self.rows {
            texts.append_option(value(row));
        }
        self.add(name, DataType::Utf8View, true, Arc::new(texts.finish()))
    }

    /// A BIGINT column.
    pub(crate) fn big(mut self, name: &str, value: impl Fn(&Row) -> i64) -> Self {
        if self.passes() {
            return self;
        }
        let array = Int64Array::from_iter_values(self.rows.iter().map(value));
        self.add(name, DataType::Int64, false, Arc::new(array))
    }

    /// A BIGINT column with NULLs.
    pub(crate) fn big_or_null(mut self, name: &str, value: impl Fn(&Row) -> Option<i64>) -> Self {
        if self.passes() {
            return self;
        }
        let array: Int64Array = self.rows.iter().map(value).collect();
        self.add(name, DataType::Int64, true, Arc::new(array))
    }

    /// A DOUBLE column.
    pub(crate) fn float(mut self, name: &str, value: impl Fn(&Row) -> f64) -> Self {
        if self.passes() {
            return self;
        }
        let array = Float64Array::from_iter_values(self.rows.iter().map(value));
        self.add(name, DataType::Float64, false, Arc::new(array))
    }

    /// A DOUBLE column with NULLs.
    pub(crate) fn float_or_null(mut self, name: &str, value: impl Fn(&Row) -> Option<f64>) -> Self {
        if self.passes() {
            return self;
        }
        let array: Float64Array = self.rows.iter().map(value).collect();
        self.add(name, DataType::Float64, true, Arc::new(array))
    }

    /// A BOOLEAN column.
    pub(crate) fn flag(mut self, name: &str, value: impl Fn(&Row) -> bool) -> Self {
        if self.passes() {
            return self;
        }
        let array: BooleanArray = self.rows.iter().map(|row| Some(value(row))).collect();
        self.add(name, DataType::Boolean, false, Arc::new(array))
    }

    /// A timestamp column, from Unix nanoseconds.
    pub(crate) fn time(mut self, name: &str, value: impl Fn(&Row) -> i64) -> Self {
        if self.passes() {
            return self;
        }
        let array = TimestampNanosecondArray::from_iter_values(self.rows.iter().map(value));
        let kind = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        self.add(name, kind, false, Arc::new(array.with_timezone("UTC")))
    }

    /// A timestamp column with NULLs, from Unix nanoseconds.
    pub(crate) fn time_or_null(mut self, name: &str, value: impl Fn(&Row) -> Option<i64>) -> Self {
        if self.passes() {
            return self;
        }
        let array: TimestampNanosecondArray = self.rows.iter().map(value).collect();
        let kind = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        self.add(name, kind, true, Arc::new(array.with_timezone("UTC")))
    }

    /// All columns.
    pub(crate) fn finish(self) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows.len()));
        let schema = Arc::new(Schema::new(self.fields));
        Ok(RecordBatch::try_new_with_options(schema, self.arrays, &options)?)
    }

    fn add(mut self, name: &str, kind: DataType, nullable: bool, array: ArrayRef) -> Self {
        self.fields.push(Field::new(name, kind, nullable));
        self.arrays.push(array);
        self
    }
}

/// A sum of weights and its standard error, which do not depend on the order of adding.
///
/// Traces are sampled, not spans, so the variance is that of a sum over traces (Horvitz-Thompson): a trace whose `n` spans
/// here have weights that add up to `S` contributes `S * (S - n)`. With one weight `w = 1/p` in the trace that is
/// `(1 - p) / p^2 * n^2`; with several it is no less than the truth.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weight {
    total: i128,
    variance: i128,
    /// The trace that is being added, by its id.
    open: Option<(u128, Cluster)>,
}

/// Spans of one trace.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cluster {
    sum: i128,
    spans: u32,
}

/// Weights are added as multiples of 2^-40.
const WEIGHT_UNITS: f64 = (1u64 << 40) as f64;

impl Cluster {
    /// Adds one span that stands for `weight` spans.
    pub(crate) fn add(&mut self, weight: f64) {
        self.sum = self.sum.saturating_add(units(weight));
        self.spans = self.spans.saturating_add(1);
    }

    fn variance(self) -> i128 {
        let sum = self.sum as f64 / WEIGHT_UNITS;
        units(sum * (sum - f64::from(self.spans)))
    }
}

impl Weight {
    /// Adds a span of `trace` that stands for `weight` spans. All spans of a trace come one after the other.
    pub(crate) fn add(&mut self, trace: u128, weight: f64) {
        self.add_loose(weight);
        match &mut self.open {
            Some((open, cluster)) if *open == trace => cluster.add(weight),
            _ => {
                self.close();
                let mut cluster = Cluster::default();
                cluster.add(weight);
                self.open = Some((trace, cluster));
            }
        }
    }

    /// Adds what another has counted, of other traces.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.close();
        self.total = self.total.saturating_add(other.total);
        self.variance = self.variance.saturating_add(other.variance);
        if let Some((_, cluster)) = other.open {
            self.add_variance(cluster);
        }
    }

    fn close(&mut self) {
        if let Some((_, closed)) = self.open.take() {
            self.add_variance(closed);
        }
    }

    /// Adds a span to the sum only: its trace is added by [`Self::add_variance`].
    pub(crate) fn add_loose(&mut self, weight: f64) {
        self.total = self.total.saturating_add(units(weight));
    }

    /// Adds a trace to the variance only.
    pub(crate) fn add_variance(&mut self, cluster: Cluster) {
        self.variance = self.variance.saturating_add(cluster.variance());
    }

    /// The estimated number of spans before sampling.
    pub(crate) fn total(&self) -> f64 {
        self.total as f64 / WEIGHT_UNITS
    }

    /// The standard error of [`Self::total`]; 0 without sampling.
    pub(crate) fn standard_error(&self) -> f64 {
        let open = self.open.map_or(0, |(_, cluster)| cluster.variance());
        (self.variance.saturating_add(open).max(0) as f64 / WEIGHT_UNITS).sqrt()
    }
}

/// An estimated count.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Estimate {
    /// The count before sampling.
    pub(crate) total: f64,
    /// Its standard error.
    pub(crate) error: f64,
}

impl From<Weight> for Estimate {
    fn from(weight: Weight) -> Self {
        Self { total: weight.total(), error: weight.standard_error() }
    }
}

impl From<storage::rollup::Weight> for Estimate {
    fn from(weight: storage::rollup::Weight) -> Self {
        Self { total: weight.total(), error: weight.standard_error() }
    }
}

/// A weight as a whole number of its smallest parts, which add up in any order.
#[expect(clippy::cast_possible_truncation, reason = "a float cast saturates, which is meant")]
pub(crate) fn units(value: f64) -> i128 {
    (value * WEIGHT_UNITS).round() as i128
}

/// The weight that so many smallest parts are.
pub(crate) fn from_units(units: i128) -> f64 {
    units as f64 / WEIGHT_UNITS
}

/// A sum of bytes as BIGINT.
pub(crate) fn bytes(sum: i128) -> i64 {
    i64::try_from(sum.max(0)).unwrap_or(i64::MAX)
}

/// A count as BIGINT.
pub(crate) fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// `part / whole`; `None` of nothing.
pub(crate) fn share(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
