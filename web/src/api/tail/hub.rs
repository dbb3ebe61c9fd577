//! Who listens to what: readers, their filters, the one thread that works for them, and the limits.
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use axum::http::{HeaderMap, header};
use query::{Engine, Presenter};
use storage::metrics::{Counter, Metric, Shape};
use storage::schema::AttributeColumns;
use storage::{Store, Tail};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::config::Config;
use super::filter::Filter;
use super::matcher;
use super::ring::{Frame, Ring};
use super::share::Bucket;
use crate::{Error, Result};

/// Newest events of one filter at most, however few filters there are.
const RING_BYTES_MAX: usize = 4 << 20;

/// Everything that the live tail knows.
#[derive(Debug)]
pub(super) struct Hub {
    store: Store,
    config: Config,
    run: u64,
    started: Instant,
    state: Mutex<State>,
    presenter: Mutex<Option<(Arc<AttributeColumns>, Arc<Presenter>)>>,
    closed: watch::Sender<bool>,
    /// One reader at a time reads up what it missed.
    pub(super) reading_up: Arc<Semaphore>,
    pub(super) figures: Figures,
}

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) sent: Counter,
    pub(super) slow: Counter,
    pub(super) flushed: Counter,
    pub(super) skipped: Counter,
    pub(super) stalled: Counter,
    pub(super) aged: Counter,
    refused: Counter,
}

#[derive(Debug, Default)]
struct State {
    /// With the number of its readers.
    channels: HashMap<Filter, (Arc<Channel>, usize)>,
    seats: HashMap<u64, Arc<Seat>>,
    by_token: HashMap<u64, usize>,
    seat_next: u64,
    worker: Option<Worker>,
    empty_since: Option<Instant>,
}

#[derive(Debug)]
struct Worker {
    tail: Arc<Tail>,
    thread: JoinHandle<()>,
}

/// The readers of one filter are woken in so many groups, so that a thousand of them do not run at once.
const GROUPS: usize = 16;

/// One filter and its newest events.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) filter: Filter,
    ring: Mutex<Ring>,
    changed: [watch::Sender<()>; GROUPS],
    pub(super) bucket: Bucket,
}

impl Channel {
    fn new(filter: Filter, ring: Ring) -> Self {
        let bucket = Bucket::new(filter.rate_max(), Instant::now());
        let changed = std::array::from_fn(|_| watch::channel(()).0);
        Self { filter, ring: Mutex::new(ring), changed, bucket }
    }

    /// Access to the events.
    pub(super) fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far spans were looked at, and the log position there.
    pub(super) fn end(&self) -> (u64, u64) {
        let ring = self.ring();
        (ring.end(), ring.through())
    }

    /// A new value whenever it is this reader's turn to look at events that were added.
    pub(super) fn changes(&self, seat: &Seat) -> watch::Receiver<()> {
        let group = usize::try_from(seat.number % GROUPS as u64).unwrap_or(0);
        self.changed[group].subscribe()
    }

    /// Wakes each group of readers that has any.
    pub(super) fn groups(&self) -> impl Iterator<Item = &watch::Sender<()>> {
        self.changed.iter().filter(|group| group.receiver_count() > 0)
    }

    /// Readers of it now.
    pub(super) fn readers(&self) -> usize {
        self.changed.iter().map(watch::Sender::receiver_count).sum()
    }
}

/// One reader, as the thread that looks after it sees it.
#[derive(Debug)]
pub(super) struct Seat {
    number: u64,
    token: u64,
    /// When its stream was last asked for bytes, milliseconds after the hub's start.
    asked: AtomicU64,
    cut: AtomicBool,
}

impl Seat {
    /// True where its connection must go.
    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}

/// A reader's place among all; gives it up when dropped.
#[derive(Debug)]
pub(super) struct Seated {
    pub(super) hub: Arc<Hub>,
    pub(super) seat: Arc<Seat>,
    pub(super) channel: Arc<Channel>,
    pub(super) tail: Arc<Tail>,
    /// Reads what left memory.
    pub(super) engine: Engine,
}

