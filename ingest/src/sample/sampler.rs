//! What services are told to sample, and how that follows from the traces that are stored.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::array::{Array, AsArray, StringArray};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type};
use bytes::Bytes;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use storage::metrics::{Counter, Metric, Shape};
use storage::schema::{AttributeColumns, column};
use storage::{Clock, Compressed, Decode, DecodeSession, Entry, SpanBatch};

use super::adaptive::Operations;
use super::rule::{fixed, rate_of_unknown};
use super::strategy::Strategy;
use super::{Config, Goal};

/// Roots that started longer ago than this, or lie this far ahead, say nothing about the traffic of now.
const PRESENT: Duration = Duration::from_secs(600);

/// Tells services what to sample. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sampler(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    clock: Arc<dyn Clock>,
    operations: Mutex<Operations>,
    served: Counter,
}

/// What is kept over a restart.
#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    operations: Vec<SavedOperation>,
}

#[derive(Serialize, Deserialize)]
struct SavedOperation {
    service: String,
    name: String,
    rate: f64,
    probability: f64,
}

const SAVED_VERSION: u32 = 1;

impl Sampler {
    /// A sampler that has seen no trace.
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Self {
        let (operations, served) = Default::default();
        Self(Arc::new(Inner { config, clock, operations, served }))
    }

    /// True where some share follows from the traffic; otherwise there is nothing to observe, to end or to save.
    pub fn is_adaptive(&self) -> bool {
        let config = &self.0.config;
        config.target_traces_per_second > 0.0
            || config.rules.iter().any(|rule| matches!(rule.goal, Goal::TracesPerSecond(_)))
    }

    /// Counts the roots among spans that are being stored.
    pub fn observe(&self, batch: &SpanBatch) {
        let now = self.0.clock.now_unix_nano();
        for (service, name, (roots, weights)) in roots(batch, now).unwrap_or_default() {
            self.operations().add(&self.0.config, (&service, &name), roots, weights);
        }
    }

    /// Ends the present window if it is over: shares for the next one follow from what was seen.
    pub fn tick(&self) {
        let now = self.0.clock.now_unix_nano();
        self.operations().tick(&self.0.config, now);
    }

    /// What `service` shall sample.
    pub(super) fn strategy(&self, service: &str) -> Strategy {
        self.0.served.add(1);
        let config = &self.0.config;
        let mut operations = self.operations();
        operations.asked(service, self.0.clock.now_unix_nano());
        let known =
            operations.services.get(service).into_iter().flat_map(|known| &known.operations);
        let mut list: Vec<(String, f64)> =
            known.map(|(name, operation)| (name.to_string(), operation.probability)).collect();
        drop(operations);
        list.extend(fixed(config, service).map(|(name, rate)| (name.to_owned(), rate)));
        list.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        list.dedup_by(|a, b| a.0 == b.0);
        let lower_bound =
            if self.is_adaptive() { config.lower_bound_traces_per_second } else { 0.0 };
        Strategy { rate: rate_of_unknown(config, service), lower_bound, operations: list }
    }

    /// What to keep over a restart.
    pub fn save(&self) -> Vec<u8> {
        let operations = self.operations();
        let mut list: Vec<SavedOperation> = Vec::with_capacity(operations.len());
        for (service, known) in &operations.services {
            let saved = known.operations.iter().filter_map(|(name, operation)| {
                let (service, name) = (service.to_string(), name.to_string());
                let (rate, probability) = (operation.rate?, operation.probability);
                Some(SavedOperation { service, name, rate, probability })
            });
            list.extend(saved);
        }
        drop(operations);
        list.sort_unstable_by(|a, b| (&a.service, &a.name).cmp(&(&b.service, &b.name)));
        let saved = Saved { version: SAVED_VERSION, operations: list };
        serde_json::to_vec_pretty(&saved).unwrap_or_default()
    }

