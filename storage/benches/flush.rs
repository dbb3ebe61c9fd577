//! What a flush costs, without a table: `cargo bench -p storage --bench flush`, in spans a second.
//!
//! The batches are those of a shop: 30 services, 26 spans a trace, 12 span attributes, 23 resource attributes.
use std::hint::black_box;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, Int64Array, StringArray};
use arrow::datatypes::Schema;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use storage::SpanBatch;
use storage::batch::{Columns, Interner, Spots, Values};
use storage::schema::{AttributeColumns, AttributeScope, AttributeType, column};

const BATCHES: usize = 50;
const ROWS: usize = 4000;
const ROWS_U32: u32 = 4000;
const SERVICES: u32 = 30;
const SPANS_PER_TRACE: usize = 26;
/// 2026-11-21T00:00:00Z.
const START: i64 = 1_795_219_200_000_000_000;

struct Generator {
    random: ChaCha8Rng,
    interner: Interner,
    columns: AttributeColumns,
    traces: Vec<([u8; 16], [u8; 8])>,
    /// By trace: its root was sent.
    rooted: Vec<bool>,
}

impl Generator {
    fn new() -> Self {
        let mut columns = AttributeColumns::from_start();
        for number in 0..14 {
            let key = format!("host.label.{number}");
            columns.add(AttributeScope::Resource, &key, AttributeType::String);
        }
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let traces = BATCHES * ROWS / SPANS_PER_TRACE;
        let rooted = vec![false; traces];
        let traces = (0..traces).map(|_| (random.random(), random.random())).collect();
        Self { random, interner: Interner::default(), columns, traces, rooted }
    }

    fn batch(&mut self, number: usize) -> SpanBatch {
        // Each service in turn sends some spans of the newest traces.
        let services: Vec<u32> = (0..ROWS_U32).map(|row| row / 140 % SERVICES).collect();
        let newest = (number + 1) * ROWS / SPANS_PER_TRACE;
        let traces: Vec<usize> =
            (0..ROWS).map(|_| newest.saturating_sub(self.random.random_range(1..160))).collect();
        // The first span of a trace is the parent of all others.
        let roots: Vec<bool> =
            traces.iter().map(|trace| !std::mem::replace(&mut self.rooted[*trace], true)).collect();
        let schema = self.columns.schema();
        let values = schema.fields().iter().map(|field| match field.name().as_str() {
            column::TRACE_ID => ids(traces.iter().map(|trace| Some(self.traces[*trace].0)), 16),
            column::SPAN_ID => {
                let id = |(trace, root): (&usize, &bool)| match root {
                    true => Some(self.traces[*trace].1),
                    false => Some(self.random.random::<[u8; 8]>()),
                };
                ids(traces.iter().zip(&roots).map(id), 8)
            }
            column::PARENT_SPAN_ID => {
                let spans = traces.iter().zip(&roots);
                ids(spans.map(|(trace, root)| (!root).then_some(self.traces[*trace].1)), 8)
            }
            column::KIND => self.words(&services, &["SERVER", "CLIENT", "INTERNAL"]),
            column::STATUS => self.words(&services, &["UNSET", "UNSET", "OK", "ERROR"]),
            column::START => array(Int64Array::from_iter_values(traces.iter().map(|trace| {
                START + *trace as i64 * 30_000_000 + self.random.random_range(0..500_000_000)
            }))),
            column::DURATION => array(Int64Array::from_iter_values(
                (0..ROWS).map(|_| self.random.random_range(10_000..90_000_000)),
            )),
            column::ATTRIBUTES => array(StringArray::from_iter(services.iter().map(|service| {
                (service % 8 == 0)
                    .then(|| format!("{{\"app.item\":{}}}", self.random.random::<u16>()))
            }))),
            column::RECEIVED => Values::Int64(Spots::Runs([(0, ROWS_U32, START)].into())),
            column::WEIGHT => Values::Double(Spots::Runs([(0, ROWS_U32, 1.0)].into())),
            column::FLAGS => Values::Int32(Spots::Runs([(0, ROWS_U32, 1)].into())),
            name => self.values(name, &services),
        });
        let values = values.collect();
        let columns = Columns {
            schema: Arc::new(Schema::clone(&schema)),
            values,
            strings_bytes: self.interner.publish(),
            strings: Arc::clone(self.interner.strings()),
            rows: ROWS,
        };
        SpanBatch::of_columns(columns, Vec::new())
    }

