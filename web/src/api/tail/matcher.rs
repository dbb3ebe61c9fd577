//! Compares what arrived with all filters, encodes each wanted span once, and hands the bytes to the rings.
//!
//! Works on a thread of its own and at most a tenth of its time, so that it never takes a core from ingest; where that
//! is not enough, spans leave memory unseen and are counted as missed.
use std::sync::Arc;
use std::time::Duration;

use arrow::buffer::BooleanBuffer;
use storage::{Arrival, Arrivals, Tail};
use tokio::time::Instant;

use super::events::{Events, mark};
use super::hub::{Channel, Hub};
use super::position::Position;
use super::ring::Frame;
use super::select::{Sought, select};
use super::share::{Budget, Wish, level};

/// Frames are cut at this size: hyper holds 16 of them for a connection whose peer does not read.
const FRAME_BYTES: usize = 16 << 10;
/// Rounds are so far apart: the longer, the more readers the last one woke, so that a thousand are written to once a second
/// (some 25 microseconds of work each) and not hundreds of times.
const PACE_MIN: Duration = Duration::from_millis(50);
const PACE_MAX: Duration = Duration::from_secs(1);
const PACE_PER_READER: Duration = Duration::from_millis(1);
/// So many are woken at once; more of them over the time until the next round, so that requests do not wait behind all.
const WOKEN_AT_ONCE: usize = 50;
/// Rest for each moment of work.
const REST: u32 = 9;
/// How often stalled readers are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// Works until the server ends, or nobody has listened for a while.
pub(super) async fn run(hub: Arc<Hub>, tail: Arc<Tail>) {
    let mut changes = hub.store().changes();
    let mut closed = hub.closed();
    let mut at = tail.next();
    let mut budget = Budget::new(hub.config().bytes_per_second_max);
    loop {
        tokio::select! {
            _ = closed.wait_for(|closed| *closed) => return,
            _ = changes.changed() => {}
            () = tokio::time::sleep(SWEEP) => {}
        }
        let begun = Instant::now();
        hub.sweep(begun);
        let news = round(&hub, &tail.after(at), &mut at, &mut budget);
        if hub.retires(begun) {
            return;
        }
        tokio::select! {
            _ = closed.wait_for(|closed| *closed) => return,
            () = wake(&news, begun.elapsed() * REST) => {}
        }
    }
}

/// Wakes the readers of `channels`, group after group; takes `time` or longer, so that many are not woken often.
async fn wake(channels: &[Arc<Channel>], time: Duration) {
    let readers: usize = channels.iter().map(|channel| channel.readers()).sum();
    let pace = PACE_PER_READER.saturating_mul(u32::try_from(readers).unwrap_or(u32::MAX));
    let time = pace.clamp(PACE_MIN, PACE_MAX).max(time);
    let groups: Vec<_> = channels.iter().flat_map(|channel| channel.groups()).collect();
    let step = time / u32::try_from(groups.len().max(1)).unwrap_or(u32::MAX);
    let begun = Instant::now();
    let mut at = begun;
    for group in groups {
        group.send_replace(());
        if readers > WOKEN_AT_ONCE {
            at += step;
            tokio::time::sleep_until(at).await;
        }
    }
    tokio::time::sleep_until(begun + time).await;
}

