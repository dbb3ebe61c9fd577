//! The one thread that writes the log: gathers requests into a group, writes and syncs it, trims old segments.
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use uuid::Uuid;

use super::folder::Folder;
use super::layout::{GROUP_ENTRIES_MAX, Logged, SegmentHeader};
use super::recent::Recent;
use super::replay::{Recovery, failed};
use super::segment::{Sealed, Segment, SegmentName};
use super::status::Status;
use super::{Decoding, Group, Message, Request};
use crate::entry::{Appended, Entry, Sessions};
use crate::error::{Error, Result};
use crate::hot::Hot;
use crate::id::WalSeq;
use crate::lock::Lock;
use crate::time::Clock;

/// A group takes waiting requests up to this many times `group_commit_bytes`.
const GROUP_BYTES_FACTOR: usize = 4;
/// Files of trimmed segments that wait to be used again: as many as a flush usually sets free. A file that was written
/// before takes entries without a change to the file system's own records, and its pages are in memory already.
const SPARES_MAX: usize = 8;
const RETRY_AFTER_FULL: Duration = Duration::from_secs(5);

/// The part of the configuration that concerns the writer.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// False where the operating system's word is enough.
    pub(crate) sync: bool,
    /// Longest wait for company.
    pub(crate) group_wait: Duration,
    /// No waiting beyond this.
    pub(crate) group_bytes: usize,
    /// A new segment starts beyond this.
    pub(crate) segment_bytes: u64,
    /// Nothing is taken while the disk has less.
    pub(crate) disk_free_bytes_min: u64,
}

/// Everything the writer works with.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) folder: Arc<dyn Folder>,
    pub(crate) log: Uuid,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) status: Arc<Status>,
    pub(crate) hot: Arc<Hot>,
    pub(crate) sessions: Arc<Sessions>,
    /// Where decoding runs.
    pub(crate) runtime: tokio::runtime::Handle,
    /// Durable groups, in order.
    pub(crate) groups: tokio::sync::mpsc::Sender<Group>,
    /// Held until the thread ends: nobody else may open the log while something is written.
    pub(crate) _locks: Arc<Vec<Lock>>,
}

/// See the module.
pub(crate) struct Writer {
    parts: Parts,
    messages: mpsc::Receiver<Message>,
    segment: Option<Segment>,
    sealed: Vec<Sealed>,
    /// Names of files that may become segments.
    spares: Vec<String>,
    next: WalSeq,
    next_number: u64,
    recent: Recent,
}

/// Requests that will be written together.
#[derive(Default)]
struct Gathered {
    requests: Vec<Logged>,
    bytes: usize,
    answers: Vec<(oneshot::Sender<Result<Appended>>, Appended)>,
    permits: Option<OwnedSemaphorePermit>,
}

/// Why a group was not written.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    DiskFull { free_bytes: u64 },
    ReadOnly,
}

impl Refusal {
    fn error(self) -> Error {
        match self {
            Self::DiskFull { free_bytes } => {
                Error::DiskFull { free_bytes, retry_after: RETRY_AFTER_FULL }
            }
            Self::ReadOnly => Error::ReadOnly,
        }
    }
}

impl Writer {
    /// A writer that goes on where `recovery` ended.
    pub(crate) fn new(parts: Parts, recovery: Recovery, messages: mpsc::Receiver<Message>) -> Self {
        let Recovery { segments: sealed, spares, next, next_number, recent, .. } = recovery;
        let segment = None;
        let writer = Self { parts, messages, segment, sealed, spares, next, next_number, recent };
        writer.count_bytes();
        writer
    }