    /// Texts by service; attributes of spans on every third service, some with many values.
    fn values(&mut self, name: &str, services: &[u32]) -> Values {
        let schema = self.columns.schema();
        let place = schema.index_of(name).unwrap_or_default();
        let Some(listed) = self.columns.as_slice().iter().find(|listed| listed.column == name)
        else {
            let given = [column::SERVICE, column::NAME];
            if !given.contains(&name) && name != column::RESOURCE && name != column::SCOPE_NAME {
                return Values::Null;
            }
            let variants = if name == column::NAME { 8 } else { 1 };
            return self.texts(name, services, variants);
        };
        if listed.scope == AttributeScope::Resource {
            return self.texts(name, services, 3);
        }
        let with: Vec<u32> = (0u32..)
            .zip(services)
            .filter(|(_, s)| **s as usize % 3 == place % 3)
            .map(|(r, _)| r)
            .collect();
        if listed.kind == AttributeType::Int {
            let numbers: Vec<i64> = with.iter().map(|_| self.random.random_range(0..900)).collect();
            return Values::Int64(Spots::Rows(with.into(), numbers.into()));
        }
        let variants = match name {
            // What names a database or a queue: few of them.
            "db_system_name" | "db_namespace" | "messaging_system" => 1,
            "messaging_destination_name" | "server_address" | "network_peer_address" => 5,
            _ if place.is_multiple_of(5) => 20_000,
            _ => 20,
        };
        let mut open = self.interner.open();
        let keys: Vec<u32> = with
            .iter()
            .map(|_| {
                open.intern(format!("{name} {}", self.random.random_range(0..variants)).as_bytes())
            })
            .collect();
        Values::Text(Spots::Rows(with.into(), keys.into()))
    }

    /// One of `words` for each service.
    fn words(&mut self, services: &[u32], words: &[&str]) -> Values {
        let mut open = self.interner.open();
        let word = |service: &u32| words[*service as usize % words.len()];
        let keys = services.iter().map(|service| open.intern(word(service).as_bytes()));
        Values::Text(Spots::Every(keys.collect()))
    }

    fn texts(&mut self, name: &str, services: &[u32], variants: u32) -> Values {
        let mut open = self.interner.open();
        let texts = services.iter().map(|service| {
            let variant = self.random.random_range(0..variants);
            open.intern(format!("{name} of service {service}, {variant}").as_bytes())
        });
        Values::Text(Spots::Every(texts.collect()))
    }
}

fn array(array: impl arrow::array::Array + 'static) -> Values {
    Values::Array(Arc::new(array) as ArrayRef)
}

fn ids<const N: usize>(ids: impl Iterator<Item = Option<[u8; N]>>, width: i32) -> Values {
    let ids: Vec<Option<[u8; N]>> = ids.collect();
    array(
        FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids.into_iter(), width).expect("ids"),
    )
}

fn flush(criterion: &mut Criterion) {
    let mut generator = Generator::new();
    let batches: Vec<Arc<SpanBatch>> =
        (0..BATCHES).map(|number| Arc::new(generator.batch(number))).collect();
    let mut group = criterion.benchmark_group("flush");
    group.throughput(Throughput::Elements((BATCHES * ROWS) as u64));
    group.sample_size(10);
    group.bench_function("sort", |bencher| {
        bencher.iter(|| storage::micro::resolve_and_sort(black_box(&batches)));
    });
    let mut rollups = storage::micro::rollups(&batches, &generator.columns).expect("columns");
    group.bench_function("rollups", |bencher| bencher.iter(|| black_box(rollups())));
    let mut sum = storage::micro::rollup_sums(&batches, &generator.columns).expect("columns");
    group.bench_function("sum_100_rollups", |bencher| bencher.iter(|| sum(100)));
    group.bench_function("encode", |bencher| {
        bencher.iter(|| storage::micro::encode(black_box(&batches), &generator.columns));
    });
    group.finish();
}

criterion_group!(benches, flush);
criterion_main!(benches);
