//! What the doors count, for `/metrics`.
use storage::metrics::{Counter, Metric};

use super::Door;
use crate::Error;
use crate::decode::census::Census;
use crate::decode::sink::Refusal;

/// Why spans are refused: with their request, or within one whose others are stored.
const REASONS: usize = Error::REASONS.len();

/// Counters of one door.
#[derive(Debug, Default)]
struct DoorCounts {
    requests: Counter,
    duplicates: Counter,
    spans: Counter,
    sampled_out: Counter,
    bytes: Counter,
    refused: [Refused; REASONS],
    refused_spans: [Counter; Refusal::ALL.len()],
}

/// Requests refused as a whole for one reason.
#[derive(Debug, Default)]
struct Refused {
    requests: Counter,
    bytes: Counter,
    spans: Counter,
}

/// Counters of all doors, of one tenant.
#[derive(Debug)]
pub(crate) struct Counts {
    tenant: String,
    doors: [DoorCounts; Door::ALL.len()],
}

impl Counts {
    pub(crate) fn new(tenant: &str) -> Self {
        Self { tenant: tenant.to_owned(), doors: Default::default() }
    }

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
            counts.refused_spans[refusal as usize].add(spans);
        }
    }

    /// A request refused as a whole, of which so many bytes and spans were known.
    pub(crate) fn refused(&self, door: Door, error: &Error, (bytes, spans): (usize, u64)) {
        let reason = Error::REASONS.iter().position(|reason| *reason == error.reason());
        if let Some(reason) = reason {
            let refused = &self.doors[door as usize].refused[reason];
            refused.requests.add(1);
            refused.bytes.add(bytes as u64);
            refused.spans.add(spans);
        }
    }

    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let mut metrics = Vec::new();
        for door in Door::ALL {
            let counts = &self.doors[door as usize];
            let mut push = |(name, help), counter: &Counter, reason: Option<&str>| {
                let mut metric = counter.metric(name, help);
                metric.labels.push(("door", door.label().to_owned()));
                metric.labels.extend(reason.map(|reason| ("reason", reason.to_owned())));
                metric.labels.push(("tenant", self.tenant.clone()));
                metrics.push(metric);
            };
            push(REQUESTS, &counts.requests, None);
            push(DUPLICATES, &counts.duplicates, None);
            push(SPANS, &counts.spans, None);
            push(SAMPLED_OUT, &counts.sampled_out, None);
            push(BYTES, &counts.bytes, None);
            for (reason, refused) in Error::REASONS.iter().zip(&counts.refused) {
                push(REFUSED, &refused.requests, Some(reason));
                push(REFUSED_BYTES, &refused.bytes, Some(reason));
                push(REFUSED_SPANS, &refused.spans, Some(reason));
            }
            for refusal in Refusal::ALL {
                let counter = &counts.refused_spans[refusal as usize];
                push(REFUSED_SPANS, counter, Some(refusal.label()));
            }
        }
        metrics
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
const REFUSED_BYTES: (&str, &str) = (
    "spanlake_ingest_refused_bytes_total",
    "Bytes of refused requests: as announced where they were refused unread, else as read.",
);
const REFUSED_SPANS: (&str, &str) = (
    "spanlake_ingest_refused_spans_total",
    "Spans refused one by one, and those of refused requests where these had been read: of the others only bytes are known.",
);
