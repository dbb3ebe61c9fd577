//! One request from its header to the store: the same steps at every door, refusals as early as they can be known.
use axum::body::Body;
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, HeaderValue};
use storage::ledger::Refused;
use storage::time::TimeRange;
use storage::{Appended, Compressed, Entry};

use super::admission::Charge;
use super::body::{self, Encoding, Limits, Taken};
use super::flight::Held;
use super::{Door, Ingest, Outcome};
use crate::decode::Format;
use crate::decode::census::Census;
use crate::decode::sink::{Refusal, window};
use crate::{Error, Result};

/// What the header says about the body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parcel {
    pub(super) format: Format,
    pub(super) encoding: Encoding,
    pub(super) limits: Limits,
    /// The body is one gRPC message behind its prefix.
    pub(super) framed: bool,
}

/// A request on its way in.
#[derive(Debug)]
pub(crate) struct Intake<'a> {
    ingest: &'a Ingest,
    door: Door,
    charge: Charge<'a>,
    announced: Option<usize>,
    /// The sender waits for a sign before it sends the body.
    expects: bool,
    /// Of the body: announced, then as sent, then inflated.
    bytes: usize,
    /// To be stored, once they are counted.
    spans: u64,
    /// A refused body was left unread, so the connection cannot go on.
    pub(super) unread: bool,
}

impl<'a> Intake<'a> {
    /// A request with this header.
    pub(super) fn new(ingest: &'a Ingest, door: Door, headers: &HeaderMap) -> Self {
        let announced = headers.get(CONTENT_LENGTH).map(HeaderValue::to_str);
        let announced = announced.and_then(|length| length.ok()?.parse().ok());
        let expects = headers.contains_key(EXPECT);
        Self { announced, expects, bytes: announced.unwrap_or(0), ..Self::direct(ingest, door) }
    }

    /// A request that did not come over the network.
    pub(super) fn direct(ingest: &'a Ingest, door: Door) -> Self {
        Self {
            ingest,
            door,
            charge: Charge::new(&ingest.admission, &*ingest.clock),
            announced: None,
            expects: false,
            bytes: 0,
            spans: 0,
            unread: false,
        }
    }

    /// Reads, inflates, checks and stores the body. Where it is refused, a small one is read to its end all the same,
    /// so that the connection stays open.
    pub(super) async fn receive(
        &mut self,
        parcel: Result<Parcel>,
        mut body: Body,
    ) -> Result<Outcome> {
        let arrived = match parcel {
            Ok(parcel) => self.read(parcel, &mut body).await,
            Err(error) => Err(error),
        };
        match arrived {
            Ok((format, taken)) => self.store(format, taken, None).await,
            Err(error) => {
                let left = matches!(error, Error::Stalled { .. } | Error::Interrupted);
                self.unread = left || self.expects || !self.drain(&mut body).await;
                Err(error)
            }
        }
    }

    /// Reads a refused body to its end where that is cheap: a small one, when its turn has come. False where it was left.
    async fn drain(&self, body: &mut Body) -> bool {
        if http_body::Body::is_end_stream(body) {
            return true;
        }
        let Some(bytes) = body::to_drain(self.announced) else { return false };
        let Ingest { admission, clock, .. } = self.ingest;
        let Some(wait) = admission.drains_after(bytes, clock.now_unix_nano()) else { return false };
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let (read, is_whole) = body::drain(body).await;
        admission.drained(read.saturating_sub(bytes), clock.now_unix_nano());
        is_whole
    }

    async fn read(&mut self, parcel: Parcel, body: &mut Body) -> Result<(Format, Taken)> {
        let Parcel { format, encoding, limits, framed } = parcel;
        self.admit(limits).await?;
        let (body, encoding, held) = if framed {
            // gRPC announces a length only here.
            let head = body::read_message_head(body, limits.bytes_max).await?;
            self.bytes = head.length;
            let mut held = self.enter().await?;
            let encoding = if head.is_compressed { encoding } else { Encoding::Identity };
            let message = body::read_message(body, head, limits.bytes_max, &mut held).await?;
            (message, encoding, held)
        } else {
            let mut held = self.enter().await?;
            let bytes = body::read(body, self.announced, limits.bytes_max, &mut held).await?;
            (bytes, encoding, held)
        };
        self.bytes = body.len();
        let taken = body::inflate(&self.ingest.cpu, (encoding, body), limits, held).await?;
        self.bytes = taken.plain.len();
        self.charge.bytes(self.bytes);
        Ok((format, taken))
    }

