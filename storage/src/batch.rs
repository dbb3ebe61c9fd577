//! Spans as columns: what decoders make, what the hot buffer holds, what a flush sorts.
//!
//! A decoder leaves columns as they came to it ([`Values`]): repeated strings as numbers of [`Strings`] which batches
//! share from one flush to the next, rare values beside the rows that have them. Arrow arrays are made where somebody
//! asks for them: a flush for one column of all batches at a time, a query for the columns that it reads.
mod spots;
mod strings;
mod text;
mod values;

use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, FieldRef, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;

pub use spots::Spots;
pub(crate) use strings::Reading;
pub use strings::{Interner, Interning, Lately, Strings, equal};
pub(crate) use values::Part;
pub use values::Values;

use crate::schema::{AttributeScope, AttributeType, column, fixed_fields};
use crate::time::TimeRange;

/// How often an attribute lay in the JSON of a batch: it has no column, or a column of another type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestCount {
    /// Span or resource.
    pub scope: AttributeScope,
    /// Attribute name.
    pub key: String,
    /// Type of the values counted (a key with two types has two counts).
    pub kind: AttributeType,
    /// Spans that carried it.
    pub spans: u64,
}

/// The columns of some spans.
#[derive(Debug, Clone)]
pub struct Columns {
    /// All fixed columns of the schema in order, then attribute columns.
    pub schema: SchemaRef,
    /// One for each field.
    pub values: Vec<Values>,
    /// What [`Values::Text`] counts in.
    pub strings: Arc<Strings>,
    /// By how much this batch made `strings` larger: the memory is counted with the batch that caused it.
    pub strings_bytes: usize,
    /// Number of spans.
    pub rows: usize,
}

/// Spans in the physical schema ([`crate::schema`]): all fixed columns in order, then those attribute columns that
/// occur in this batch, in any order, each named and typed as [`crate::schema::AttributeColumns`] says.
/// `caller_*` and `root_*` are null until the flush.
#[derive(Debug, Clone)]
pub struct SpanBatch {
    columns: Columns,
    records: OnceLock<RecordBatch>,
    start: TimeRange,
    rest: Vec<RestCount>,
    bytes: usize,
}

impl SpanBatch {
    /// Wraps `records`.
    ///
    /// # Panics
    /// Where the fixed columns are not those of the schema: a mistake in a decoder.
    pub fn new(records: RecordBatch, rest: Vec<RestCount>) -> Self {
        let columns = Columns {
            schema: records.schema(),
            values: records
                .columns()
                .iter()
                .map(|array| Values::Array(Arc::clone(array)))
                .collect(),
            strings: Arc::default(),
            strings_bytes: 0,
            rows: records.num_rows(),
        };
        let batch = Self::of_columns(columns, rest);
        // An empty cell takes the value: nobody else knows it yet.
        let _ = batch.records.set(records);
        batch
    }

    /// Wraps `columns`.
    ///
    /// # Panics
    /// Where the fixed columns are not those of the schema: a mistake in a decoder.
    pub fn of_columns(columns: Columns, rest: Vec<RestCount>) -> Self {
        assert_fixed(&columns.schema);
        assert_eq!(columns.schema.fields().len(), columns.values.len(), "a column for each field");
        let start = start_range(&columns);
        let bytes = columns.strings_bytes + columns.values.iter().map(Values::bytes).sum::<usize>();
        Self { columns, records: OnceLock::new(), start, rest, bytes }
    }

    /// The columns as Arrow arrays. They are made at the first call and kept: ask for single columns ([`Self::column`])
    /// where few are enough.
    pub fn records(&self) -> &RecordBatch {
        self.records.get_or_init(|| {
            let arrays = self.columns.schema.fields().iter().zip(&self.columns.values);
            let arrays = arrays.map(|(field, values)| self.array(field, values)).collect();
            let options = RecordBatchOptions::new().with_row_count(Some(self.columns.rows));
            let schema = Arc::clone(&self.columns.schema);
            match RecordBatch::try_new_with_options(schema, arrays, &options) {
                Ok(records) => records,
                Err(error) => unreachable!("columns as the schema has them: {error}"),
            }
        })
    }

    /// The fields of [`Self::records`].
    pub fn schema(&self) -> &SchemaRef {
        &self.columns.schema
    }

