use std::io::Write;

use super::*;
use crate::config::Flags;

const SPANS: u64 = 40;

/// OTLP JSON lines, a request a line.
fn lines() -> String {
    let line = |number: u64| {
        format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"s"}}}}]}},"scopeSpans":[{{"spans":[{{"traceId":"{:032x}","spanId":"{:016x}","name":"n","startTimeUnixNano":"{}","endTimeUnixNano":"{}"}}]}}]}}]}}"#,
            number + 1,
            number + 1,
            1_600_000_000_000_000_000 + number,
            1_600_000_000_000_000_500 + number
        )
    };
    (0..SPANS).map(|number| line(number) + "\n").collect()
}

fn config(folder: &Path) -> Config {
    let data = Some(folder.join("data").display().to_string());
    Config::load(&Flags { data, ..Default::default() }, &Default::default()).unwrap()
}

fn plan(file: &Path) -> Plan {
    Plan { files: files(&[file.to_path_buf()]).unwrap(), shift_to_now: false, again: false }
}

async fn rows(config: &Config) -> u64 {
    let config = Config {
        storage: storage::Config { ttl: None, ..config.storage.clone() },
        ..config.clone()
    };
    let store = crate::running::open_store(&config).await.unwrap();
    let rows = store.snapshot().rows();
    store.close().await.unwrap();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_stored_once_however_often_it_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spans.jsonl");
    std::fs::write(&file, lines()).unwrap();
    let config = config(folder.path());
    let summary = store(plan(&file), &config).await.unwrap();
    assert_eq!((summary.spans, summary.refused, summary.files), (SPANS, 0, 1));
    assert!(summary.expiring.unwrap().contains("40 spans"), "they are from 2020");
    assert!(summary.failed.is_empty());
    // The same content under another name, compressed.
    let again = folder.path().join("again.jsonl.gz");
    let out = File::create(&again).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
    encoder.write_all(lines().as_bytes()).unwrap();
    encoder.finish().unwrap();
    let summary = store(plan(&again), &config).await.unwrap();
    assert_eq!(summary.spans, 0);
    assert!(summary.known_pieces > 0);
    assert_eq!(rows(&config).await, SPANS);
}

/// Scenario: a power cut took the journal's entries. Guarantees: the import goes on and stores nothing twice, also
/// where the table's own window for retries has passed.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_lost_its_journal_stores_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spans.jsonl");
    std::fs::write(&file, lines()).unwrap();
    let mut config = config(folder.path());
    config.storage.dedup_window = Duration::ZERO;
    store(plan(&file), &config).await.unwrap();
    std::fs::remove_file(config.private_dir().join("imports.journal")).unwrap();
    let summary = store(plan(&file), &config).await.unwrap();
    assert_eq!((summary.known_pieces, summary.failed.len()), (0, 0));
    assert_eq!(rows(&config).await, SPANS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_none_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("in")).unwrap();
    std::fs::write(folder.path().join("in/a.txt"), "this is not a trace").unwrap();
    std::fs::write(folder.path().join("in/b.jsonl"), lines()).unwrap();
    let config = config(folder.path());
    let summary = store(plan(&folder.path().join("in")), &config).await.unwrap();
    assert_eq!((summary.spans, summary.failed.len()), (SPANS, 1));
    assert!(summary.failed[0].contains("a.txt"), "{:?}", summary.failed);
}

#[test]
fn the_journal_survives_a_torn_entry() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("imports.journal");
    let [one, two] = [Fingerprint::of(b"one"), Fingerprint::of(b"two")];
    let mut journal = Journal::open(&path).unwrap();
    journal.add(one).unwrap();
    drop(journal);
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"torn").unwrap();
    let mut journal = Journal::open(&path).unwrap();
    assert!(journal.has(one) && !journal.has(two));
    journal.add(two).unwrap();
    drop(journal);
    let journal = Journal::open(&path).unwrap();
    assert!(journal.has(one) && journal.has(two));
}

#[test]
fn shifting_moves_every_time_by_the_same_distance() {
    let body = br#"[{"traceId":"1","id":"2","timestamp":1000000,"annotations":[{"timestamp":1000500,"value":"x"}]}]"#;
    let piece = Piece { format: ingest::Format::ZipkinJson, body: body.to_vec().into(), offset: 0 };
    let moved = Shift(7_000).apply(piece).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&moved.body).unwrap();
    assert_eq!(json[0]["timestamp"], 1_000_007);
    assert_eq!(json[0]["annotations"][0]["timestamp"], 1_000_507);
}