/// One look at what arrived behind span number `at`, which then lies behind that; returns the filters that have news.
fn round(hub: &Hub, found: &Arrivals, at: &mut u64, budget: &mut Budget) -> Vec<Arc<Channel>> {
    let channels = hub.channels();
    let level = level(channels.iter().map(|channel| wish(channel)).collect(), budget.events());
    let now = Instant::now();
    let mut drafts: Vec<Draft> =
        channels.into_iter().map(|channel| Draft::new(channel, *at, (level, now))).collect();
    *at = found.next;
    let first = found.batches.first().map_or(found.next, |arrival| arrival.first);
    for draft in &mut drafts {
        draft.missed = first.saturating_sub(draft.begin);
    }
    if !drafts.is_empty() {
        for arrival in &found.batches {
            let (events, bytes) = compare(hub, arrival, &mut drafts);
            budget.learn(events, bytes);
        }
    }
    let through = found.batches.last().map_or(0, |arrival| arrival.through.0);
    drafts.into_iter().filter_map(|draft| draft.publish(hub, found.next, through)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn wish(channel: &Channel) -> Wish {
    Wish { readers: channel.readers() as f64, rate: channel.bucket.wish() }
}

/// Adds what each filter wants of `arrival`; returns how many spans were encoded, and to how many bytes.
fn compare(hub: &Hub, arrival: &Arrival, drafts: &mut [Draft]) -> (usize, usize) {
    let sought = Sought::new(&arrival.batch);
    let chosen: Vec<Vec<usize>> =
        drafts.iter_mut().map(|draft| draft.choose(arrival, &sought)).collect();
    let mut wanted = vec![false; arrival.batch.rows()];
    for row in chosen.iter().flatten() {
        wanted[*row] = true;
    }
    if chosen.iter().all(Vec::is_empty) {
        return (0, 0);
    }
    let encoded = hub
        .presenter()
        .and_then(|presenter| {
            Events::encode(&presenter, arrival, BooleanBuffer::from(wanted), hub.run())
        })
        .inspect_err(|error| tracing::error!(%error, "spans could not be shown to the live tail"));
    for (draft, rows) in drafts.iter_mut().zip(&chosen) {
        match &encoded {
            Ok(events) => draft.add(events, rows, arrival),
            // A mistake of ours; whoever listens is at least told.
            Err(_) => draft.missed += rows.len() as u64,
        }
    }
    encoded.map_or((0, 0), |events| events.size())
}

/// What one round makes for one filter.
struct Draft {
    channel: Arc<Channel>,
    /// Number of the first span that is new for this filter.
    begin: u64,
    /// Spans that may still come in this round.
    tokens: usize,
    frames: Vec<Frame>,
    /// Of the frame that is being filled.
    bytes: Vec<u8>,
    events: Vec<(u64, usize)>,
    through: u64,
    skipped: u64,
    missed: u64,
    /// Spans that the filter wants, skipped ones included.
    wanted: u64,
}

impl Draft {
    /// `level` is the most that a reader may have in a second now.
    fn new(channel: Arc<Channel>, at: u64, (level, now): (f64, Instant)) -> Self {
        let (end, through) = channel.end();
        let tokens = channel.bucket.tokens(channel.filter.rate_max().min(level), now);
        Self {
            begin: end.max(at),
            tokens,
            frames: Vec::new(),
            bytes: Vec::new(),
            events: Vec::new(),
            through,
            skipped: 0,
            missed: 0,
            wanted: 0,
            channel,
        }
    }

    /// The rows of `arrival` that become events here; the others that the filter wants are skipped.
    fn choose(&mut self, arrival: &Arrival, sought: &Sought<'_>) -> Vec<usize> {
        let rows = arrival.batch.rows();
        let from = usize::try_from(self.begin.saturating_sub(arrival.first)).unwrap_or(rows);
        if from >= rows {
            return Vec::new();
        }
        let wanted = select(&self.channel.filter, sought).slice(from, rows - from);
        let count = wanted.count_set_bits();
        let taken = count.min(self.tokens);
        self.tokens -= taken;
        self.wanted += count as u64;
        self.skipped += (count - taken) as u64;
        wanted.set_indices().take(taken).map(|row| row + from).collect()
    }

    fn add(&mut self, events: &Events, rows: &[usize], arrival: &Arrival) {
        for (row, event) in events.of(rows) {
            let number = arrival.first + row as u64;
            self.events.push((number, self.bytes.len()));
            self.bytes.extend_from_slice(event);
            self.through = arrival.through.0;
            if self.bytes.len() >= FRAME_BYTES {
                self.seal(number + 1);
            }
        }
    }

    fn seal(&mut self, end: u64) {
        let begin = self.frames.last().map_or(self.begin, |frame| frame.end);
        self.frames.push(Frame {
            begin,
            end,
            through: self.through,
            bytes: std::mem::take(&mut self.bytes).into(),
            events: std::mem::take(&mut self.events),
            skipped: std::mem::take(&mut self.skipped),
            missed: std::mem::take(&mut self.missed),
        });
    }

    /// Hands everything out; returns the filter where its readers have news.
    fn publish(mut self, hub: &Hub, end: u64, through: u64) -> Option<Arc<Channel>> {
        self.through = self.through.max(through);
        if !self.bytes.is_empty() {
            let position = Position { run: hub.run(), through: self.through, next: end };
            mark(position, &mut self.bytes);
        }
        if self.skipped + self.missed > 0 || !self.bytes.is_empty() {
            self.seal(end);
        }
        self.channel.bucket.settle(self.tokens, self.wanted, self.channel.filter.rate_max());
        let is_new = !self.frames.is_empty();
        hub.publish(&self.channel, self.frames, (end, self.through));
        is_new.then_some(self.channel)
    }
}
