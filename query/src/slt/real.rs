//! Statements of `slt/real/SET.slt` over other people's traces: hot, then in files. `UPDATE_EXPECT=1` writes the rows that
//! came into them.
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

use ingest::decode::Decoder;
use sqllogictest::strict_column_validator;
use storage::{Clock, Entry, ManualClock, Store, TimeRange};

use super::{Lake, NOW, folder_of_statements, slt_files};
use crate::Engine;
use crate::fixture::{patient, sets};

/// A lake with one set, all of it hot.
async fn with(folder: &Path, set: &str) -> Lake {
    let place = tempfile::tempdir().unwrap();
    let mut config = storage::Config::in_folder(place.path());
    config.ttl = None;
    // datadog_snapshots has a name of 50,000 bytes.
    let limits = ingest::Config { age_max: None, name_bytes_max: 64 << 10, ..Default::default() };
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOW));
    let decoder = Arc::new(Decoder::new(limits));
    let store = Store::open(config, decoder, Arc::clone(&clock)).await.unwrap();
    let file = std::fs::File::open(folder.join(format!("{set}.otlp.pb.gz"))).unwrap();
    for piece in ingest::file::Pieces::open(Box::new(BufReader::new(file))).unwrap() {
        let piece = piece.unwrap();
        let entry = Entry {
            format: piece.format.code(),
            received_unix_nano: NOW,
            accept: TimeRange::ALL,
            body: piece.body,
            deduplicate: false,
        };
        store.append(entry).await.unwrap();
    }
    let source = store.clone();
    let engine = Engine::over(move || source.snapshot(), patient(), clock).unwrap();
    Lake { store, engine, _folder: place }
}

async fn give_their_rows(path: &Path, folder: &Path) {
    let set = path.file_stem().unwrap().to_str().unwrap();
    let lake = with(folder, set).await;
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let (validator, normalizer) =
            (sqllogictest::default_validator, sqllogictest::default_normalizer);
        let mut runner = lake.runner();
        let updated =
            runner.update_test_file(path, " ", validator, normalizer, strict_column_validator);
        updated.await.unwrap();
    }
    // Large sets only once, or the test would take minutes.
    let lives: &[&str] =
        if set.starts_with("nezha") { &["in files"] } else { &["hot", "in files"] };
    for stored in lives {
        if *stored == "in files" {
            lake.store.flush().await.unwrap();
        }
        if let Err(error) = lake.runner().run_file_async(path).await {
            panic!("{stored}: {}", error.display(false));
        }
    }
    lake.store.close().await.unwrap();
}

#[tokio::test]
async fn every_view_gives_the_same_rows_of_real_sets_hot_and_in_files() {
    let Some(folder) = sets() else { return };
    let files = slt_files(&folder_of_statements().join("real"));
    assert_eq!(files.len(), 6, "{files:?}");
    for path in &files {
        give_their_rows(path, &folder).await;
    }
}
