//! Statements of `slt/*.slt` and of docs/sql.md over `slt/spans.jsonl`, through the real decoder and store: all spans
//! hot, part hot and part in files, all in files. `UPDATE_EXPECT=1` writes the rows that came into the `.slt` files.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use futures::TryStreamExt;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner, strict_column_validator};
use storage::ManualClock;
use storage::{Clock, Entry, Store, TimeRange};

use crate::fixture::patient;
use crate::{Engine, Error};

mod real;

/// 2026-11-22T00:30:00Z, what `now` means; the first span starts at 2026-11-21T23:50:00Z.
const NOW: i64 = 1_795_307_400_000_000_000;

/// Where the spans lie when statements run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flushed {
    Nothing,
    /// The first two of five requests: traces lie partly here, partly there.
    Part,
    Everything,
}

struct Lake {
    store: Store,
    engine: Engine,
    _folder: tempfile::TempDir,
}

impl Lake {
    async fn with(flushed: Flushed) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = storage::Config::in_folder(folder.path());
        config.ttl = None;
        let decoder =
            ingest::decode::Decoder::new(ingest::Config { age_max: None, ..Default::default() });
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOW));
        let store = Store::open(config, Arc::new(decoder), Arc::clone(&clock)).await.unwrap();
        let lines = std::fs::read_to_string(folder_of_statements().join("spans.jsonl")).unwrap();
        for (number, line) in (1..).zip(lines.lines()) {
            store.append(request(line)).await.unwrap();
            if number == 2 && flushed != Flushed::Nothing {
                store.flush().await.unwrap();
            }
        }
        if flushed == Flushed::Everything {
            store.flush().await.unwrap();
        }
        let source = store.clone();
        let engine = Engine::over(move || source.snapshot(), patient(), clock).unwrap();
        let lake = Self { store, engine, _folder: folder };
        lake.lies_as(flushed);
        lake
    }

    fn lies_as(&self, flushed: Flushed) {
        let snapshot = self.store.snapshot();
        let hot: usize = snapshot.hot.iter().map(|batch| batch.rows()).sum();
        let stored: u64 = snapshot.files.iter().map(|file| file.rows).sum();
        let expected = match flushed {
            Flushed::Nothing => (13, 0),
            Flushed::Part => (7, 6),
            Flushed::Everything => (0, 13),
        };
        assert_eq!((hot, stored), expected, "{flushed:?}");
    }

    async fn rows(&self, sql: &str) -> usize {
        let answer = self.engine.sql(sql, Vec::new()).await;
        let answer = answer.unwrap_or_else(|error| panic!("{error}\n{sql}"));
        let batches: Vec<RecordBatch> = answer.batches.try_collect().await.unwrap();
        batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The rows as a table, without the names of columns.
    async fn shown(&self, sql: &str) -> String {
        let answer = self.engine.sql(sql, Vec::new()).await;
        let answer = answer.unwrap_or_else(|error| panic!("{error}\n{sql}"));
        let batches: Vec<RecordBatch> = answer.batches.try_collect().await.unwrap();
        let mut rows = String::new();
        for batch in &batches {
            let options = FormatOptions::new();
            for row in 0..batch.num_rows() {
                for column in batch.columns() {
                    let cells = ArrayFormatter::try_new(column, &options).unwrap();
                    rows.push_str(&format!("{} ", cells.value(row)));
                }
                rows.push('\n');
            }
        }
        rows
    }

    fn runner(&self) -> Runner<Database, impl sqllogictest::MakeConnection<Conn = Database>> {
        let engine = self.engine.clone();
        let mut runner = Runner::new(move || {
            let engine = engine.clone();
            async { Ok(Database(engine)) }
        });
        runner.with_column_validator(strict_column_validator);
        runner
    }
}

fn request(line: &str) -> Entry {
    Entry {
        format: ingest::decode::Format::OtlpJson.code(),
        received_unix_nano: NOW,
        accept: TimeRange::ALL,
        body: line.to_owned().into(),
        deduplicate: false,
    }
}

fn folder_of_statements() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("slt")
}

/// The files with statements, by name.
fn statements() -> Vec<PathBuf> {
    slt_files(&folder_of_statements())
}

fn slt_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "slt"));
    paths.sort();
    paths
}

/// [`Engine::sql`] as the runner calls it.
struct Database(Engine);

#[async_trait]
impl AsyncDB for Database {
    type Error = Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Error> {
        let answer = self.0.sql(sql, Vec::new()).await?;
        let types = answer.schema.fields().iter().map(|field| letter(field.data_type())).collect();
        let batches: Vec<_> = answer.batches.try_collect().await?;
        let options = FormatOptions::new().with_null("NULL");
        let mut rows = Vec::new();
        for batch in &batches {
            let cells: Vec<_> = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column, &options))
                .collect::<Result<_, _>>()?;
            rows.extend(
                (0..batch.num_rows()).map(|row| {
                    cells.iter().map(|cell| shown(&cell.value(row).to_string())).collect()
                }),
            );
        }
        Ok(DBOutput::Rows { types, rows })
    }

    async fn shutdown(&mut self) {}
}

