use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use arrow::util::pretty::pretty_format_batches;
use expect_test::{Expect, expect};
use futures::TryStreamExt;
use storage::ManualClock;

use crate::fixture::{DAY, Table, batch, span};
use crate::{Config, Engine, Result};

async fn plain() -> Engine {
    let mut table = Table::default();
    table.file(&batch(&[span(1, 0x11, 0)], &[])).await;
    let snapshot = table.snapshot();
    let clock = Arc::new(ManualClock::at(DAY));
    Engine::over(move || Arc::clone(&snapshot), Config::default(), clock).unwrap()
}

async fn engine() -> Engine {
    plain().await.for_postgres()
}

async fn answer(sql: &str) -> Result<String> {
    let engine = engine().await;
    let rows: Vec<RecordBatch> = engine.sql(sql, Vec::new()).await?.batches.try_collect().await?;
    Ok(pretty_format_batches(&rows).unwrap().to_string())
}

async fn check(sql: &str, expected: Expect) {
    expected.assert_eq(&answer(sql).await.unwrap_or_else(|error| format!("{sql}: {error}")));
}

/// `\dt`, as psql 15 asks.
#[tokio::test]
async fn psql_finds_the_table() {
    let sql = r#"SELECT n.nspname as "Schema", c.relname as "Name",
        CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' END as "Type",
        pg_catalog.pg_get_userbyid(c.relowner) as "Owner"
        FROM pg_catalog.pg_class c
             LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
        WHERE c.relkind IN ('r','p','') AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast'
              AND n.nspname <> 'information_schema' AND pg_catalog.pg_table_is_visible(c.oid)
        ORDER BY 1,2"#;
    check(
        sql,
        expect![[r#"
            +--------+---------------+-------+----------+
            | Schema | Name          | Type  | Owner    |
            +--------+---------------+-------+----------+
            | public | retention_log | table | spanlake |
            | public | spans         | table | spanlake |
            | public | spans_raw     | table | spanlake |
            +--------+---------------+-------+----------+"#]],
    )
    .await;
}

/// `\d spans`: operators and collations by their whole names, subqueries over what there is none of.
#[tokio::test]
async fn psql_finds_the_columns() {
    let sql = r"SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
        (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d
          WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), a.attnotnull,
        (SELECT c.collname FROM pg_catalog.pg_collation c, pg_catalog.pg_type t
          WHERE c.oid = a.attcollation AND t.oid = a.atttypid AND a.attcollation <> t.typcollation) AS attcollation
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
        WHERE c.relname OPERATOR(pg_catalog.~) '^(spans)$' COLLATE pg_catalog.default
          AND a.attrelid = '16384' AND a.attnum > 7 AND a.attnum < 12 AND NOT a.attisdropped ORDER BY a.attnum";
    check(
        sql,
        expect![[r#"
            +----------------+--------------------------+----------+------------+--------------+
            | attname        | format_type              | ?column? | attnotnull | attcollation |
            +----------------+--------------------------+----------+------------+--------------+
            | start_time     | timestamp with time zone |          | true       |              |
            | duration_nano  | bigint                   |          | true       |              |
            | status         | text                     |          | true       |              |
            | status_message | text                     |          | false      |              |
            +----------------+--------------------------+----------+------------+--------------+"#]],
    )
    .await;
}

#[tokio::test]
async fn drivers_ask_for_versions_schemas_and_types() {
    for (sql, words) in [
        ("SELECT version()", "PostgreSQL 15.0, as spoken by Spanlake"),
        ("select current_schema", "public"),
        ("SELECT current_database(), current_user", "spanlake"),
        ("SELECT 'spans'::regclass::oid", "16384"),
        ("SELECT oid::regclass::text FROM pg_class", "spans"),
        ("SELECT typname FROM pg_type WHERE oid = 1184", "timestamptz"),
        (
            "SELECT typname, typarray FROM pg_catalog.pg_type t WHERE t.oid = to_regtype('text')",
            "1009",
        ),
        (
            "SELECT data_type FROM information_schema.columns WHERE column_name = 'attributes'",
            "json",
        ),
        ("SELECT quote_ident(table_name) FROM information_schema.tables", "spans"),
        ("SELECT count(*) FROM pg_index", "0"),
        (
            "SELECT (SELECT t.typname FROM pg_type t WHERE t.oid = a.atttypid) AS kind FROM pg_attribute a \
             WHERE a.attname = 'duration_nano'",
            "int8",
        ),
        (
            "SELECT has_table_privilege('spans', 'INSERT'), has_table_privilege('spans', 'SELECT')",
            "false",
        ),
        ("WITH t AS (SELECT relname FROM pg_class) SELECT * FROM t", "spans"),
        ("SELECT nspname FROM pg_namespace WHERE nspname = ANY (current_schemas(true))", "public"),
        ("SELECT 1 FROM pg_class WHERE EXISTS (SELECT 1 FROM pg_trigger)", "++"),
        (
            "SELECT NULL, NULL FROM pg_publication UNION SELECT prqual, NULL FROM pg_publication_rel",
            "++",
        ),
    ] {
        let found = answer(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert!(found.contains(words), "{sql}\n{found}");
    }
}

#[tokio::test]
async fn the_catalogue_and_the_spans_do_not_meet_and_nothing_else_is_let_in() {
    for (sql, words) in [
        ("SELECT relname FROM pg_class, spans", "table"),
        ("SELECT pg_read_file('/etc/passwd')", "pg_read_file"),
        ("SELECT * FROM pg_shadow", "pg_shadow"),
        ("SELECT pg_sleep(100)", "pg_sleep"),
        ("DELETE FROM pg_class", "is not allowed"),
        ("COPY pg_class TO '/tmp/x'", "is not allowed"),
        ("SELECT pg_terminate_backend(1)", "pg_terminate_backend"),
        ("SELECT version(), pg_ls_dir('/')", "pg_ls_dir"),
        (
            "WITH RECURSIVE r AS (SELECT oid FROM pg_class UNION ALL SELECT oid FROM r) SELECT * FROM r",
            "RECURSIVE",
        ),
    ] {
        let error = answer(sql).await.expect_err(sql);
        assert!(error.message.contains(words), "{sql}: {error}");
    }
    // Without the catalogue's door none of it is there.
    plain().await.sql("SELECT version()", Vec::new()).await.expect_err("version");
}

#[tokio::test]
async fn parameters_of_parts_that_are_left_out_are_no_mistake() {
    let engine = engine().await;
    let sql = "SELECT (SELECT adbin FROM pg_attrdef WHERE adbin = $2), relname FROM pg_class WHERE relname = $1";
    let hints = vec![Some(DataType::Utf8), Some(DataType::Utf8)];
    let described = engine.describe(sql, hints).await.unwrap();
    assert_eq!(described.parameters.len(), 2);
    let values = vec!["spans".into(), "x".into()];
    let rows: Vec<RecordBatch> =
        engine.sql(sql, values).await.unwrap().batches.try_collect().await.unwrap();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
}

#[tokio::test]
async fn a_statement_is_described_without_being_run() {
    let engine = engine().await;
    let sql =
        "SELECT name, duration_nano + $2 AS d FROM spans WHERE service = $1 AND start_time > $3";
    let found = engine.describe(sql, vec![None, Some(DataType::Int64)]).await.unwrap();
    let names: Vec<_> = found.schema.fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["name", "d"]);
    assert_eq!(found.parameters.len(), 3);
    assert_eq!(found.parameters[1], DataType::Int64);
    assert!(matches!(found.parameters[2], DataType::Timestamp(..)), "{:?}", found.parameters);
    engine.describe("DROP TABLE spans", Vec::new()).await.expect_err("not reading");
    engine.describe("SELECT $1001", Vec::new()).await.expect_err("too many parameters");
}
