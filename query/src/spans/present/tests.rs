use std::sync::Arc;

use arrow::array::Array;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use futures::TryStreamExt;
use storage::ManualClock;
use storage::schema::AttributeType;

use super::*;
use crate::fixture::{DAY, Table, batch, span};
use crate::{Config, Engine};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_those_that_sql_shows() {
    let mut child = span(1, 0x12, 10);
    child.parent = Some(0x11);
    child.rest = Some(r#"{"rare.int":7,"http.route":5}"#);
    child.columns = &[("http_response_status_code", "503")];
    child.link = Some(0x99);
    let stored = batch(&[span(1, 0x11, 0), child], &[("rare.int", AttributeType::Int)]);
    let mut table = Table::default();
    table.hot(stored.clone());
    let snapshot = table.snapshot();
    let presenter = Presenter::new(&snapshot.columns).unwrap();
    let wanted = BooleanArray::from(vec![false, true]);
    let rows = presenter.rows(&stored, &wanted).unwrap();

    let clock = Arc::new(ManualClock::at(DAY));
    let engine = Engine::over(move || Arc::clone(&snapshot), Config::default(), clock).unwrap();
    let asked = "SELECT * FROM spans WHERE span_id = '0000000000000012'";
    let answer = engine.sql(asked, Vec::new()).await.unwrap();
    let answer: Vec<RecordBatch> = answer.batches.try_collect().await.unwrap();
    assert_eq!((rows.num_rows(), answer.len(), answer[0].num_rows()), (1, 1, 1));
    for (index, field) in rows.schema_ref().fields().iter().enumerate() {
        assert_eq!(field.name(), answer[0].schema_ref().field(index).name());
        let plain = |column: &dyn Array| match column.data_type() {
            DataType::Utf8View => cast(column, &DataType::Utf8).unwrap().to_data(),
            _ => column.to_data(),
        };
        assert_eq!(plain(rows.column(index)), plain(answer[0].column(index)), "{}", field.name());
    }
    assert_eq!(rows.schema_ref().fields().last().unwrap().name(), "dropped_links_count");
}
