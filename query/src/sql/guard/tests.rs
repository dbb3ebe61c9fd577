use super::*;

fn verdict(sql: &str) -> Result<Checked> {
    // As on the query threads: parsing follows the nesting of the text.
    let sql = sql.to_owned();
    let thread = std::thread::Builder::new().stack_size(16 << 20);
    let checked = thread.spawn(move || check(&sql, &Config::default())).unwrap();
    checked.join().expect("the guard does not panic")
}

#[track_caller]
fn refuses(sql: &str, words: &str) {
    let error = verdict(sql).expect_err(&sql.chars().take(80).collect::<String>());
    assert!(error.message.contains(words), "{}: {:?}", &sql[..sql.len().min(80)], error.message);
}

#[test]
fn reading_is_allowed() {
    for sql in [
        "SELECT 1",
        "select * from spans limit 5;",
        "WITH e AS (SELECT * FROM spans WHERE status = 'ERROR') SELECT count(*) FROM e",
        "VALUES (1, 'a'), (2, 'b')",
        "EXPLAIN SELECT * FROM spans",
        "EXPLAIN ANALYZE SELECT * FROM spans",
        "EXPLAIN FORMAT TREE SELECT 1",
        "SHOW TABLES",
        "SHOW COLUMNS FROM spans",
        "DESCRIBE spans",
        "SELECT attributes['http.route'] FROM spans UNION ALL SELECT name FROM spans",
        "SELECT * FROM traces('-1h', 'now')",
        "SELECT (SELECT max(duration_nano) FROM spans) FROM spans WHERE name IN ('a', 'b')",
        "SELECT 1 -- INSERT INTO x",
        "SELECT ';' AS a /* ; DROP TABLE spans */",
    ] {
        verdict(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

#[test]
fn everything_that_is_not_reading_is_refused_by_name() {
    for sql in [
        "INSERT INTO spans SELECT * FROM spans",
        "INSERT INTO spans VALUES (1)",
        "UPDATE spans SET name = 'x'",
        "DELETE FROM spans",
        "TRUNCATE TABLE spans",
        "DROP TABLE spans",
        "DROP VIEW spans",
        "CREATE TABLE x (a INT)",
        "CREATE TABLE x AS SELECT * FROM spans",
        "CREATE OR REPLACE VIEW v AS SELECT 1",
        "CREATE SCHEMA s",
        "CREATE DATABASE d",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
        "CREATE FUNCTION f() RETURNS INT RETURN 1",
        "CREATE INDEX i ON spans (name)",
        "ALTER TABLE spans ADD COLUMN a INT",
        "COPY spans TO '/tmp/x.csv'",
        "COPY (SELECT 1) TO '/tmp/x.csv' STORED AS CSV",
        "COPY spans FROM '/etc/passwd'",
        "SET datafusion.execution.batch_size = 1",
        "RESET datafusion.execution.batch_size",
        "SHOW ALL",
        "SHOW datafusion.execution.batch_size",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE p",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "GRANT SELECT ON spans TO public",
        "KILL 1",
        "USE other",
        "ANALYZE TABLE spans",
        "EXPLAIN INSERT INTO spans SELECT * FROM spans",
        "EXPLAIN ANALYZE INSERT INTO spans SELECT * FROM spans",
        "EXPLAIN ANALYZE COPY spans TO '/tmp/x'",
        "EXPLAIN CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
        "EXPLAIN EXPLAIN SELECT 1",
        "/* SELECT */ DELETE FROM spans",
        "MERGE INTO spans USING spans s ON spans.name = s.name WHEN MATCHED THEN DELETE",
    ] {
        let error = verdict(sql).expect_err(sql);
        assert_eq!(error.kind, Kind::Invalid, "{sql}: {error}");
    }
    refuses("DROP TABLE spans", "DROP TABLE is not allowed: SQL here only reads");
}

#[test]
fn queries_that_write_lock_or_never_end_are_refused() {
    refuses("SELECT * INTO x FROM spans", "SELECT INTO");
    refuses("SELECT * FROM spans FOR UPDATE", "FOR UPDATE");
    refuses("WITH x AS (SELECT 1) INSERT INTO spans SELECT * FROM x", "only");
    refuses(
        "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM x) SELECT * FROM x",
        "WITH RECURSIVE",
    );
    refuses("SELECT * FROM (WITH RECURSIVE x AS (SELECT 1) SELECT * FROM x)", "WITH RECURSIVE");
}

#[test]
fn one_statement_at_a_time() {
    refuses("SELECT 1; SELECT 2", "one statement");
    refuses("SELECT 1; DROP TABLE spans", "one statement");
    refuses("", "empty");
    refuses(" ; -- nothing", "empty");
    refuses("SELEC 1", "cannot be read");
    refuses("SELECT 1 +", "cannot be read");
    refuses("SELECT 'unfinished", "cannot be read");
}

#[test]
fn size_depth_and_length_have_limits() {
    let long = format!("SELECT '{}'", "x".repeat(70_000));
    assert_eq!(verdict(&long).expect_err("too long").kind, Kind::TooLarge);
    let or = vec!["a=1"; 6_000].join(" OR ");
    refuses(&format!("SELECT * FROM spans WHERE {or}"), "operators");
    let or = vec!["a=1"; 700].join(" OR ");
    refuses(&format!("SELECT * FROM spans WHERE {or}"), "nested more than 500");
    refuses(&format!("SELECT {}1", "1+".repeat(5_000)), "operators");
    refuses(&format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000)), "cannot be read");
    refuses(&format!("SELECT {}1", "NOT ".repeat(10_000)), "operators");
    let items = vec!["1"; 10_000].join(",");
    refuses(&format!("SELECT * FROM spans WHERE weight IN ({items})"), "IN has 10000 items");
    refuses(&format!("SELECT {}", vec!["1"; 5_000].join(",")), "more than 1000 columns");
    refuses(&vec!["SELECT 1"; 500].join(" UNION ALL "), "branches");
    refuses(&format!("SELECT * FROM {}", vec!["spans"; 50].join(",")), "more than 20 tables");
    let nested = (0..60).fold("spans".to_owned(), |inner, _| format!("(SELECT * FROM {inner})"));
    verdict(&format!("SELECT * FROM {nested}")).expect_err("nested subqueries");
}

proptest::proptest! {
    #[test]
    fn no_text_panics(sql in "[ -~]{0,60}") {
        let _ = check(&sql, &Config::default());
    }
}
