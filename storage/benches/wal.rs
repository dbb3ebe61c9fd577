//! What an append costs without decoding: hash, checksum, write, fsync, thread hops. So many requests are on their way
//! at once as the name says, each of 204,750 bytes: 350 spans of the usual size.
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use storage::entry::DecodeSession;
use storage::schema::{AttributeColumns, fixed_fields};
use storage::{Compressed, Config, Decode, Entry, SpanBatch, Store, SystemClock, TimeRange};

const REQUEST_BYTES: usize = 350 * 585;
/// The log is emptied after so many, outside of the measurement.
const REQUESTS_MAX: u64 = 2_048;

/// Keeps nothing: the log alone is measured.
struct Nothing;

impl Decode for Nothing {
    fn session(&self) -> Box<dyn DecodeSession> {
        Box::new(Self)
    }

    fn inflate(&self, _: &Compressed, _: usize) -> Option<Bytes> {
        None
    }
}

impl DecodeSession for Nothing {
    fn decode(&mut self, _: &[Entry], _: &Arc<AttributeColumns>) -> SpanBatch {
        let schema = Arc::new(Schema::new(fixed_fields()));
        SpanBatch::new(RecordBatch::new_empty(schema), Vec::new())
    }

    fn bytes(&self) -> usize {
        0
    }
}

fn entry(body: &Bytes) -> Entry {
    Entry {
        format: 1,
        received_unix_nano: 0,
        accept: TimeRange::ALL,
        body: body.clone(),
        // The same bytes come again and again here.
        deduplicate: false,
    }
}

/// Appends `requests`, `together` at a time.
async fn append(store: &Store, body: &Bytes, together: u64, requests: u64) {
    for _ in 0..requests.div_ceil(together) {
        let group = (0..together).map(|_| store.append(entry(body)));
        for answer in futures::future::join_all(group).await {
            answer.expect("appended");
        }
    }
}

/// Measures time; what the log's thread uses of the processor is in `perf stat`.
async fn measure(store: &Store, body: &Bytes, together: u64, iterations: u64) -> Duration {
    let mut elapsed = Duration::ZERO;
    let mut left = iterations * together;
    while left > 0 {
        let some = left.min(REQUESTS_MAX);
        let started = Instant::now();
        append(store, body, together, some).await;
        elapsed += started.elapsed();
        store.flush().await.expect("flushed");
        left -= some;
    }
    elapsed
}

fn wal(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("folder");
    let mut config = Config::in_folder(folder.path());
    config.group_commit_wait = Duration::ZERO;
    let open = Store::open(config, Arc::new(Nothing), Arc::new(SystemClock));
    let store = runtime.block_on(open).expect("store");
    let body = Bytes::from(vec![7; REQUEST_BYTES]);
    let mut benches = criterion.benchmark_group("append");
    benches.sample_size(10).measurement_time(Duration::from_secs(3));
    for together in [1, 4, 16] {
        benches.throughput(Throughput::Elements(together * 350));
        benches.bench_function(format!("{together} requests"), |bencher| {
            bencher.iter_custom(|n| runtime.block_on(measure(&store, &body, together, n)));
        });
    }
    benches.finish();
    runtime.block_on(store.close()).expect("closed");
}

criterion_group!(benches, wal);
criterion_main!(benches);
