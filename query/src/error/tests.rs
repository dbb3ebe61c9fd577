use arrow::error::ArrowError;

use super::*;

#[track_caller]
fn check(error: DataFusionError, kind: Kind, words: &str) {
    let error = Error::from(error);
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.message.contains(words), "{:?} says {words:?}", error.message);
    assert!(!error.message.contains('/'), "{error} names a path");
}

#[test]
fn an_unknown_column_names_its_neighbours() {
    let valid_fields = ["service", "name", "duration_nano"].map(Column::from_name).to_vec();
    let field = Box::new(Column::from_name("servce"));
    let error = SchemaError::FieldNotFound { field, valid_fields };
    let error = DataFusionError::SchemaError(Box::new(error), Box::new(None));
    check(error, Kind::Invalid, "there is service.");
}

#[test]
fn causes_are_found_below_context() {
    let parquet = parquet::errors::ParquetError::EOF("/secret/path".into());
    let inner = DataFusionError::from(ArrowError::ExternalError(Box::new(parquet)));
    check(inner.context("reading /secret/path"), Kind::Corrupt, "damaged");
}

#[test]
fn a_lost_file_asks_for_another_try() {
    let source = "gone".into();
    let lost = object_store::Error::NotFound { path: "date=2026/x".into(), source };
    let error = DataFusionError::ObjectStore(Box::new(lost));
    check(error, Kind::Unavailable, "run the query again");
}

#[test]
fn memory_says_what_to_do() {
    let error = DataFusionError::ResourcesExhausted("consumer /a/b".into());
    check(error, Kind::Busy, "narrow the time range");
}

#[test]
fn errors_of_ours_come_through_unchanged() {
    let own = DataFusionError::from(Error::new(Kind::TimedOut, "took longer than 30 s"));
    check(own, Kind::TimedOut, "took longer than 30 s");
    let wrapped = DataFusionError::from(Error::invalid("no")).context("somewhere");
    check(wrapped, Kind::Invalid, "no");
}

#[test]
fn long_texts_are_cut_between_characters() {
    assert!(short(&"ä".repeat(1_000)).len() <= MESSAGE_BYTES_MAX + 3);
}

#[test]
fn a_condition_that_fails_inside_a_file_is_no_damage() {
    let within = |cause: &str| {
        let text = format!("{IN_CONDITION}{cause}");
        let inner =
            parquet::errors::ParquetError::External(Box::new(ArrowError::ComputeError(text)));
        DataFusionError::ParquetError(Box::new(inner))
    };
    check(within("Execution(\"repeat makes too much\")"), Kind::Invalid, "repeat makes too much");
    check(within("ArrowError(DivideByZero, None)"), Kind::Invalid, "division by zero");
    check(within("ResourcesExhausted(\"/a\")"), Kind::Busy, "narrow");
}

#[test]
fn a_footer_that_cannot_be_fetched_is_no_damage() {
    let at = "Failed to fetch metadata for file date=2026/x: Object Store error: ";
    let parquet = |text: &str| parquet::errors::ParquetError::General(format!("{at}{text}"));
    let gone = parquet("Object at location date=2026/x not found: 404");
    check(gone.into(), Kind::Unavailable, "run the query again");
    let away = parquet("Generic S3 error: connection reset");
    check(away.into(), Kind::Unavailable, "try again in a moment");
}
