use super::*;

#[test]
fn statements_are_split_outside_of_quotes_and_comments() {
    assert_eq!(statements("SELECT 1; SELECT 2;"), ["SELECT 1", " SELECT 2"]);
    assert_eq!(statements("SELECT ';' -- ; \n; /* ; /* */ ; */ ;"), ["SELECT ';' -- ; \n"]);
    assert_eq!(statements("SELECT \"a;b\", 'it''s;'"), ["SELECT \"a;b\", 'it''s;'"]);
    assert_eq!(statements(" ; -- nothing"), [" "]);
    assert_eq!(statements("SELECT 'open;"), ["SELECT 'open;"]);
}

#[test]
fn what_concerns_the_session_is_told_from_questions() {
    let set = |name: &str, value: &str| Command::Set { name: name.into(), value: value.into() };
    for (text, expected) in [
        ("begin read only", Command::Begin),
        ("/* hello */ START TRANSACTION", Command::Begin),
        ("COMMIT", Command::Commit),
        ("END", Command::Commit),
        ("ROLLBACK", Command::Rollback),
        ("ROLLBACK TO SAVEPOINT a", Command::Nothing("ROLLBACK")),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", Command::Nothing("SET")),
        ("SET extra_float_digits = 3", set("extra_float_digits", "3")),
        ("set local DateStyle to 'ISO, MDY'", set("datestyle", "ISO, MDY")),
        ("SET TIME ZONE 'Europe/Berlin'", set("timezone", "Europe/Berlin")),
        ("SHOW TRANSACTION ISOLATION LEVEL", Command::Show("transaction_isolation".into())),
        ("SHOW server_version", Command::Show("server_version".into())),
        ("SHOW TABLES", Command::Query),
        ("SELECT 1", Command::Query),
        ("DEALLOCATE ALL", Command::Deallocate(None)),
        ("DEALLOCATE \"S_1\"", Command::Deallocate(Some("S_1".into()))),
        ("DISCARD ALL", Command::Deallocate(None)),
        ("DROP TABLE spans", Command::Query),
        ("", Command::Empty),
    ] {
        assert_eq!(command(text), Ok(expected), "{text}");
    }
}

#[test]
fn parameters_change_nothing_but_what_show_says() {
    let mut settings = Settings::new("1.2.3", "me");
    settings.set("application_name", "psql").unwrap();
    assert_eq!(settings.show("Application_Name").unwrap(), "psql");
    settings.reset("all");
    assert_eq!(settings.show("application_name").unwrap(), "");
    assert_eq!(settings.show("server_version").unwrap(), "15.0 (Spanlake 1.2.3)");
    settings.set("TimeZone", "Asia/Tokyo").unwrap();
    assert_eq!(settings.show("timezone").unwrap(), "UTC");
    settings.set("client_encoding", "utf-8").unwrap();
    assert_eq!(settings.set("client_encoding", "LATIN1").unwrap_err().code, "22023");
    for name in ["datafusion.execution.batch_size", "work_mem_", ""] {
        assert_eq!(settings.set(name, "1").unwrap_err().code, "42704", "{name}");
    }
    assert_eq!(settings.statement_timeout(), None);
    settings.set("statement_timeout", "1500ms").unwrap();
    assert_eq!(settings.statement_timeout(), Some(std::time::Duration::from_millis(1_500)));
}
