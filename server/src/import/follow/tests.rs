//! Every test drives the steps itself: nothing waits for a clock.
use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use storage::Store;
use tempfile::TempDir;

use super::super::followed::IDLE_POLLS;
use super::*;
use crate::config::{Config, Flags};

fn line(id: u32) -> String {
    format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{id:032x}","spanId":"{id:016x}","name":"n","startTimeUnixNano":"1600000000000000000","endTimeUnixNano":"1600000000000000001"}}]}}]}}]}}"#
    ) + "\n"
}

fn lines(ids: std::ops::Range<u32>) -> String {
    ids.map(line).collect()
}

/// A folder that is followed into a table.
struct Bench {
    folder: TempDir,
    store: Store,
    config: Config,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("logs")).unwrap();
        let data = Some(folder.path().join("data").display().to_string());
        let mut config =
            Config::load(&Flags { data, ..Default::default() }, &Default::default()).unwrap();
        config.storage.ttl = None;
        let store = crate::running::open_store(&config).await.unwrap();
        Self { folder, store, config }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("logs").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn append(&self, name: &str, text: &str) {
        let mut options = std::fs::OpenOptions::new();
        options.append(true).open(self.path(name)).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn follow(&self, journal: &str, target: Target) -> Follower {
        let journal = Positions::open(&self.folder.path().join(journal), "it").unwrap();
        Follower::new(vec![self.folder.path().join("logs")], journal, target)
    }

    fn table(&self) -> Target {
        Target::table(self.store.clone(), self.config.ingest.clone())
    }

    fn rows(&self) -> u64 {
        self.store.snapshot().rows()
    }

    async fn close(self) {
        self.store.close().await.unwrap();
    }
}

