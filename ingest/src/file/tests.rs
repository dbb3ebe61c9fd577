use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Cursor, Write};
use std::path::{Path, PathBuf};

use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use storage::schema::AttributeColumns;
use storage::{Decode, Entry, SpanBatch, TimeRange};

use super::*;
use crate::{Config, Decoder};

mod chrome;
mod jaeger;

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
    assert!(pieces.windows(2).all(|pair| pair[0].offset <= pair[1].offset), "{path:?}");
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

#[test]
fn json_lines_and_protobuf_of_a_set_decode_to_the_same_batch() {
    let Some(folder) = data() else { return };
    for set in sets(&folder) {
        if set.starts_with("nezha") || set == "chrome_catapult" {
            continue; // large: they would take a minute in a debug build
        }
        let protobuf = decode(&pieces(&folder.join(format!("converted/{set}.otlp.pb.gz"))));
        let json = decode(&pieces(&folder.join(format!("converted/{set}.otlp.jsonl.gz"))));
        assert_eq!(protobuf.records().schema(), json.records().schema(), "{set}");
        for (field, (ours, theirs)) in protobuf
            .records()
            .schema()
            .fields()
            .iter()
            .zip(protobuf.records().columns().iter().zip(json.records().columns()))
        {
            let first = (0..ours.len()).find(|&row| ours.slice(row, 1) != theirs.slice(row, 1));
            let differing = first.map(|row| (ours.slice(row, 1), theirs.slice(row, 1)));
            assert!(
                ours.len() == theirs.len() && first.is_none(),
                "{set} {}: {differing:?}",
                field.name()
            );
        }
        assert_eq!(protobuf.rest(), json.rest(), "{set}");
    }
}