    /// One column as an Arrow array, made anew at each call unless it is one already; `None` where the batch does not
    /// have the column.
    pub fn column(&self, name: &str) -> Option<ArrayRef> {
        let index = self.columns.schema.index_of(name).ok()?;
        if let Some(records) = self.records.get() {
            return Some(Arc::clone(records.column(index)));
        }
        Some(self.array(self.columns.schema.field(index), &self.columns.values[index]))
    }

    /// Number of spans.
    pub fn rows(&self) -> usize {
        self.columns.rows
    }

    /// The range of start times, empty (`from == until`) for no rows.
    pub fn start(&self) -> TimeRange {
        self.start
    }

    /// Attributes that occurred without having a column.
    pub fn rest(&self) -> &[RestCount] {
        &self.rest
    }

    /// Memory held, in bytes, without what [`Self::records`] made.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// True where the batch has the column.
    pub(crate) fn has_column(&self, name: &str) -> bool {
        self.columns.schema.index_of(name).is_ok()
    }

    /// The same spans with other `attributes` and further columns.
    pub(crate) fn with_columns(
        &self,
        attributes: ArrayRef,
        further: Vec<(FieldRef, ArrayRef)>,
        rest: Vec<RestCount>,
    ) -> Self {
        let mut columns = self.columns.clone();
        if let Ok(place) = columns.schema.index_of(column::ATTRIBUTES) {
            columns.values[place] = Values::Array(attributes);
        }
        let mut fields: Vec<FieldRef> = columns.schema.fields().iter().map(Arc::clone).collect();
        for (field, array) in further {
            fields.push(field);
            columns.values.push(Values::Array(array));
        }
        columns.schema = Arc::new(Schema::new(fields));
        Self::of_columns(columns, rest)
    }

    /// The column, of which `place` says where it was in the batch before: mostly at the same place.
    fn part(&self, name: &str, place: &mut usize) -> values::Part<'_> {
        let fields = self.columns.schema.fields();
        if fields.get(*place).is_none_or(|field| field.name() != name) {
            match fields.iter().position(|field| field.name() == name) {
                Some(found) => *place = found,
                None => return self.part_of(None),
            }
        }
        self.part_of(self.columns.values.get(*place))
    }

    fn part_of<'a>(&'a self, values: Option<&'a Values>) -> values::Part<'a> {
        values::Part { values, strings: &self.columns.strings, rows: self.columns.rows }
    }

    fn array(&self, field: &arrow::datatypes::Field, values: &Values) -> ArrayRef {
        match values::merge(&[self.part_of(Some(values))], field.data_type()) {
            Ok(array) => array,
            Err(error) => unreachable!("one part of column {}: {error}", field.name()),
        }
    }
}

/// The column `name` of all `batches`, one after the other; null where a batch does not have it.
pub(crate) fn merge(
    batches: &[Arc<SpanBatch>],
    name: &str,
    data_type: &DataType,
) -> Result<ArrayRef, ArrowError> {
    values::merge(&parts(batches, name), data_type)
}

/// The column `name` of each of the batches.
pub(crate) fn parts<'a>(batches: &'a [Arc<SpanBatch>], name: &str) -> Vec<Part<'a>> {
    let mut place = 0;
    batches.iter().map(|batch| batch.part(name, &mut place)).collect()
}

/// True where no batch has a value in the column.
pub(crate) fn is_all_null(batches: &[Arc<SpanBatch>], name: &str) -> bool {
    let mut place = 0;
    batches.iter().all(|batch| batch.part(name, &mut place).values.is_none_or(Values::is_all_null))
}

fn assert_fixed(schema: &Schema) {
    let fixed = fixed_fields();
    assert!(schema.fields().len() >= fixed.len(), "a span batch has all fixed columns");
    for (expected, actual) in fixed.iter().zip(schema.fields()) {
        assert_eq!((expected.name(), expected.data_type()), (actual.name(), actual.data_type()));
    }
}

fn start_range(columns: &Columns) -> TimeRange {
    let Values::Array(starts) = &columns.values[START_PLACE] else {
        unreachable!("start times come as an array")
    };
    let starts = starts.as_primitive::<Int64Type>().values();
    let from = starts.iter().copied().min().unwrap_or(0);
    let until = starts.iter().copied().max().map_or(0, |last| last.saturating_add(1));
    TimeRange { from, until }
}

/// Place of [`column::START`] among the fixed columns.
const START_PLACE: usize = 3;