    /// Works until all handles are dropped or [`Message::End`] comes.
    pub(crate) fn run(mut self) {
        let mut deferred = None;
        while let Some(message) = deferred.take().or_else(|| self.messages.recv().ok()) {
            match message {
                Message::Append(request) => {
                    let (gathered, next) = self.gather(request);
                    deferred = next;
                    self.commit(gathered);
                }
                Message::Trim { through, done } => {
                    let trimmed = self.trim(through);
                    // The flusher may have gone meanwhile; the trim stands.
                    let _ = done.send(trimmed);
                }
                Message::Purge { through, done } => {
                    let purged = self.purge(through);
                    let _ = done.send(purged);
                }
                Message::Drain { done } => self.pass_on(Gathered::default(), None, Some(done)),
                Message::End => break,
            }
        }
    }

    /// Takes what is waiting, and waits a little for more. Also returns a message that came in between and is no request.
    fn gather(&mut self, first: Request) -> (Gathered, Option<Message>) {
        let mut gathered = Gathered::default();
        self.admit(&mut gathered, first);
        let bytes_max = self.parts.settings.group_bytes.saturating_mul(GROUP_BYTES_FACTOR);
        let deadline = Instant::now() + self.parts.settings.group_wait;
        while gathered.bytes < bytes_max && gathered.answers.len() < GROUP_ENTRIES_MAX {
            let message = if gathered.bytes < self.parts.settings.group_bytes {
                let left = deadline.saturating_duration_since(Instant::now());
                self.messages.recv_timeout(left).ok()
            } else {
                self.messages.try_recv().ok()
            };
            match message {
                Some(Message::Append(request)) => self.admit(&mut gathered, request),
                other => return (gathered, other),
            }
        }
        (gathered, None)
    }

    fn admit(&mut self, gathered: &mut Gathered, request: Request) {
        let Request { logged, permit, answer } = request;
        if answer.is_closed() {
            return;
        }
        let seq = WalSeq(self.next.0 + gathered.requests.len() as u64);
        let received = logged.entry.received_unix_nano;
        let duplicate = logged
            .fingerprint
            .is_some_and(|fingerprint| self.recent.contains(fingerprint, received));
        if duplicate {
            self.parts.status.duplicates.add(1);
            gathered.answers.push((answer, Appended::Duplicate));
        } else {
            if let Some(fingerprint) = logged.fingerprint {
                self.recent.insert(fingerprint, received, seq);
            }
            gathered.bytes += logged.stored().len();
            gathered.requests.push(logged);
            gathered.answers.push((answer, Appended::Stored(seq)));
        }
        match &mut gathered.permits {
            Some(permits) => permits.merge(permit),
            None => gathered.permits = Some(permit),
        }
    }