    /// Goes on from what [`Self::save`] kept; false where `saved` is not that.
    pub fn restore(&self, saved: &[u8]) -> bool {
        let Ok(saved) = serde_json::from_slice::<Saved>(saved) else { return false };
        if saved.version != SAVED_VERSION {
            return false;
        }
        let mut operations = self.operations();
        for one in saved.operations {
            let sane = one.rate >= 0.0 && one.probability > 0.0 && one.probability <= 1.0;
            let goal = super::rule::goal(&self.0.config, &one.service, &one.name);
            if sane && matches!(goal, Some(Goal::TracesPerSecond(_))) {
                operations.restore((&one.service, &one.name), one.rate, one.probability);
            }
        }
        true
    }

    /// Figures for `/metrics`.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
    pub fn metrics(&self) -> Vec<Metric> {
        let operations = self.operations();
        let metric = |name, help, shape, value: u64| Metric {
            name,
            help,
            shape,
            labels: Vec::new(),
            value: value as f64,
        };
        vec![
            self.0.served.metric(
                "spanlake_sampling_strategies_total",
                "Answers to services that asked what to sample.",
            ),
            metric(
                "spanlake_sampling_operations",
                "Operations whose share follows from their traffic.",
                Shape::Gauge,
                operations.len() as u64,
            ),
            metric(
                "spanlake_sampling_left_out_roots_total",
                "Roots of operations that found no place among those; they get the rate of the unknown.",
                Shape::Counter,
                operations.left_out,
            ),
        ]
    }

    fn operations(&self) -> MutexGuard<'_, Operations> {
        self.0.operations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Service, operation, number of roots and sum of their weights.
type Roots = Vec<(String, String, (u64, f64))>;

/// The roots of the present among `batch`, by service and operation: how many, and their weights. `None` where the batch
/// lacks a column that every batch has.
fn roots(batch: &SpanBatch, now: i64) -> Option<Roots> {
    let mut found = Roots::new();
    let parents = batch.column(column::PARENT_SPAN_ID)?;
    if parents.null_count() == 0 {
        return Some(found);
    }
    let starts = batch.column(column::START)?;
    let weights = batch.column(column::WEIGHT)?;
    let (starts, weights) =
        (starts.as_primitive_opt::<Int64Type>()?, weights.as_primitive_opt::<Float64Type>()?);
    let (services, names) = (batch.column(column::SERVICE)?, batch.column(column::NAME)?);
    let services = services.as_dictionary_opt::<Int32Type>()?;
    let names = names.as_dictionary_opt::<Int32Type>()?;
    let (service_texts, name_texts) =
        (services.values().as_string_opt::<i32>()?, names.values().as_string_opt::<i32>()?);
    let present = u64::try_from(PRESENT.as_nanos()).unwrap_or(u64::MAX);
    let mut by_keys: HashMap<(usize, usize), (u64, f64)> = HashMap::new();
    for row in (0..batch.rows()).filter(|row| parents.is_null(*row)) {
        if now.abs_diff(starts.value(row)) <= present
            && let (Some(service), Some(name)) = (services.key(row), names.key(row))
        {
            let (roots, sum) = by_keys.entry((service, name)).or_default();
            *roots += 1;
            *sum += weights.value(row);
        }
    }
    let text = |texts: &StringArray, key: usize| texts.value(key).to_owned();
    for ((service, name), counts) in by_keys {
        found.push((text(service_texts, service), text(name_texts, name), counts));
    }
    Some(found)
}

/// A decoder whose spans a [`Sampler`] sees as they are stored.
#[derive(Debug)]
pub struct Watched<D> {
    /// Decodes.
    pub decoder: D,
    /// Watches.
    pub sampler: Sampler,
}

impl<D: Decode> Decode for Watched<D> {
    fn session(&self) -> Box<dyn DecodeSession> {
        let session = self.decoder.session();
        Box::new(WatchedSession { session, sampler: self.sampler.clone() })
    }

    fn inflate(&self, compressed: &Compressed, bytes: usize) -> Option<Bytes> {
        self.decoder.inflate(compressed, bytes)
    }
}

struct WatchedSession {
    session: Box<dyn DecodeSession>,
    sampler: Sampler,
}

impl DecodeSession for WatchedSession {
    fn decode(&mut self, entries: &[Entry], columns: &Arc<AttributeColumns>) -> SpanBatch {
        let batch = self.session.decode(entries, columns);
        self.sampler.observe(&batch);
        batch
    }

    fn bytes(&self) -> usize {
        self.session.bytes()
    }
}
