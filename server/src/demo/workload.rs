//! The shop's load over time. A second's spans are a function of the seed and the second alone.
use std::collections::HashMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use storage::time::NANOS_PER_SECOND;

use super::incident::Incident;
use super::model::{Ask, ENTRIES, Operation, SERVICES};
use super::shop::operations;
use super::span::{Link, Span};
use super::trace::{Message, Trace};

/// The version of `payment` that should not have been deployed.
const BAD_VERSION: &str = "2.8.0";
/// Messages that a batch consumer takes at once.
const BATCH_MAX: usize = 12;

/// The shop, its seed and its load.
pub(super) struct Shop {
    /// Incidents are counted from here, Unix nanoseconds.
    pub origin: i64,
    seed: u64,
    requests_per_second: f64,
    services: HashMap<&'static str, usize>,
    operations: HashMap<(&'static str, &'static str), &'static Operation>,
}

impl Shop {
    /// A shop that makes about `rate` spans a second.
    pub(super) fn new(seed: u64, rate: f64, origin: i64) -> Self {
        let services = SERVICES.iter().enumerate().map(|(index, service)| (service.name, index));
        let operations =
            operations().map(|operation| ((operation.service, operation.name()), operation));
        let mut shop = Self {
            origin,
            seed,
            requests_per_second: 0.0,
            services: services.collect(),
            operations: operations.collect(),
        };
        shop.requests_per_second = rate / shop.spans_per_request();
        shop
    }

    /// Mean over a few hundred requests.
    #[expect(clippy::cast_precision_loss, reason = "a mean of small numbers")]
    fn spans_per_request(&self) -> f64 {
        const REQUESTS: u64 = 400;
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut spans = 0;
        let mut messages = Vec::new();
        for _ in 0..REQUESTS {
            spans += self.request(&mut random, self.origin, &mut messages).len();
        }
        spans += self.batches(&mut random, messages).len();
        spans as f64 / REQUESTS as f64
    }

    /// All spans of the requests that arrive in second `second` (Unix seconds), each trace whole.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of requests"
    )]
    pub(super) fn second(&self, second: i64) -> Vec<Span> {
        let mut random =
            ChaCha8Rng::seed_from_u64(self.seed ^ second.unsigned_abs().rotate_left(20));
        let wanted = self.requests_per_second
            * tide(second - self.origin / NANOS_PER_SECOND)
            * random.random_range(0.8..1.2);
        let requests = wanted as u64 + u64::from(random.random_bool(wanted.fract()));
        let mut spans = Vec::new();
        let mut messages = Vec::new();
        for _ in 0..requests {
            let at = second * NANOS_PER_SECOND + random.random_range(0..NANOS_PER_SECOND);
            spans.append(&mut self.request(&mut random, at, &mut messages));
        }
        spans.append(&mut self.batches(&mut random, messages));
        for span in &mut spans {
            span.version = self.version(span.service, span.start);
        }
        spans
    }

    fn request(&self, random: &mut ChaCha8Rng, at: i64, messages: &mut Vec<Message>) -> Vec<Span> {
        let total: u32 = ENTRIES.iter().map(|entry| entry.share).sum();
        let mut drawn = random.random_range(0..total);
        let mut chosen = &ENTRIES[0];
        for entry in ENTRIES {
            chosen = entry;
            if drawn < entry.share {
                break;
            }
            drawn -= entry.share;
        }
        let mut trace = Trace::new(self, ChaCha8Rng::from_rng(random));
        trace.root(self.operation(chosen.service, chosen.name), at, Vec::new());
        messages.append(&mut trace.messages);
        trace.spans
    }

    /// Consumers that take many messages at once, in traces of their own.
    fn batches(&self, random: &mut ChaCha8Rng, mut messages: Vec<Message>) -> Vec<Span> {
        messages.sort_by_key(|message| (message.topic, message.at, message.link.span));
        let mut spans = Vec::new();
        for operation in operations() {
            let Ask::Batch(topic, _) = operation.ask else { continue };
            let of_topic: Vec<&Message> =
                messages.iter().filter(|message| message.topic == topic).collect();
            for batch in of_topic.chunks(BATCH_MAX) {
                let last = batch.iter().map(|message| message.at).max().unwrap_or(self.origin);
                let links: Vec<Link> = batch.iter().map(|message| message.link).collect();
                let mut trace = Trace::new(self, ChaCha8Rng::from_rng(random));
                trace.root(operation, last + random.random_range(50_000_000..900_000_000), links);
                spans.append(&mut trace.spans);
            }
        }
        spans
    }

    fn version(&self, service: usize, at: i64) -> &'static str {
        let service = &SERVICES[service];
        let bad =
            service.name == "payment" && Incident::at(self.origin, at) == Some(Incident::BadDeploy);
        if bad { BAD_VERSION } else { service.version }
    }

    /// Position of a service in the table.
    ///
    /// # Panics
    /// The tables of the shop do not agree; a test looks at every name.
    pub(super) fn service(&self, name: &str) -> usize {
        self.services[name]
    }

    /// An operation by service and name.
    ///
    /// # Panics
    /// As [`Shop::service`].
    pub(super) fn operation(
        &self,
        service: &'static str,
        name: &'static str,
    ) -> &'static Operation {
        self.operations[&(service, name)]
    }

    /// Operations that take the messages of `topic` one by one.
    pub(super) fn takers(
        &self,
        topic: &'static str,
    ) -> impl Iterator<Item = &'static Operation> + use<> {
        operations()
            .filter(move |operation| matches!(operation.ask, Ask::Topic(of, _) if of == topic))
    }
}

/// Load falls and rises by a third in twenty minutes: a day in the life, hurried. Counted from the shop's opening, so that
/// its last incident before that is as clear at any time of the clock.
#[expect(clippy::cast_precision_loss, reason = "seconds within a period")]
fn tide(seconds_open: i64) -> f64 {
    const PERIOD: i64 = 1_200;
    let phase = seconds_open.rem_euclid(PERIOD) as f64 / PERIOD as f64;
    1.0 - 0.33 * (phase * std::f64::consts::TAU).sin()
}
