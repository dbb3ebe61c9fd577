//! One reader's stream: first what it missed, then what the ring of its filter holds, and signs of life between.
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use tokio::sync::watch;
use tokio::time::Instant;

use super::catch_up::{Piece, read_up};
use super::events::{Lost, lagged, mark, skipped};
use super::hub::Seated;
use super::position::Position;
use super::ring::{Place, Totals};

/// `skipped` comes this often at most.
const NOTICE: Duration = Duration::from_secs(1);

/// A reader that has its seat.
pub(super) struct Reader {
    seated: Arc<Seated>,
    phase: Phase,
    changes: watch::Receiver<()>,
    closed: watch::Receiver<bool>,
    ends: Instant,
    /// When it was last told of skipped spans.
    noticed: Option<Instant>,
    /// To be sent before anything else.
    pending: Vec<u8>,
}

enum Phase {
    /// Reads what it missed from memory: from that span on, so many spans at most.
    Behind { at: u64, budget: usize, work: Option<BoxFuture<'static, Option<Piece>>> },
    /// Follows the ring.
    Live(Place),
}

impl Reader {
    /// Begins with what comes next, or behind the place that an earlier stream gave.
    pub(super) fn new(seated: Seated, from: Option<Position>) -> Self {
        let mut told = Vec::new();
        let phase = match from {
            None => Phase::Live(seated.channel.ring().newest()),
            Some(position) => {
                let at = start(&seated, position, &mut told);
                let budget = seated.hub.config().resume_spans_max;
                Phase::Behind { at, budget, work: None }
            }
        };
        let mut reader = Self {
            ends: Instant::now() + seated.hub.config().age_max,
            changes: seated.channel.changes(&seated.seat),
            closed: seated.hub.closed(),
            seated: Arc::new(seated),
            phase,
            noticed: None,
            pending: b"retry: 1000\n".to_vec(),
        };
        mark(reader.position(), &mut reader.pending);
        reader.pending.extend(told);
        reader
    }

    /// The stream as a body.
    pub(super) fn body(self) -> Body {
        let seated = Arc::clone(&self.seated);
        let stream = stream::unfold(self, |mut reader| async {
            let bytes = reader.next().await?;
            Some((Ok::<Bytes, Infallible>(bytes), reader))
        });
        Body::from_stream(Noted { seated, stream: stream.boxed() })
    }

    /// The next bytes; `None` where the stream ends.
    async fn next(&mut self) -> Option<Bytes> {
        let heartbeat = Instant::now() + self.seated.hub.config().heartbeat;
        loop {
            if self.seated.seat.is_cut() || *self.closed.borrow() {
                return None;
            }
            if let Some(bytes) = self.ready() {
                return Some(bytes);
            }
            if Instant::now() >= heartbeat {
                return Some(self.sign_of_life());
            }
            if Instant::now() >= self.ends {
                self.seated.hub.figures.aged.add(1);
                return None;
            }
            let mut closed = self.closed.clone();
            let wake = heartbeat.min(self.ends).min(self.news_at().unwrap_or(heartbeat));
            tokio::select! {
                _ = closed.wait_for(|closed| *closed) => {}
                () = self.moved() => {}
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// Returns when there may be something to send. Safe to cancel.
    async fn moved(&mut self) {
        let Phase::Behind { at, budget, work } = &mut self.phase else {
            // The sender lives in the channel, which the seat holds.
            let _ = self.changes.changed().await;
            return;
        };
        let (from, spans_max) = (*at, *budget);
        let seated = &self.seated;
        let piece =
            work.get_or_insert_with(|| read_up(Arc::clone(seated), from, spans_max).boxed()).await;
        *work = None;
        let Some(piece) = piece else {
            // The runtime ends.
            self.ends = Instant::now();
            return;
        };
        *at = piece.next;
        *budget -= piece.spans;
        let figures = &self.seated.hub.figures;
        figures.sent.add(piece.spans as u64);
        figures.flushed.add(piece.missed);
        figures.skipped.add(piece.skipped);
        self.pending = piece.told();
    }

    /// Bytes that can be sent now.
    fn ready(&mut self) -> Option<Bytes> {
        if !self.pending.is_empty() {
            return Some(std::mem::take(&mut self.pending).into());
        }
        let (mut place, step, totals) = {
            let ring = self.seated.channel.ring();
            let mut place = match &self.phase {
                Phase::Live(place) => *place,
                Phase::Behind { at, .. } => ring.place(*at)?,
            };
            let step = ring.step(&mut place);
            let totals = step.as_ref().map_or(ring.totals(), |step| step.totals);
            (place, step, totals)
        };
        let lost = step.as_ref().map_or(0, |step| step.lost);
        let mut told = self.tell(lost, &mut place.told, totals);
        self.phase = Phase::Live(place);
        if let Some(step) = step {
            self.seated.hub.figures.sent.add(step.spans);
            if told.is_empty() && !step.events.is_empty() {
                return Some(step.events);
            }
            // Rare, so that the copy does not matter.
            told.extend_from_slice(&step.events);
        }
        (!told.is_empty()).then(|| told.into())
    }

    /// What happened to spans that do not come.
    fn tell(&mut self, lost: u64, told: &mut Totals, totals: Totals) -> Vec<u8> {
        let figures = &self.seated.hub.figures;
        let mut words = Vec::new();
        if lost > 0 {
            figures.slow.add(lost);
            lagged(Some(lost), Lost::Slow, &mut words);
        }
        let missed = totals.missed.saturating_sub(told.missed);
        if missed > 0 {
            figures.flushed.add(missed);
            lagged(Some(missed), Lost::Flushed, &mut words);
            told.missed = totals.missed;
        }
        let over = totals.skipped.saturating_sub(told.skipped);
        if over > 0 && self.noticed.is_none_or(|noticed| noticed.elapsed() >= NOTICE) {
            figures.skipped.add(over);
            skipped(over, &mut words);
            told.skipped = totals.skipped;
            self.noticed = Some(Instant::now());
        }
        words
    }

    /// When it is due to hear of skipped spans that were held back.
    fn news_at(&self) -> Option<Instant> {
        let Phase::Live(place) = &self.phase else { return None };
        let is_open = self.seated.channel.ring().totals().skipped > place.told.skipped;
        self.noticed.filter(|_| is_open).map(|noticed| noticed + NOTICE)
    }

    fn sign_of_life(&self) -> Bytes {
        let mut bytes = b": still here\n".to_vec();
        mark(self.position(), &mut bytes);
        bytes.into()
    }

    fn position(&self) -> Position {
        let next = match &self.phase {
            Phase::Behind { at, .. } => *at,
            Phase::Live(place) => place.at,
        };
        let through = self.seated.channel.ring().through();
        Position { run: self.seated.hub.run(), through, next }
    }
}

/// The number of the first span behind `position`. After a restart numbers begin anew: the log position then says where
/// to go on, and how much came between is not known.
fn start(seated: &Seated, position: Position, told: &mut Vec<u8>) -> u64 {
    if position.run == seated.hub.run() {
        return position.next.min(seated.tail.next());
    }
    lagged(None, Lost::Restarted, told);
    let found = seated.tail.after(0);
    let behind = found.batches.iter().find(|arrival| arrival.through.0 > position.through);
    behind.map_or(found.next, |arrival| arrival.first)
}

/// Notes when the stream is asked for bytes.
struct Noted {
    seated: Arc<Seated>,
    stream: BoxStream<'static, Result<Bytes, Infallible>>,
}

impl Stream for Noted {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.seated.touch();
        self.stream.as_mut().poll_next(cx)
    }
}