fn letter(kind: &DataType) -> DefaultColumnType {
    match kind {
        kind if kind.is_integer() => DefaultColumnType::Integer,
        kind if kind.is_floating() => DefaultColumnType::FloatingPoint,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DefaultColumnType::Text,
        _ => DefaultColumnType::Any,
    }
}

fn shown(cell: &str) -> String {
    if cell.is_empty() { "(empty)".to_owned() } else { cell.to_owned() }
}

#[tokio::test]
async fn statements_give_the_same_rows_wherever_spans_lie() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let paths = statements();
    assert!(paths.len() >= 10, "{paths:?}");
    for flushed in [Flushed::Nothing, Flushed::Part, Flushed::Everything] {
        let lake = Lake::with(flushed).await;
        for path in &paths {
            if update && flushed == Flushed::Nothing {
                let validator = sqllogictest::default_validator;
                let normalizer = sqllogictest::default_normalizer;
                let mut runner = lake.runner();
                let updated = runner
                    .update_test_file(path, " ", validator, normalizer, strict_column_validator)
                    .await;
                updated.unwrap();
                continue;
            }
            if let Err(error) = lake.runner().run_file_async(path).await {
                panic!("{flushed:?}: {}", error.display(false));
            }
        }
        lake.store.close().await.unwrap();
    }
}

#[tokio::test]
async fn examples_of_the_documentation_run() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sql.md");
    let page = std::fs::read_to_string(page).unwrap();
    let examples: Vec<&str> =
        page.split("\n```sql\n").skip(1).map(|rest| rest.split_once("\n```").unwrap().0).collect();
    assert!(examples.len() >= 10, "{} examples", examples.len());
    for flushed in [Flushed::Nothing, Flushed::Part, Flushed::Everything] {
        let lake = Lake::with(flushed).await;
        for example in &examples {
            lake.rows(example).await;
            // `now()` is the machine's; the spans are older than that.
            let then = example.replace("now()", "TIMESTAMP '2026-11-22T00:30:00Z'");
            assert!(lake.rows(&then).await > 0, "{flushed:?}: no rows\n{then}");
        }
        lake.store.close().await.unwrap();
    }
}

/// What must be shown after `cart.Get` of `cart` became `Get`, and the same said of what was shown before.
const RENAMED: [(&str, &str); 4] = [
    (
        "SELECT trace_id, root_name FROM traces() ORDER BY 1",
        "SELECT trace_id, replace(root_name, 'cart.Get', 'Get') FROM traces() ORDER BY 1",
    ),
    (
        "SELECT name, spans, errors FROM operations() WHERE service = 'cart' ORDER BY 1",
        "SELECT replace(name, 'cart.Get', 'Get') AS name, spans, errors FROM operations()
         WHERE service = 'cart' ORDER BY 1",
    ),
    (
        "SELECT service, name, caller_name FROM spans WHERE service IN ('cart', 'frontend') ORDER BY span_id, trace_id",
        "SELECT service, CASE WHEN service = 'cart' THEN replace(name, 'cart.Get', 'Get') ELSE name END,
           CASE WHEN caller_service = 'cart' THEN replace(caller_name, 'cart.Get', 'Get') ELSE caller_name END
         FROM spans WHERE service IN ('cart', 'frontend') ORDER BY span_id, trace_id",
    ),
    (
        "SELECT count(*) FROM spans WHERE service = 'cart' AND name = 'Get'",
        "SELECT count(*) FROM spans WHERE service = 'cart' AND name = 'cart.Get'",
    ),
];

#[tokio::test]
async fn a_renamed_operation_keeps_its_history_in_spans_and_views() {
    for flushed in [Flushed::Nothing, Flushed::Part, Flushed::Everything] {
        let lake = Lake::with(flushed).await;
        let mut expected = Vec::new();
        for (_, before) in RENAMED {
            expected.push(lake.shown(before).await);
        }
        let (service, name, to) = ("cart".into(), "cart.Get".into(), "Get".into());
        lake.store.patch(storage::patch::What::Rename { service, name, to }).await.unwrap();
        for ((sql, _), expected) in RENAMED.iter().zip(expected) {
            assert_eq!(lake.shown(sql).await, expected, "{flushed:?}: {sql}");
        }
        let raw = "SELECT count(*) FILTER (WHERE name = 'Get'), count(*) FROM spans_raw";
        assert_eq!(lake.shown(raw).await, "0 13 \n");
        lake.store.close().await.unwrap();
    }
}
