//! What the doors count, for `/metrics`.
use std::sync::atomic::{AtomicU64, Ordering};

use storage::Kind;
use storage::metrics::{Counter, Metric, Shape};

use super::Door;
use crate::decode::census::Census;
use crate::decode::sink::Refusal;

/// Why a whole request was refused, as a label.
const REASONS: [(&str, &[Kind]); 4] = [
    ("invalid", &[Kind::Invalid, Kind::NotFound]),
    ("too_large", &[Kind::TooLarge]),
    ("busy", &[Kind::Busy]),
    ("unavailable", &[Kind::Unavailable, Kind::TimedOut, Kind::Corrupt, Kind::Internal]),
];

/// Counters of one door.
#[derive(Debug, Default)]
struct DoorCounts {
    requests: Counter,
    duplicates: Counter,
    spans: Counter,
    sampled_out: Counter,
    bytes: Counter,
    refused: [Counter; REASONS.len()],
    refused_spans: [AtomicU64; Refusal::ALL.len()],
}

/// Counters of all doors.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    doors: [DoorCounts; Door::ALL.len()],
}

impl Counts {
    /// A request that was stored, or recognised as stored before.
    pub(crate) fn stored(&self, door: Door, census: &Census, bytes: usize, duplicate: bool) {
        let counts = &self.doors[door as usize];
        counts.requests.add(1);
        counts.bytes.add(bytes as u64);
        if duplicate {
            counts.duplicates.add(1);
        } else {
            counts.spans.add(census.stored());
            counts.sampled_out.add(census.sampled_out);
        }
        for (refusal, spans) in census.refusals() {
            counts.refused_spans[refusal as usize].fetch_add(spans, Ordering::Relaxed);
        }
    }

    /// A request refused as a whole.
    pub(crate) fn refused(&self, door: Door, kind: Kind) {
        let reason = REASONS.iter().position(|(_, kinds)| kinds.contains(&kind));
        if let Some(reason) = reason {
            self.doors[door as usize].refused[reason].add(1);
        }
    }

    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let mut metrics = Vec::new();
        for door in Door::ALL {
            let counts = &self.doors[door as usize];
            let mut push = |name, help, counter: &Counter, reason: Option<&str>| {
                let mut metric = counter.metric(name, help);
                metric.labels.push(("door", door.label().to_owned()));
                metric.labels.extend(reason.map(|reason| ("reason", reason.to_owned())));
                metrics.push(metric);
            };
            push(REQUESTS.0, REQUESTS.1, &counts.requests, None);
            push(DUPLICATES.0, DUPLICATES.1, &counts.duplicates, None);
            push(SPANS.0, SPANS.1, &counts.spans, None);
            push(SAMPLED_OUT.0, SAMPLED_OUT.1, &counts.sampled_out, None);
            push(BYTES.0, BYTES.1, &counts.bytes, None);
            for ((reason, _), counter) in REASONS.iter().zip(&counts.refused) {
                push(REFUSED.0, REFUSED.1, counter, Some(reason));
            }
            metrics.extend(counts.refused_span_metrics(door));
        }
        metrics
    }
}

impl DoorCounts {
    #[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
    fn refused_span_metrics(&self, door: Door) -> impl Iterator<Item = Metric> {
        Refusal::ALL.into_iter().map(move |refusal| Metric {
            name: "spanlake_ingest_refused_spans_total",
            help: "Spans refused within requests whose other spans were stored.",
            shape: Shape::Counter,
            labels: vec![("door", door.label().to_owned()), ("reason", refusal.label().to_owned())],
            value: self.refused_spans[refusal as usize].load(Ordering::Relaxed) as f64,
        })
    }
}

const REQUESTS: (&str, &str) =
    ("spanlake_ingest_requests_total", "Requests answered as stored, retried ones included.");
const DUPLICATES: (&str, &str) =
    ("spanlake_ingest_duplicate_requests_total", "Retried requests recognised, not stored again.");
const SPANS: (&str, &str) = ("spanlake_ingest_spans_total", "Spans stored.");
const SAMPLED_OUT: (&str, &str) = (
    "spanlake_ingest_sampled_out_spans_total",
    "Spans accepted and left out by sampling.rate; those that stay carry their weight.",
);
const BYTES: (&str, &str) =
    ("spanlake_ingest_bytes_total", "Bytes of request bodies, decompressed.");
const REFUSED: (&str, &str) =
    ("spanlake_ingest_refused_requests_total", "Requests refused as a whole.");
