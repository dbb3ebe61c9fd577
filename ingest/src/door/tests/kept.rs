//! What the log keeps of a request.
use std::fs;
use std::path::Path;

use super::*;

/// The folder as a kill would leave it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let path = file.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

fn segments(root: &Path) -> Vec<u8> {
    let files = fs::read_dir(root.join("default/wal")).unwrap().map(|file| file.unwrap().path());
    let logs = files.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.flat_map(|path| fs::read(path).unwrap()).collect()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

async fn post_twice(doors: &Doors, sent: &[(&str, Vec<u8>)], rows: u64) {
    for (encoding, body) in sent {
        let answer = http(doors, &[PROTOBUF, ("content-encoding", encoding)], body.clone()).await;
        assert_eq!(answer.status, 200, "{encoding}");
        assert_eq!(doors.rows(), rows, "{encoding}");
    }
}

/// Scenario: requests come compressed in every way; the process dies; their senders try again, compressed otherwise.
/// Guarantees: the log holds them as they were sent, replay reads them, and no retry is stored twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_kept_as_it_was_compressed_and_recognised_however_it_comes_again() {
    let doors = doors(Config::default()).await;
    let bodies = [spans(&[1, 2, 3]), spans(&[4, 5, 6]), spans(&[7, 8, 9])];
    let deflate = |bytes: &[u8]| {
        let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    };
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    let sent =
        [("gzip", gzip(&bodies[0])), ("zstd", zstd(&bodies[1])), ("deflate", deflate(&bodies[2]))];
    let again =
        [("zstd", zstd(&bodies[0])), ("identity", bodies[1].clone()), ("gzip", gzip(&bodies[2]))];
    for (rows, request) in [3, 6, 9].into_iter().zip(&sent) {
        post_twice(&doors, std::slice::from_ref(request), rows).await;
    }
    post_twice(&doors, &again, 9).await;
    let log = segments(doors._folder.path());
    for ((encoding, body), plain) in sent.iter().zip(&bodies) {
        assert!(holds(&log, body) && !holds(&log, plain), "{encoding}");
    }

    let folder = tempfile::tempdir().unwrap();
    copy(doors._folder.path(), folder.path());
    doors.end().await;
    let doors = doors_in(folder, Config::default(), |_| {}).await;
    assert_eq!(doors.rows(), 9, "replayed");
    post_twice(&doors, &again, 9).await;
    post_twice(&doors, &sent, 9).await;
    doors.end().await;
}

/// A gzip body with one span of each trace id and trace state.
fn zipped(spans_sent: &[(u8, &str)]) -> Vec<u8> {
    let ids: Vec<u8> = spans_sent.iter().map(|(id, _)| *id).collect();
    let mut request = ExportTraceServiceRequest::decode(spans(&ids).as_slice()).unwrap();
    let sent = &mut request.resource_spans[0].scope_spans[0].spans;
    for (span, (_, state)) in sent.iter_mut().zip(spans_sent) {
        span.trace_state = (*state).to_owned();
    }
    gzip(&request.encode_to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sampling_logs_a_request_as_it_was_sent_where_all_of_it_stays() {
    let mut config = Config::default();
    config.sampling.rate = 0.5;
    let doors = doors(config).await;
    // Sampled more strictly before, so that nothing changes; then a request that loses a span, and one that gets a threshold.
    let whole = zipped(&[(1, "ot=th:c"), (2, "ot=th:d")]);
    let less = zipped(&[(3, "ot=th:c"), (4, "")]);
    let changed = zipped(&[(0xf0, "")]);
    let sent = [("gzip", whole.clone()), ("gzip", less.clone()), ("gzip", changed.clone())];
    for (rows, request) in [2, 3, 4].into_iter().zip(&sent) {
        post_twice(&doors, std::slice::from_ref(request), rows).await;
    }
    let log = segments(doors._folder.path());
    assert!(holds(&log, &whole));
    assert!(!holds(&log, &less) && !holds(&log, &changed));
    assert!(holds(&log, b"ot=th:8"), "what is written anew is not compressed again");
    doors.end().await;
}