    fn commit(&mut self, mut gathered: Gathered) {
        if gathered.answers.is_empty() {
            return;
        }
        let requests = std::mem::take(&mut gathered.requests);
        if requests.is_empty() {
            return self.pass_on(gathered, None, None);
        }
        let started = Instant::now();
        if let Err(refusal) = self.check_disk(gathered.bytes) {
            return self.refuse(gathered, refusal);
        }
        // Decoding runs beside the write and the sync; its result is dropped where they fail.
        let decoding = self.decode(&requests);
        if let Err(refusal) = self.write(&requests) {
            return self.refuse(gathered, refusal);
        }
        let status = &self.parts.status;
        status.groups.add(1);
        status.entries.add(requests.len() as u64);
        status.bytes.add(gathered.bytes as u64);
        status.commit_nanos.add(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
        self.count_bytes();
        self.pass_on(gathered, Some((decoding, requests.len())), None);
    }

    fn decode(&self, requests: &[Logged]) -> Decoding {
        let entries: Vec<Entry> = requests.iter().map(|request| request.entry.clone()).collect();
        let sessions = Arc::clone(&self.parts.sessions);
        let columns = self.parts.hot.columns();
        sessions.start(&self.parts.runtime, entries, columns)
    }

    fn pass_on(
        &mut self,
        gathered: Gathered,
        decoding: Option<(Decoding, usize)>,
        drained: Option<oneshot::Sender<()>>,
    ) {
        let first = self.next;
        let entries = decoding.as_ref().map_or(0, |(_, entries)| *entries as u64);
        self.next = WalSeq(first.0 + entries);
        let group = Group {
            through: WalSeq(self.next.0 - 1),
            first,
            decoding: decoding.map(|(decoding, _)| decoding),
            answers: gathered.answers,
            drained,
            permits: gathered.permits,
        };
        if self.parts.groups.blocking_send(group).is_err() {
            // Nobody can make it visible: the runtime is shutting down, or the publisher panicked. The senders inside are
            // dropped, which says "closed"; nothing more is taken.
            self.parts.status.set_read_only();
        }
    }

    fn refuse(&mut self, gathered: Gathered, refusal: Refusal) {
        self.recent.forget_from(self.next);
        if let Refusal::DiskFull { .. } = refusal {
            self.parts.status.refused.add(gathered.answers.len() as u64);
        }
        for (answer, _) in gathered.answers {
            // Whoever went away does not need to know.
            let _ = answer.send(Err(refusal.error()));
        }
    }

    fn check_disk(&mut self, bytes: usize) -> Result<(), Refusal> {
        if self.parts.status.is_read_only() {
            return Err(Refusal::ReadOnly);
        }
        let needed = self.parts.settings.disk_free_bytes_min.saturating_add(bytes as u64);
        let mut free_bytes = self.free_bytes();
        if free_bytes < needed && !self.spares.is_empty() {
            self.delete_spares();
            free_bytes = self.free_bytes();
        }
        if free_bytes < needed { Err(Refusal::DiskFull { free_bytes }) } else { Ok(()) }
    }

    /// A disk that cannot say how full it is will say so when written to.
    fn free_bytes(&self) -> u64 {
        self.parts.folder.free_bytes().unwrap_or(u64::MAX)
    }

    fn delete_spares(&mut self) {
        for spare in self.spares.drain(..) {
            if let Err(error) = self.parts.folder.remove(&spare) {
                tracing::warn!(file = spare, %error, "could not delete a spare WAL file");
            }
        }
    }

    /// Makes a group durable. A segment that failed once is never written or synced again: the group goes to a new one,
    /// whose base outranks whatever of it the failed one holds. A second failure ends all writing.
    fn write(&mut self, requests: &[Logged]) -> Result<(), Refusal> {
        for _ in 0..2 {
            match self.write_once(requests) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    self.parts.status.failures.add(1);
                    self.abandon_segment();
                    if is_disk_full(&error) {
                        tracing::warn!(%error, "no room for the WAL");
                        return Err(Refusal::DiskFull { free_bytes: 0 });
                    }
                    tracing::error!(%error, "write to the WAL failed");
                }
            }
        }
        tracing::error!("the WAL is read-only from now on; queries go on");
        self.parts.status.set_read_only();
        Err(Refusal::ReadOnly)
    }

    fn write_once(&mut self, requests: &[Logged]) -> io::Result<()> {
        let needed: usize = requests.iter().map(Logged::len).sum();
        let mut segment = match self.segment.take() {
            Some(segment) if self.fits(&segment, needed) => segment,
            full => {
                if let Some(full) = full {
                    self.seal(full);
                }
                let made = self.create_segment()?;
                crate::fault::point("log: segment made");
                made
            }
        };
        let written = segment.append(self.next, requests);
        let segment = self.segment.insert(segment);
        written?;
        crate::fault::point("log: group written");
        if self.parts.settings.sync {
            segment.sync()?;
        }
        crate::fault::point("log: group synced");
        Ok(())
    }

    /// A segment takes any group while it is empty, so that large bodies find a place.
    fn fits(&self, segment: &Segment, needed: usize) -> bool {
        segment.bytes().saturating_add(needed as u64) <= self.parts.settings.segment_bytes
    }

    fn create_segment(&mut self) -> io::Result<Segment> {
        let name = SegmentName { number: self.next_number, base: self.next, quarantined: false };
        self.next_number += 1;
        let folder = Arc::clone(&self.parts.folder);
        let now = self.parts.clock.now_unix_nano();
        let header = SegmentHeader::new(self.parts.log, self.next, now);
        let reserved = self.parts.settings.segment_bytes;
        let file = name.file();
        let Some(spare) = self.spares.pop() else {
            let created = Segment::create(&*folder, name, header, reserved);
            if created.is_err() {
                // What is left of it holds no entry; replay passes over it, so this may fail.
                let _ = folder.remove(&file);
            }
            return created;
        };
        let recycled = Segment::recycle(&*folder, &spare, name, header, reserved);
        if recycled.is_err() {
            // It has one of these names, and no entry.
            let _ = folder.remove(&spare);
            let _ = folder.remove(&file);
        }
        recycled
    }

    fn seal(&mut self, segment: Segment) {
        self.sealed.push(segment.seal(WalSeq(self.next.0 - 1)));
    }

    fn abandon_segment(&mut self) {
        if let Some(segment) = self.segment.take() {
            self.sealed.push(segment.seal_without_last_group(WalSeq(self.next.0 - 1)));
        }
    }

    /// Deletes segments that end at `through` or before; first saves which requests were in them.
    fn trim(&mut self, through: WalSeq) -> Result<()> {
        let folder = Arc::clone(&self.parts.folder);
        let now = self.parts.clock.now_unix_nano();
        self.recent
            .save(&*folder, through, now)
            .map_err(|source| failed(&*folder, "save recent requests in", "", source))?;
        crate::fault::point("log: recent requests saved");
        if self.next.0 <= through.0 + 1
            && let Some(segment) = self.segment.take()
        {
            self.seal(segment);
        }
        let result = self.delete_through(through);
        crate::fault::point("log: trimmed");
        self.count_bytes();
        result
    }

    /// Trims, and deletes what trimming keeps for later use: also a segment made of such a file goes, at the next call.
    fn purge(&mut self, through: WalSeq) -> Result<()> {
        if let Some(segment) = self.segment.take() {
            self.seal(segment);
        }
        self.trim(through)?;
        self.delete_spares();
        crate::fault::point("log: purged");
        let folder = Arc::clone(&self.parts.folder);
        folder.sync().map_err(|source| failed(&*folder, "sync WAL folder", "", source))
    }

    fn delete_through(&mut self, through: WalSeq) -> Result<()> {
        let folder = Arc::clone(&self.parts.folder);
        let (ended, kept) = std::mem::take(&mut self.sealed)
            .into_iter()
            .partition(|segment| segment.last <= through && !segment.name.quarantined);
        self.sealed = kept;
        let mut ended = VecDeque::<Sealed>::from(ended);
        let mut spares = Vec::new();
        while let Some(segment) = ended.front() {
            let file = segment.name.file();
            let spare = self.is_reusable(segment, spares.len()).then(|| segment.spare_file());
            let step = match &spare {
                Some(spare) => folder.rename(&file, spare),
                None => folder.remove(&file),
            };
            if let Err(source) = step {
                self.sealed.extend(ended);
                self.sealed.sort_unstable_by_key(|segment| segment.name.number);
                return Err(failed(&*folder, "delete WAL segment", &file, source));
            }
            crate::fault::point("log: segment given up");
            spares.extend(spare);
            ended.pop_front();
        }
        folder.sync().map_err(|source| failed(&*folder, "sync WAL folder", "", source))?;
        // Only now: a file is written over when nothing can bring its old name back.
        self.spares.extend(spares);
        Ok(())
    }

    fn is_reusable(&self, segment: &Sealed, more_spares: usize) -> bool {
        segment.reserved == self.parts.settings.segment_bytes
            && self.spares.len() + more_spares < SPARES_MAX
    }

    fn count_bytes(&self) {
        let kept = self.sealed.iter().filter(|segment| !segment.name.quarantined);
        let sealed: u64 = kept.map(|segment| segment.bytes).sum();
        let open = self.segment.as_ref().map_or(0, Segment::bytes);
        self.parts.status.set_bytes_used(sealed + open);
    }
}

fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
