use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::{Path, PathBuf};

use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use storage::schema::AttributeColumns;
use storage::{Decode, Entry, SpanBatch, TimeRange};

use super::*;
use crate::{Config, Decoder};

/// The folder of real data sets; `None` (with a word) where it is absent.
fn data() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests are told where the data lies")]
    let told = std::env::var("SPANLAKE_TEST_DATA").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = told.unwrap_or(beside);
    if !folder.join("converted").is_dir() {
        println!("skipped: ../shared/data is absent");
        return None;
    }
    Some(folder)
}

fn pieces(path: &Path) -> Vec<Piece> {
    let input = BufReader::new(File::open(path).unwrap());
    let pieces: Vec<Piece> = Pieces::open(Box::new(input)).unwrap().collect::<Result<_>>().unwrap();
    assert!(pieces.windows(2).all(|pair| pair[0].offset < pair[1].offset), "{path:?}");
    pieces
}

fn entry(piece: &Piece) -> Entry {
    Entry {
        format: piece.format.code(),
        received_unix_nano: 7,
        accept: TimeRange::ALL,
        body: piece.body.clone(),
        deduplicate: true,
    }
}

fn decode(pieces: &[Piece]) -> SpanBatch {
    let entries: Vec<Entry> = pieces.iter().map(entry).collect();
    Decoder::new(Config::default()).decode(&entries, &AttributeColumns::from_start())
}

fn per_service(batch: &SpanBatch) -> BTreeMap<String, u64> {
    let services = batch.records().column_by_name("service").unwrap();
    let services = services.as_dictionary::<Int32Type>();
    let values = services.values().as_string::<i32>();
    let mut counts = BTreeMap::new();
    for key in services.keys().values() {
        let service = values.value(usize::try_from(*key).unwrap());
        *counts.entry(service.to_owned()).or_default() += 1;
    }
    counts
}

/// The truth's counts; a service without a name is `unknown` here.
fn truth(folder: &Path, set: &str) -> BTreeMap<String, u64> {
    let file = File::open(folder.join(format!("converted/{set}.truth.json"))).unwrap();
    let truth: serde_json::Value = serde_json::from_reader(BufReader::new(file)).unwrap();
    let mut counts = BTreeMap::new();
    for (service, spans) in truth["spans_per_service"].as_object().unwrap() {
        let service = if service.is_empty() { "unknown" } else { service };
        *counts.entry(service.to_owned()).or_default() += spans.as_u64().unwrap();
    }
    counts
}

fn sets(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder.join("converted")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut sets: Vec<String> =
        names.filter_map(|name| Some(name.strip_suffix(".truth.json")?.to_owned())).collect();
    sets.sort();
    assert!(sets.len() >= 18, "{sets:?}");
    sets
}

#[test]
fn protobuf_sets_have_the_spans_per_service_of_the_truth() {
    let Some(folder) = data() else { return };
    for set in sets(&folder) {
        let batch = decode(&pieces(&folder.join(format!("converted/{set}.otlp.pb.gz"))));
        let mut expected = truth(&folder, &set);
        if set == "xray_contrib" {
            // One span starts in the year 2438, beyond 64-bit nanoseconds: refused.
            *expected.get_mut("api.example.com").unwrap() -= 1;
        }
        assert_eq!(per_service(&batch), expected, "{set}");
    }
}