/// One poll and all that it finds.
async fn poll(follower: &mut Follower) -> Step {
    follower.look();
    loop {
        match follower.step().await.unwrap() {
            Step::Stored => {}
            other => return other,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_sent_as_they_are_complete_in_files_old_and_new() {
    let bench = Bench::new().await;
    let mut follower = bench.follow("journal", bench.table());
    assert_eq!(poll(&mut follower).await, Step::Idle);
    bench.write("a.jsonl", &lines(1..3));
    bench.append("a.jsonl", line(3).trim_end());
    poll(&mut follower).await;
    assert_eq!(bench.rows(), 2, "the last line is not complete");
    assert_eq!(follower.lag(), line(3).len() as u64 - 1);
    bench.append("a.jsonl", "\n");
    bench.write("b.jsonl", &line(4));
    bench.write("z.json", "[{\"traceId\":\"5\",\"id\":\"6\",\"timestamp\":1600000000000000}]\n");
    poll(&mut follower).await;
    assert_eq!((bench.rows(), follower.lag(), follower.totals().files.len()), (5, 0, 3));
    assert!(follower.tell().is_empty());
    drop(follower);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_line_without_newline_is_taken_when_the_file_rests() {
    let bench = Bench::new().await;
    let mut follower = bench.follow("journal", bench.table());
    bench.write("a.jsonl", &(line(1) + line(2).trim_end()));
    bench.write("b.jsonl", line(3).trim_end());
    bench.write("c.jsonl", &line(4)[..20]);
    for _ in 0..IDLE_POLLS {
        poll(&mut follower).await;
        assert_eq!(bench.rows(), 1);
    }
    poll(&mut follower).await;
    assert_eq!((bench.rows(), follower.lag()), (3, 20), "the cut line goes on waiting");
    bench.append("a.jsonl", &("\n".to_owned() + &line(5)));
    poll(&mut follower).await;
    assert_eq!((bench.rows(), follower.totals().skipped), (4, 0));
    drop(follower);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_file_is_read_to_its_end_and_its_successor_from_the_beginning() {
    let bench = Bench::new().await;
    let mut follower = bench.follow("journal", bench.table());
    bench.write("a.jsonl", &lines(1..3));
    poll(&mut follower).await;
    bench.append("a.jsonl", &line(3));
    std::fs::rename(bench.path("a.jsonl"), bench.path("a.jsonl.1")).unwrap();
    bench.write("a.jsonl", &line(4));
    poll(&mut follower).await;
    assert_eq!(bench.rows(), 4);
    bench.append("a.jsonl.1", &line(5));
    poll(&mut follower).await;
    assert_eq!(bench.rows(), 5);
    // Out of the folder, with a line that nobody has read: the handle still leads to it.
    bench.append("a.jsonl.1", &line(6));
    std::fs::rename(bench.path("a.jsonl.1"), bench.folder.path().join("away")).unwrap();
    for _ in 0..IDLE_POLLS + 3 {
        poll(&mut follower).await;
    }
    assert_eq!((bench.rows(), follower.followed.len()), (6, 1), "and then it is let go");
    drop(follower);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_cut_or_written_anew_begins_again() {
    let bench = Bench::new().await;
    let mut follower = bench.follow("journal", bench.table());
    bench.write("a.jsonl", &lines(1..4));
    poll(&mut follower).await;
    bench.write("a.jsonl", &line(4));
    poll(&mut follower).await;
    assert_eq!(bench.rows(), 4, "shorter");
    bench.write("a.jsonl", &lines(5..9));
    poll(&mut follower).await;
    assert_eq!(bench.rows(), 8, "longer than before, under the same name and inode");
    drop(follower);
    bench.close().await;
}

/// Scenario: logrotate's `copytruncate`. Guarantees: neither the copy's lines nor those that only the copy has are lost
/// or doubled.
#[tokio::test(flavor = "multi_thread")]
async fn copying_and_cutting_loses_and_doubles_nothing() {
    let bench = Bench::new().await;
    let mut follower = bench.follow("journal", bench.table());
    bench.write("a.jsonl", &lines(1..3));
    poll(&mut follower).await;
    bench.append("a.jsonl", &line(3));
    std::fs::write(bench.path("a.jsonl.1"), lines(1..2)).unwrap();
    poll(&mut follower).await; // within the copying
    bench.append("a.jsonl", &line(4));
    std::fs::copy(bench.path("a.jsonl"), bench.path("a.jsonl.1")).unwrap();
    std::fs::OpenOptions::new()
        .write(true)
        .open(bench.path("a.jsonl"))
        .unwrap()
        .set_len(0)
        .unwrap();
    bench.append("a.jsonl", &line(5));
    poll(&mut follower).await;
    poll(&mut follower).await;
    assert_eq!((bench.rows(), follower.totals().spans), (5, 5));
    drop(follower);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_it_was_whatever_the_file_is_called_now() {
    let bench = Bench::new().await;
    bench.write("a.jsonl", &lines(1..4));
    poll(&mut bench.follow("journal", bench.table())).await;
    bench.append("a.jsonl", &line(4));
    std::fs::rename(bench.path("a.jsonl"), bench.path("b.jsonl")).unwrap();
    bench.write("a.jsonl", &line(5));
    let mut follower = bench.follow("journal", bench.table());
    poll(&mut follower).await;
    assert_eq!((bench.rows(), follower.totals().spans), (5, 2));
    drop(follower);
    bench.close().await;
}

/// Scenario: the process dies when the table has a batch and the journal does not know it; the file grows meanwhile.
/// Guarantees: exactly the same bytes are sent again, so that the table recognises them.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_answer_was_lost_is_not_stored_twice() {
    let bench = Bench::new().await;
    bench.write("a.jsonl", &lines(1..4));
    let nobody = Target::server("http://127.0.0.1:1", None);
    let mut dying = bench.follow("journal", nobody);
    assert!(matches!(poll(&mut dying).await, Step::Away(_)));
    drop(dying);
    poll(&mut bench.follow("other", bench.table())).await;
    assert_eq!(bench.rows(), 3, "the batch arrived after all");
    bench.append("a.jsonl", &line(4));
    let mut follower = bench.follow("journal", bench.table());
    poll(&mut follower).await;
    assert_eq!((bench.rows(), follower.lag()), (4, 0));
    drop(follower);
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_cannot_be_read_are_told_and_left_out() {
    let bench = Bench::new().await;
    let mut follower = bench.follow("journal", bench.table());
    bench.write("a.jsonl", &(line(1) + "oops\n" + &line(2) + &"more\n".repeat(30) + &line(3)));
    bench.write("old.jsonl.gz", "\x1f\u{8b}12345678");
    bench.write("words.txt", "hello, this is no trace\n");
    poll(&mut follower).await;
    assert_eq!((bench.rows(), follower.totals().skipped), (3, 31));
    let told = follower.tell();
    let first = told.iter().find(|words| words.contains("left out 5 bytes")).unwrap();
    assert!(
        first.contains("a.jsonl") && first.contains(&format!("byte {}", line(1).len())),
        "{first}"
    );
    let of = |name: &str| told.iter().filter(|words| words.contains(name)).count();
    assert_eq!((of("a.jsonl"), of("words.txt")), (11, 1), "{told:?}");
    poll(&mut follower).await;
    assert!(follower.tell().is_empty(), "once");
    drop(follower);
    bench.close().await;
}

/// A door that answers as it is told and keeps what it accepted.
type Door = Arc<Mutex<(StatusCode, Vec<Bytes>)>>;

async fn serve(port: u16) -> (u16, Door) {
    let door: Door = Arc::new(Mutex::new((StatusCode::OK, Vec::new())));
    let answer = |State(door): State<Door>, body: Bytes| async move {
        let mut door = door.lock().unwrap();
        if door.0 == StatusCode::OK {
            door.1.push(body);
        }
        door.0
    };
    let router = Router::new()
        .route("/v1/traces", axum::routing::post(answer))
        .with_state(Arc::clone(&door));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (port, door)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_loses_nothing() {
    let bench = Bench::new().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let target = Target::server(&format!("http://127.0.0.1:{port}"), None);
    let mut follower = bench.follow("journal", target);
    bench.write("a.jsonl", &lines(1..3));
    for polls in 0..3 {
        assert!(matches!(poll(&mut follower).await, Step::Away(_)), "{polls}");
    }
    // Rotated and deleted meanwhile: the handle is kept until its lines are sent.
    std::fs::remove_file(bench.path("a.jsonl")).unwrap();
    bench.write("a.jsonl", &line(3));
    for _ in 0..2 * IDLE_POLLS {
        follower.look();
    }
    let (_, door) = serve(port).await;
    door.lock().unwrap().0 = StatusCode::SERVICE_UNAVAILABLE;
    let Step::Away(words) = poll(&mut follower).await else { panic!("503 is no success") };
    assert!(words.contains("503"), "{words}");
    door.lock().unwrap().0 = StatusCode::OK;
    poll(&mut follower).await;
    assert_eq!((follower.totals().spans, follower.totals().skipped), (3, 0));
    let bodies = door.lock().unwrap().1.clone();
    assert_eq!(bodies.len(), 2);
    // What a server refuses for good is left out, and those after it are sent.
    door.lock().unwrap().0 = StatusCode::BAD_REQUEST;
    bench.append("a.jsonl", &line(4));
    poll(&mut follower).await;
    door.lock().unwrap().0 = StatusCode::OK;
    bench.append("a.jsonl", &line(5));
    poll(&mut follower).await;
    assert_eq!((follower.totals().spans, follower.totals().skipped), (4, 1));
    assert!(follower.tell().iter().any(|words| words.contains("400")));
    drop(follower);
    bench.close().await;
}

/// A protobuf request of one span.
fn request(id: u8) -> Vec<u8> {
    let span = [&[0x0a, 16][..], &[id; 16], &[0x12, 8], &[id; 8]].concat();
    let wrap =
        |field: u8, inner: &[u8]| [&[field, u8::try_from(inner.len()).unwrap()], inner].concat();
    let request = wrap(0x0a, &wrap(0x12, &wrap(0x12, &span)));
    [&u32::try_from(request.len()).unwrap().to_be_bytes()[..], &request].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn framed_protobuf_is_followed_byte_by_byte() {
    let bench = Bench::new().await;
    let mut follower = bench.follow("journal", bench.table());
    let file = [request(1), request(2)].concat();
    for end in 1..=file.len() {
        std::fs::write(bench.path("a.pb"), &file[..end]).unwrap();
        poll(&mut follower).await;
        let complete = u64::from(end >= request(1).len()) + u64::from(end == file.len());
        assert_eq!(bench.rows(), complete, "{end}");
    }
    assert_eq!((follower.totals().skipped, follower.lag()), (0, 0));
    drop(follower);
    bench.close().await;
}

/// Scenario: Ctrl-C. Guarantees: the follower ends after what it is doing, with its journal written.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_ends_when_it_is_told_to() {
    let bench = Bench::new().await;
    bench.write("a.jsonl", &lines(1..4));
    let mut follower = bench.follow("journal", bench.table());
    let store = bench.store.clone();
    let stop = async move {
        while store.snapshot().rows() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    run(&mut follower, stop).await.unwrap();
    drop(follower);
    let mut again = bench.follow("journal", bench.table());
    poll(&mut again).await;
    assert_eq!((again.totals().spans, bench.rows()), (0, 3));
    drop(again);
    bench.close().await;
}

#[test]
fn a_journal_has_one_user_and_one_target_and_survives_a_torn_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (one, two) = (Head(1), Head(2));
    let position = Position { from: 5, to: 9, before: 7 };
    let mut positions = Positions::open(&path, "it").unwrap();
    assert!(Positions::open(&path, "it").unwrap_err().to_string().contains("--journal"));
    positions.note(one, Position { from: 1, to: 2, before: 3 }).unwrap();
    positions.note(one, position).unwrap();
    drop(positions);
    let mut options = std::fs::OpenOptions::new();
    options
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(b"00000000000000000000000000000002 4")
        .unwrap();
    let mut positions = Positions::open(&path, "it").unwrap();
    assert_eq!((positions.of(one), positions.of(two)), (Some(position), None));
    positions.note(two, position).unwrap();
    drop(positions);
    let positions = Positions::open(&path, "it").unwrap();
    assert_eq!((positions.of(one), positions.of(two)), (Some(position), Some(position)));
    drop(positions);
    assert!(Positions::open(&path, "other").unwrap_err().to_string().contains("another target"));
}

#[test]
fn waiting_grows_to_half_a_minute() {
    let mut backoff = Backoff::default();
    let waits: Vec<u128> = (0..9).map(|_| backoff.next().as_millis()).collect();
    assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    backoff.reset();
    assert_eq!(backoff.next().as_millis(), 250);
}
