use storage::snapshot::TraceFilter;

use super::*;
use crate::fixture::{Table, batch, span};

/// A file that has something of these traces.
async fn file(traces: &[u128]) -> Arc<DataFile> {
    let mut table = Table::default();
    table.file(&batch(&[span(1, 1, 0)], &[])).await;
    let mut filter = TraceFilter::with_capacity(traces.len());
    traces.iter().for_each(|trace| filter.insert(&TraceId(trace.to_be_bytes())));
    let traces = Some(Arc::new(filter));
    Arc::new(DataFile { traces, ..table.snapshot().files[0].as_ref().clone() })
}

/// Of traces 1 to 3 those whose rows are not known.
fn unknown(rows: &OpenRows, files: &Arc<[Arc<DataFile>]>) -> Vec<[u8; 16]> {
    let traces = [1u128, 2, 3].map(u128::to_be_bytes);
    rows.find((files, false), (traces, i64::MIN), (&mut Texts::default(), &mut Vec::new()))
}

#[tokio::test]
async fn rows_are_known_until_a_file_comes_or_goes_that_may_have_something_of_them() {
    let (first, second, both) = (file(&[1]).await, file(&[2]).await, file(&[2, 3]).await);
    let rows = OpenRows::default();
    let files: Arc<[_]> = [Arc::clone(&first), Arc::clone(&second)].into();
    let traces = unknown(&rows, &files);
    assert_eq!(traces.len(), 3);
    rows.put((&files, false), &traces, (&Texts::default(), &[]));
    assert_eq!(unknown(&rows, &files), [[0; 16]; 0]);
    let gone: Arc<[_]> = [Arc::clone(&second)].into();
    assert_eq!(unknown(&rows, &gone), [1u128.to_be_bytes()]);
    let merged: Arc<[_]> = [both].into();
    assert_eq!(unknown(&rows, &merged), [1u128, 2, 3].map(u128::to_be_bytes));
}
