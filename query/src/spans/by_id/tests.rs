use arrow::util::pretty::pretty_format_batches;
use object_store::ObjectStoreExt;
use storage::{ManualClock, Snapshot};

use crate::fixture::{DAY, Span, Table, batch, span};
use crate::{Config, Engine};

use super::*;

/// Forty traces of nine spans, of which no two neighbours in the file are of one trace.
fn spans() -> Vec<Span> {
    let made = |number: u64| {
        let start = i64::try_from(number).unwrap() * 1_000;
        let mut made = span(u128::from(number % 40) + 1, number + 1, start);
        made.service = ["shop", "pay", "stock"][usize::try_from(number / 31 % 3).unwrap()];
        if number.is_multiple_of(7) {
            made.columns = &[("http_route", "/cart"), ("http_response_status_code", "503")];
            made.rest = Some(r#"{"rare.int":7,"rare.text":"x"}"#);
        }
        if number.is_multiple_of(11) {
            made.link = Some(0x99);
        }
        made
    };
    (0..360).map(made).collect()
}

fn engine(snapshot: &Arc<Snapshot>) -> Engine {
    let (snapshot, clock) = (Arc::clone(snapshot), Arc::new(ManualClock::at(DAY)));
    Engine::over(move || Arc::clone(&snapshot), Config::default(), clock).unwrap()
}

async fn shown(engine: &Engine, trace: u64) -> crate::Result<String> {
    let answer = engine.trace(TraceId(u128::from(trace).to_be_bytes())).await?;
    let rows: Vec<RecordBatch> = answer.batches.try_collect().await?;
    Ok(pretty_format_batches(&rows).unwrap().to_string())
}

#[tokio::test]
async fn a_trace_in_a_folder_of_this_machine_is_read_there_and_is_the_same() {
    let mut table = Table::default();
    table.file_of_pages(&batch(&spans(), &[])).await;
    let far = table.snapshot();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(&far.files[0].path);
    let location = far.files[0].path.as_str().into();
    let bytes = far.object_store.get(&location).await.unwrap().bytes().await.unwrap();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let near = Snapshot { folder: Some(folder.path().into()), ..far.as_ref().clone() };
    let (far, near) = (engine(&far), engine(&Arc::new(near)));

    for trace in 1..=40 {
        let expected = shown(&far, trace).await.unwrap();
        assert_eq!(expected.lines().count(), 9 + 4, "{expected}");
        // Twice: the second time most pages are in memory.
        assert_eq!(shown(&near, trace).await.unwrap(), expected);
        assert_eq!(shown(&near, trace).await.unwrap(), expected);
    }

    // The store has the file no more, the folder has: footers are known by now.
    table.snapshot().object_store.delete(&location).await.unwrap();
    assert!(shown(&far, 3).await.is_err(), "plain values are read again");
    shown(&near, 3).await.unwrap();

    // And the other way round: what the folder lacks is asked of the store.
    table.snapshot().object_store.put(&location, bytes.into()).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let expected = shown(&far, 5).await.unwrap();
    assert_eq!(shown(&near, 5).await.unwrap(), expected);
}