    /// Everything that can refuse a request by its header, cheapest first.
    async fn admit(&self, limits: Limits) -> Result<()> {
        let ingest = self.ingest;
        let limit_bytes = limits.bytes_max;
        if self.announced.is_some_and(|bytes| bytes > limit_bytes) {
            return Err(Error::TooLarge { limit_bytes });
        }
        let now = ingest.clock.now_unix_nano();
        ingest.admission.check_rates(now)?;
        ingest.admission.check_room(&ingest.store, now).await
    }

    /// Waits for room among the bytes in flight.
    async fn enter(&mut self) -> Result<Held> {
        let (flight, wait_max) = (&self.ingest.flight, self.ingest.config.wait_max);
        let held = flight.enter(self.bytes, body::AHEAD_BYTES, wait_max).await?;
        self.charge.bytes(self.bytes);
        Ok(held)
    }

    /// Checks a body and stores its good spans; what covers it is given back at the end.
    pub(super) async fn store(
        &mut self,
        format: Format,
        taken: Taken,
        accept: Option<TimeRange>,
    ) -> Result<Outcome> {
        let Taken { plain: body, sent, held } = taken;
        let ingest = self.ingest;
        self.bytes = body.len();
        if body.len() > storage::config::BODY_BYTES_MAX {
            return Err(Error::TooLarge { limit_bytes: storage::config::BODY_BYTES_MAX });
        }
        let received_unix_nano = ingest.clock.now_unix_nano();
        let accept = accept.unwrap_or_else(|| {
            window(received_unix_nano, ingest.config.age_max, ingest.config.future_max)
        });
        // Imports bring what someone chose to bring: only what is sent live is sampled, and bound by rates.
        let live = self.door != Door::Direct;
        let threshold = ingest.threshold.filter(|_| live);
        let (census, rest) = ingest.check(format, body.clone(), (accept, threshold)).await?;
        // What was sent holds more than the rest. That is logged as it is: compressing it would cost more CPU than writing it
        // does, see docs/decisions/0010-sampling.md.
        let (body, sent) = rest.map_or((body, sent), |rest| (rest, None));
        self.spans = census.accepted;
        self.remember(&census, received_unix_nano);
        if live {
            self.charge.spans(census.stored());
        }
        let entry =
            Entry { format: format.code(), received_unix_nano, accept, body, deduplicate: true };
        // A request without a span to keep leaves nothing to remember.
        let duplicate =
            census.stored() > 0 && matches!(self.append(entry, sent).await?, Appended::Duplicate);
        drop(held);
        self.charge.keep();
        ingest.counts.stored(self.door, &census, self.bytes, duplicate);
        Ok(Outcome {
            accepted_spans: if duplicate { 0 } else { census.accepted },
            rejected_spans: census.rejected(),
            message: census.message(),
            duplicate,
        })
    }

    async fn append(&self, entry: Entry, sent: Option<Compressed>) -> Result<Appended> {
        let store = &self.ingest.store;
        Ok(match sent {
            Some(sent) => store.append_compressed(entry, sent).await?,
            None => store.append(entry).await?,
        })
    }

    /// Writes the refused spans into the ledger, which explains their children's missing parents.
    fn remember(&self, census: &Census, now: i64) {
        let ledger = self.ingest.store.ledger();
        for (refusal, ids) in census.refused_ids() {
            let why = if refusal == Refusal::TooOld { Refused::Late } else { Refused::Dropped };
            ledger.refuse(why, ids, now);
        }
    }

    /// Counts a refusal on its way out.
    pub(super) fn counted<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            let now = self.ingest.clock.now_unix_nano();
            if let Error::Storage(cause) = error
                && let Some(times) = self.ingest.admission.told.turn(now)
            {
                let door = self.door.label();
                tracing::warn!(door, error = ?cause, times, "storage refused requests");
            }
            self.ingest.admission.note(error, now);
            self.ingest.store.ledger().lose(now);
            self.ingest.counts.refused(self.door, error, (self.bytes, self.spans));
        }
        result
    }
}
