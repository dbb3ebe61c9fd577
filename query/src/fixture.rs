//! What tests ask about: spans made by hand (hot batches, Parquet files in memory), and where other people's traces lie.
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    Array, ArrayRef, FixedSizeBinaryBuilder, Float64Array, Int32Array, Int64Array, ListBuilder,
    RecordBatch, StringArray, StringBuilder, StringDictionaryBuilder, StructBuilder,
    new_null_array,
};
use arrow::datatypes::{DataType, Field, FieldRef, Int32Type, Schema};
use chrono::DateTime;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};
use storage::batch::RestCount;
use storage::rollup::Rollups;
use storage::schema::{AttributeColumns, AttributeScope, AttributeType, column as c, fixed_fields};
use storage::{DataFile, Snapshot, SpanBatch, TableVersion};

use crate::Config;

/// Settings of an engine whose questions no busy machine stops.
pub(crate) fn patient() -> Config {
    Config { time_max: Duration::from_secs(1_800), ..Config::default() }
}

/// The folder with the data sets, if it is there.
pub(crate) fn sets() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    #[expect(clippy::disallowed_methods, reason = "tests find their data by it")]
    let folder = std::env::var("SPANLAKE_TEST_DATA")
        .map_or_else(|_| root.join("../shared/data"), PathBuf::from)
        .join("converted");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: ../shared/data is absent");
    None
}

/// One span; [`span`] gives the defaults.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) trace: u128,
    pub(crate) id: u64,
    pub(crate) parent: Option<u64>,
    pub(crate) start: i64,
    pub(crate) duration: i64,
    pub(crate) service: &'static str,
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) status: &'static str,
    /// JSON of the attributes without a column.
    pub(crate) rest: Option<&'static str>,
    pub(crate) resource: &'static str,
    /// `(column, value)`; numbers as text.
    pub(crate) columns: &'static [(&'static str, &'static str)],
    pub(crate) link: Option<u64>,
}

/// 2026-11-21T00:00:00Z.
pub(crate) const DAY: i64 = 1_795_219_200_000_000_000;

/// A span of trace `trace` with an id and a start, everything else plain.
pub(crate) fn span(trace: u128, id: u64, start: i64) -> Span {
    Span {
        trace,
        id,
        parent: None,
        start: DAY + start,
        duration: 1_000_000,
        service: "shop",
        name: "GET /cart",
        kind: "SERVER",
        status: "UNSET",
        rest: None,
        resource: r#"{"service.name":"shop"}"#,
        columns: &[],
        link: None,
    }
}

/// A batch of `spans`; attributes in `rest` are counted as `rest` says.
pub(crate) fn batch(spans: &[Span], rest: &[(&str, AttributeType)]) -> SpanBatch {
    let mut fields = fixed_fields();
    let mut columns: Vec<ArrayRef> = fields.iter().map(|field| column(spans, field)).collect();
    for attribute in AttributeColumns::from_start().as_slice() {
        let field = Arc::new(attribute.field());
        let values = attribute_values(spans, &attribute.column, attribute.kind);
        if values.null_count() < values.len() {
            fields.push(field);
            columns.push(values);
        }
    }
    let records = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let counts = rest.iter().map(|(key, kind)| RestCount {
        scope: AttributeScope::Span,
        key: (*key).to_owned(),
        kind: *kind,
        spans: 1,
    });
    SpanBatch::new(records, counts.collect())
}

fn column(spans: &[Span], field: &FieldRef) -> ArrayRef {
    let text = |of: &dyn Fn(&Span) -> Option<String>| -> ArrayRef {
        let mut out = StringDictionaryBuilder::<Int32Type>::new();
        spans.iter().for_each(|span| out.append_option(of(span)));
        Arc::new(out.finish())
    };
    let some = |text: &str| Some(text.to_owned());
    match field.name().as_str() {
        c::TRACE_ID => ids(16, spans.iter().map(|span| Some(span.trace.to_be_bytes().to_vec()))),
        c::SPAN_ID => ids(8, spans.iter().map(|span| Some(span.id.to_be_bytes().to_vec()))),
        c::PARENT_SPAN_ID => {
            ids(8, spans.iter().map(|span| span.parent.map(|id| id.to_be_bytes().to_vec())))
        }
        c::START => Arc::new(Int64Array::from_iter_values(spans.iter().map(|span| span.start))),
        c::DURATION => Arc::new(Int64Array::from_iter_values(spans.iter().map(|s| s.duration))),
        c::RECEIVED => Arc::new(Int64Array::from_iter_values(spans.iter().map(|_| DAY))),
        c::WEIGHT => Arc::new(Float64Array::from_iter_values(spans.iter().map(|_| 1.0))),
        c::FLAGS => Arc::new(Int32Array::from_iter_values(spans.iter().map(|_| 1))),
        c::SERVICE => text(&|span| some(span.service)),
        c::NAME => text(&|span| some(span.name)),
        c::KIND => text(&|span| some(span.kind)),
        c::STATUS => text(&|span| some(span.status)),
        c::RESOURCE => text(&|span| some(span.resource)),
        c::SCOPE_NAME => text(&|_| some("fixture")),
        c::ATTRIBUTES => Arc::new(spans.iter().map(|span| span.rest).collect::<StringArray>()),
        c::LINKS => links(spans, field),
        _ => new_null_array(field.data_type(), spans.len()),
    }
}

