//! What happens on one connection, and when it has waited long enough.
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::config::HttpLimits;

/// Times are milliseconds since the connection was accepted, plus one; 0 is "not since".
#[derive(Debug)]
pub(super) struct Activity {
    accepted: Instant,
    http2: bool,
    in_flight: AtomicUsize,
    idle_since: AtomicU64,
    head_since: AtomicU64,
    moved: AtomicU64,
    /// Of the stream that is being sent, where there is one.
    stream: Mutex<Option<web::Leave>>,
}

impl Activity {
    pub(super) fn new(http2: bool) -> Arc<Self> {
        Arc::new(Self {
            accepted: Instant::now(),
            http2,
            in_flight: AtomicUsize::new(0),
            idle_since: AtomicU64::new(1),
            // A fresh connection owes its first request at once.
            head_since: AtomicU64::new(1),
            moved: AtomicU64::new(1),
            stream: Mutex::default(),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.accepted.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    /// A request's header is complete; the answer is on its way until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// The answer is a stream without an end, which looks after its own age and says when its peer must go.
    pub(super) fn streams(&self, leave: web::Leave) {
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = Some(leave);
    }

    /// Whether a stream is being sent, and whether its peer must go.
    fn stream(&self) -> (bool, bool) {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        if self.in_flight.load(Ordering::Relaxed) == 0 {
            *stream = None;
        }
        (stream.is_some(), stream.as_ref().is_some_and(web::Leave::is_asked))
    }

    fn received(&self) {
        let now = self.now();
        self.moved.store(now, Ordering::Relaxed);
        if self.in_flight.load(Ordering::Relaxed) == 0 && !self.http2 {
            let first = &self.head_since;
            let _ = first.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn sent(&self) {
        self.moved.store(self.now(), Ordering::Relaxed);
    }

    /// When the connection has waited too long, as things stand now.
    fn deadline(&self, limits: &HttpLimits) -> Instant {
        let at = |millis: u64| self.accepted + Duration::from_millis(millis);
        let waiting = if self.in_flight.load(Ordering::Relaxed) > 0 {
            // Nothing moves in either direction: a peer that neither sends nor reads.
            at(self.moved.load(Ordering::Relaxed)) + limits.keep_alive
        } else {
            match self.head_since.load(Ordering::Relaxed) {
                0 => at(self.idle_since.load(Ordering::Relaxed)) + limits.keep_alive,
                since => at(since) + limits.header_time_max,
            }
        };
        match self.stream() {
            (_, true) => self.accepted,
            (true, false) => waiting,
            (false, _) => waiting.min(self.accepted + limits.connection_age_max),
        }
    }

    /// Returns once the connection has waited too long or is too old; how long it may then take to finish.
    pub(super) async fn expired(&self, limits: &HttpLimits) -> Duration {
        /// An old but busy connection finishes what it has; an idle HTTP/2 peer hears a GOAWAY.
        const GRACE: Duration = Duration::from_secs(30);
        /// A state change may bring the deadline nearer while we sleep.
        const LOOK_AGAIN: Duration = Duration::from_secs(2);
        loop {
            let deadline = self.deadline(limits);
            let now = Instant::now();
            if deadline <= now {
                let must_leave = self.stream().1;
                let too_old = self.accepted + limits.connection_age_max <= now;
                let may_finish = (too_old || self.http2) && !must_leave;
                return if may_finish { GRACE } else { Duration::ZERO };
            }
            tokio::time::sleep_until(deadline.min(now + LOOK_AGAIN)).await;
        }
    }
}

/// One request that is being answered.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.idle_since.store(self.0.now(), Ordering::Relaxed);
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that notes when bytes move.
#[derive(Debug)]
pub(super) struct Watched {
    pub stream: TcpStream,
    pub activity: Arc<Activity>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let answer = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.received();
        }
        answer
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let answer = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if answer.is_ready() {
            self.activity.sent();
        }
        answer
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let answer = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        if answer.is_ready() {
            self.activity.sent();
        }
        answer
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