impl Seated {
    /// Its stream was asked for bytes: the reader lives.
    pub(super) fn touch(&self) {
        self.seat.asked.store(self.hub.millis(Instant::now()), Ordering::Relaxed);
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        let mut state = self.hub.lock();
        state.seats.remove(&self.seat.number);
        if let Some(count) = state.by_token.get_mut(&self.seat.token) {
            *count -= 1;
            if *count == 0 {
                state.by_token.remove(&self.seat.token);
            }
        }
        if let Some((_, readers)) = state.channels.get_mut(&self.channel.filter) {
            *readers -= 1;
            if *readers == 0 {
                state.channels.remove(&self.channel.filter);
            }
        }
        if state.seats.is_empty() {
            state.empty_since = Some(Instant::now());
        }
    }
}

impl Hub {
    pub(super) fn new(store: Store, config: Config, started_unix_nano: i64) -> Self {
        Self {
            store,
            config,
            run: u64::try_from(started_unix_nano / 1_000_000).unwrap_or(0),
            started: Instant::now(),
            state: Mutex::default(),
            presenter: Mutex::default(),
            closed: watch::channel(false).0,
            reading_up: Arc::new(Semaphore::new(1)),
            figures: Figures::default(),
        }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Which start of the server this is.
    pub(super) fn run(&self) -> u64 {
        self.run
    }

    /// True once the server ends.
    pub(super) fn closed(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    pub(super) fn channels(&self) -> Vec<Arc<Channel>> {
        self.lock().channels.values().map(|(channel, _)| Arc::clone(channel)).collect()
    }

    /// A place for one more reader; the thread is started where there is none.
    ///
    /// # Errors
    /// There are too many, or the server ends.
    pub(super) fn seat(
        self: &Arc<Self>,
        filter: Filter,
        headers: &HeaderMap,
        engine: &Engine,
    ) -> Result<Seated> {
        let token = fingerprint(headers);
        let mut state = self.lock();
        if *self.closed.borrow() {
            return Err(Error::Ending);
        }
        self.admit(&state, &filter, token).inspect_err(|_| self.figures.refused.add(1))?;
        let tail = self.worker(&mut state)?;
        let ring = || Ring::new(tail.next(), 0);
        let (channel, readers) = state
            .channels
            .entry(filter)
            .or_insert_with_key(|filter| (Arc::new(Channel::new(filter.clone(), ring())), 0));
        *readers += 1;
        let channel = Arc::clone(channel);
        *state.by_token.entry(token).or_default() += 1;
        state.seat_next += 1;
        let asked = AtomicU64::new(self.millis(Instant::now()));
        let number = state.seat_next;
        let seat = Arc::new(Seat { number, token, asked, cut: AtomicBool::new(false) });
        state.seats.insert(number, Arc::clone(&seat));
        drop(state);
        Ok(Seated { hub: Arc::clone(self), seat, channel, tail, engine: engine.clone() })
    }

    fn admit(&self, state: &State, filter: &Filter, token: u64) -> Result<()> {
        let with_token = state.by_token.get(&token).copied().unwrap_or(0);
        let is_new = !state.channels.contains_key(filter);
        let Config { readers_max, readers_per_token_max, filters_max, .. } = self.config;
        let (what, limit) = if state.seats.len() >= readers_max {
            ("tail.readers_max", readers_max)
        } else if with_token >= readers_per_token_max {
            ("tail.readers_per_token_max", readers_per_token_max)
        } else if is_new && state.channels.len() >= filters_max {
            ("tail.filters_max", filters_max)
        } else {
            return Ok(());
        };
        Err(Error::Crowded(format!("the live tail is full: {what} is {limit}")))
    }

    fn worker(self: &Arc<Self>, state: &mut State) -> Result<Arc<Tail>> {
        if let Some(worker) = &state.worker {
            return Ok(Arc::clone(&worker.tail));
        }
        let tail = Arc::new(self.store.tail());
        let failed = |error: std::io::Error| Error::Internal(format!("live tail: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(failed)?;
        let work = matcher::run(Arc::clone(self), Arc::clone(&tail));
        let thread = std::thread::Builder::new()
            .name("tail".to_owned())
            .spawn(move || runtime.block_on(work))
            .map_err(failed)?;
        state.worker = Some(Worker { tail: Arc::clone(&tail), thread });
        Ok(tail)
    }

    /// True where nobody has listened for a while: the thread ends then.
    pub(super) fn retires(&self, now: Instant) -> bool {
        let mut state = self.lock();
        let linger = self.config.linger;
        let is_over = state.seats.is_empty()
            && state.empty_since.is_none_or(|since| now.saturating_duration_since(since) >= linger);
        if is_over {
            state.worker = None;
        }
        is_over
    }

    /// Adds what a round made for `channel`; its readers see it when they are woken.
    pub(super) fn publish(
        &self,
        channel: &Channel,
        frames: Vec<Frame>,
        (end, through): (u64, u64),
    ) {
        let channels = self.lock().channels.len().max(1);
        let bytes_max = RING_BYTES_MAX.min(self.config.waiting_bytes_max / channels);
        let mut ring = channel.ring();
        for frame in frames {
            ring.push(frame, bytes_max);
        }
        ring.seen(end, through);
    }

    /// Finds the readers that have taken nothing for too long. Their streams are not asked for anything while their
    /// connections are full, so that only somebody else can end them.
    pub(super) fn sweep(&self, now: Instant) {
        let patience = self.config.stalled_max.max(self.config.heartbeat * 2);
        let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let now = self.millis(now);
        for seat in self.lock().seats.values() {
            let silent = now.saturating_sub(seat.asked.load(Ordering::Relaxed));
            if silent > patience && !seat.cut.swap(true, Ordering::Relaxed) {
                self.figures.stalled.add(1);
            }
        }
    }

    /// How stored spans are shown, with the columns of now.
    pub(super) fn presenter(&self) -> Result<Arc<Presenter>> {
        let columns = self.store.columns();
        let mut kept = self.presenter.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, presenter)) = kept.as_ref()
            && Arc::ptr_eq(of, &columns)
        {
            return Ok(Arc::clone(presenter));
        }
        let presenter = Arc::new(Presenter::new(&columns)?);
        *kept = Some((columns, Arc::clone(&presenter)));
        Ok(presenter)
    }

    /// Ends all streams, takes no new ones, and waits for the thread.
    pub(super) async fn close(&self) {
        let worker = {
            let mut state = self.lock();
            self.closed.send_replace(true);
            state.worker.take()
        };
        if let Some(worker) = worker {
            let ended = tokio::task::spawn_blocking(move || worker.thread.join()).await;
            if !matches!(ended, Ok(Ok(()))) {
                tracing::error!("the thread of the live tail had panicked");
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
    pub(super) fn metrics(&self) -> Vec<Metric> {
        let (readers, filters) = {
            let state = self.lock();
            (state.seats.len(), state.channels.len())
        };
        let gauge = |name, help, value: usize| {
            let (shape, labels, value) = (Shape::Gauge, Vec::new(), value as f64);
            Metric { name, help, shape, labels, value }
        };
        let by = |counter: &Counter, name, help, reason: &str| {
            let mut metric = counter.metric(name, help);
            metric.labels.push(("reason", reason.to_owned()));
            metric
        };
        let figures = &self.figures;
        let lagged = "Spans that readers of the live tail were told they lost, by reason.";
        let closed = "Streams of the live tail that the server ended, by reason.";
        vec![
            gauge("spanlake_tail_readers", "Open streams of the live tail.", readers),
            gauge("spanlake_tail_filters", "Distinct filters of the live tail.", filters),
            figures
                .sent
                .metric("spanlake_tail_events_total", "Spans handed to readers of the live tail."),
            by(&figures.slow, "spanlake_tail_lagged_spans_total", lagged, "slow"),
            by(&figures.flushed, "spanlake_tail_lagged_spans_total", lagged, "flushed"),
            figures.skipped.metric(
                "spanlake_tail_skipped_spans_total",
                "Spans over the limit of a reader of the live tail.",
            ),
            by(&figures.stalled, "spanlake_tail_closed_total", closed, "stalled"),
            by(&figures.aged, "spanlake_tail_closed_total", closed, "age"),
            figures.refused.metric(
                "spanlake_tail_refused_total",
                "Streams of the live tail refused because there were too many.",
            ),
        ]
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.started);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells tokens apart without keeping them.
fn fingerprint(headers: &HeaderMap) -> u64 {
    let mut hasher = DefaultHasher::new();
    headers.get(header::AUTHORIZATION).map(|token| token.as_bytes()).hash(&mut hasher);
    hasher.finish()
}