fn ids(length: i32, values: impl Iterator<Item = Option<Vec<u8>>>) -> ArrayRef {
    let mut out = FixedSizeBinaryBuilder::new(length);
    for value in values {
        match value {
            Some(value) => out.append_value(value).unwrap(),
            None => out.append_null(),
        }
    }
    Arc::new(out.finish())
}

fn links(spans: &[Span], field: &Field) -> ArrayRef {
    let DataType::List(element) = field.data_type() else { unreachable!() };
    let DataType::Struct(fields) = element.data_type() else { unreachable!() };
    let structs = StructBuilder::from_fields(fields.clone(), spans.len());
    let mut out = ListBuilder::new(structs).with_field(Arc::clone(element));
    for span in spans {
        let Some(id) = span.link else {
            out.append_null();
            continue;
        };
        let link = out.values();
        let trace = link.field_builder::<FixedSizeBinaryBuilder>(0).unwrap();
        trace.append_value(span.trace.to_be_bytes()).unwrap();
        let span_id = link.field_builder::<FixedSizeBinaryBuilder>(1).unwrap();
        span_id.append_value(id.to_be_bytes()).unwrap();
        link.field_builder::<StringBuilder>(2).unwrap().append_null();
        link.field_builder::<StringBuilder>(3).unwrap().append_value(r#"{"why":"retry"}"#);
        for number in [4, 5] {
            link.field_builder::<arrow::array::Int32Builder>(number).unwrap().append_null();
        }
        link.append(true);
        out.append(true);
    }
    Arc::new(out.finish())
}

fn attribute_values(spans: &[Span], column: &str, kind: AttributeType) -> ArrayRef {
    let values = spans
        .iter()
        .map(|span| span.columns.iter().find(|(name, _)| *name == column).map(|(_, value)| *value));
    match kind {
        AttributeType::String => {
            let mut out = StringDictionaryBuilder::<Int32Type>::new();
            values.for_each(|value| out.append_option(value));
            Arc::new(out.finish())
        }
        AttributeType::Int => {
            Arc::new(values.map(|value| value.map(|v| v.parse().unwrap())).collect::<Int64Array>())
        }
        other => unreachable!("{other:?} has no column from the start"),
    }
}

/// A table made of files and hot batches.
#[derive(Debug, Default)]
pub(crate) struct Table {
    store: Arc<InMemory>,
    files: Vec<Arc<DataFile>>,
    hot: Vec<Arc<SpanBatch>>,
}

impl Table {
    /// Adds a file with the spans of `batch`, which must be of one date.
    pub(crate) async fn file(&mut self, batch: &SpanBatch) -> &mut Self {
        self.file_of(batch, WriterProperties::default()).await
    }

    /// The same with many pages, of the kind that files of ours have.
    pub(crate) async fn file_of_pages(&mut self, batch: &SpanBatch) -> &mut Self {
        let properties = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_2_0)
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_data_page_row_count_limit(90)
            .set_write_batch_size(45);
        self.file_of(batch, properties.build()).await
    }

    /// The same with row groups of at most so many spans.
    pub(crate) async fn file_in_groups(&mut self, batch: &SpanBatch, rows: usize) -> &mut Self {
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows));
        self.file_of(batch, properties.build()).await
    }

    async fn file_of(&mut self, batch: &SpanBatch, properties: WriterProperties) -> &mut Self {
        let date = DateTime::from_timestamp_nanos(batch.start().from).date_naive();
        let path = format!("date={date}/{}.parquet", self.files.len());
        let options =
            ArrowWriterOptions::new().with_skip_arrow_metadata(true).with_properties(properties);
        let schema = batch.records().schema();
        let mut writer = ArrowWriter::try_new_with_options(Vec::new(), schema, options).unwrap();
        writer.write(batch.records()).unwrap();
        let bytes = writer.into_inner().unwrap();
        let size = bytes.len() as u64;
        self.store.put(&path.as_str().into(), bytes.into()).await.unwrap();
        let mut rest: Vec<_> = batch.rest().iter().map(|c| (c.scope, c.key.clone())).collect();
        rest.sort();
        self.files.push(Arc::new(DataFile {
            path,
            bytes: size,
            checksum: None,
            footer: None,
            rows: batch.rows() as u64,
            date,
            class: None,
            start: batch.start(),
            modified_unix_milli: DAY / 1_000_000,
            services: None,
            traces: None,
            rest: Some(rest.into()),
            sidecar: None,
            rollup: None,
        }));
        self
    }

    /// Adds a hot batch.
    pub(crate) fn hot(&mut self, batch: SpanBatch) -> &mut Self {
        self.hot.push(Arc::new(batch));
        self
    }

    /// What a reader sees.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        let columns = Arc::new(AttributeColumns::from_start());
        let schema = columns.schema();
        let object_store: Arc<dyn ObjectStore> = Arc::<InMemory>::clone(&self.store);
        Arc::new(Snapshot {
            version: TableVersion(1),
            files: self.files.clone().into(),
            hot: self.hot.clone().into(),
            columns,
            schema,
            rollups: Rollups::new(Arc::clone(&object_store), 1 << 20).into(),
            object_store,
            folder: None,
            rearranged: Arc::default(),
            receipts: Arc::new([]),
            patches: Arc::default(),
            ledger: Arc::default(),
        })
    }
}