#[test]
fn zipkin_files_have_the_spans_per_service_of_the_truth() {
    let Some(folder) = data() else { return };
    let mut counts = BTreeMap::new();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder.join("zipkin_lens"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    for path in files {
        let pieces = pieces(&path);
        assert!(pieces.iter().all(|piece| piece.format == Format::ZipkinJson), "{path:?}");
        for (service, spans) in per_service(&decode(&pieces)) {
            *counts.entry(service).or_default() += spans;
        }
    }
    assert_eq!(counts, truth(&folder, "zipkin_small"));
}

/// `(trace id, span id, parent span id, service, name, start, duration)`, sorted.
fn shape(batches: &[SpanBatch]) -> Vec<String> {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::Int64Type;
    let mut spans = Vec::new();
    for batch in batches {
        let records = batch.records();
        let id = |name: &str, row: usize| {
            let ids = records.column_by_name(name).unwrap().as_fixed_size_binary();
            if ids.is_null(row) { String::new() } else { hex::encode(ids.value(row)) }
        };
        let text = |name: &str, row: usize| {
            let texts = records.column_by_name(name).unwrap().as_dictionary::<Int32Type>();
            texts.values().as_string::<i32>().value(texts.key(row).unwrap()).to_owned()
        };
        let number = |name: &str, row: usize| {
            records.column_by_name(name).unwrap().as_primitive::<Int64Type>().value(row)
        };
        spans.extend((0..batch.rows()).map(|row| {
            format!(
                "{} {} {} {} {} {} {} {} {}",
                id("trace_id", row),
                id("span_id", row),
                id("parent_span_id", row),
                text("service", row),
                text("name", row),
                text("kind", row),
                text("status", row),
                number("start_time_unix_nano", row),
                number("duration_nano", row)
            )
        }));
    }
    spans.sort();
    spans
}

#[test]
fn zipkin_spans_come_out_as_the_independent_conversion_has_them() {
    let Some(folder) = data() else { return };
    let zipkin: Vec<SpanBatch> = std::fs::read_dir(folder.join("zipkin_lens"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| decode(&pieces(&path)))
        .collect();
    let converted = decode(&pieces(&folder.join("converted/zipkin_small.otlp.pb.gz")));
    assert_eq!(shape(&zipkin), shape(&[converted]));
}

#[test]
fn json_documents_of_other_projects_are_read() {
    let Some(folder) = data() else { return };
    for (file, spans) in [
        ("otel_proto_examples/trace.json", 1),
        ("hyperdx/basic-insert/input.json", 2),
        ("data_prepper/test-request.json", 3),
        ("data_prepper/test-request-multiple-traces.json", 0), // its ids are the words TRACEID1, ...
        ("data_prepper/test-request-no-spans.json", 0),
    ] {
        assert_eq!(decode(&pieces(&folder.join(file))).rows(), spans, "{file}");
    }
    let logs =
        BufReader::new(File::open(folder.join("data_prepper/test-request-log.json")).unwrap());
    let refused = Pieces::open(Box::new(logs)).unwrap().next().unwrap().unwrap_err();
    assert!(refused.to_string().contains("neither an OTLP trace request"), "{refused}");
}

fn open(bytes: &[u8]) -> Result<Vec<Piece>> {
    Pieces::open(Box::new(Cursor::new(bytes.to_vec())))?.collect()
}

/// A request of one span whose name has `padding` bytes.
fn request(padding: usize) -> Vec<u8> {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message;
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: "n".repeat(padding),
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

#[test]
fn framings_are_told_apart() {
    for padding in [1, 100, 2_560, 40_000, 400_000] {
        let body = request(padding);
        let length = u32::try_from(body.len()).unwrap();
        let big = [&length.to_be_bytes()[..], &body].concat().repeat(3);
        let little = [&length.to_le_bytes()[..], &body].concat().repeat(3);
        for file in [big, little, body.repeat(3)] {
            let pieces = open(&file).unwrap();
            assert_eq!(decode(&pieces).rows(), 3, "{padding}");
            assert_eq!(pieces.last().unwrap().offset, file.len() as u64);
        }
    }
}

#[test]
fn large_files_come_in_pieces_of_bounded_size() {
    let file = request(4_000).repeat(1_000);
    let pieces = open(&file).unwrap();
    assert!(pieces.len() >= 3, "{}", pieces.len());
    assert!(pieces.iter().all(|piece| piece.body.len() < PIECE_BYTES_MIN + 5_000));
    assert_eq!(decode(&pieces).rows(), 1_000);
    let one = r#"{"scopeSpans":[{"spans":[{"traceId":"01010101010101010101010101010101","spanId":"0202020202020202","name":"a \"]} b"}]}]}"#;
    let document = format!("{{\"resourceSpans\":[{}]}}", vec![one; 20_000].join(" ,\n"));
    let pieces = open(document.as_bytes()).unwrap();
    assert!(pieces.len() >= 2 && pieces.iter().all(|piece| piece.body.len() < 2 << 20));
    assert_eq!(decode(&pieces).rows(), 20_000);
}

#[test]
fn compression_is_recognised_and_members_are_joined() {
    let body = request(10);
    let gzip = |bytes: &[u8]| {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    };
    let zipped = [gzip(&body), gzip(&body)].concat();
    assert_eq!(decode(&open(&zipped).unwrap()).rows(), 2);
    let frame = zstd::encode_all(body.as_slice(), 1).unwrap();
    assert_eq!(decode(&open(&[frame.clone(), frame].concat()).unwrap()).rows(), 2);
}

#[test]
fn files_of_no_known_format_say_what_is_known() {
    for bytes in [&b"\x89PNG\r\n\x1a\n"[..], b"hello", b"\0\0\0\x05hello", b"<xml/>"] {
        let error = open(bytes).unwrap_err().to_string();
        assert!(error.contains("OTLP JSON"), "{error}");
    }
    assert!(open(b"").unwrap().is_empty());
    assert!(open(b" \n").unwrap().is_empty());
    assert!(open(b"{}").unwrap().is_empty());
    assert!(open(br#"[{"resourceSpans":[{]"#).is_err());
    let body = request(10);
    assert!(open(&body[..body.len() - 1]).unwrap_err().to_string().contains("cut off"));
}
