//! Replay: hands out, in order and once, every entry that no file holds, and decides what damage means.
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::folder::Folder;
use super::layout::Stored;
use super::read::{Content, Rest, read_segment};
use super::recent::Recent;
use super::segment::{Sealed, SegmentName, parse_spare};
use crate::entry::{Compressed, Decoded, Entry, Sessions};
use crate::error::{Error, Result};
use crate::id::WalSeq;
use crate::schema::AttributeColumns;

/// Bodies handed out together, without compression: enough for a batch worth having, small beside the hot buffer.
const GROUP_BYTES: usize = 4 << 20;

/// Entries to be decoded into one batch.
#[derive(Debug)]
pub(crate) struct ReplayGroup {
    /// In order; each with its codec and the length of its body without compression.
    pub(super) entries: Vec<Stored>,
    /// Position of the last one.
    pub(crate) through: WalSeq,
}

impl ReplayGroup {
    /// Inflates and decodes; also returns how many entries could not be read. Takes CPU.
    pub(crate) fn decode(
        self,
        sessions: &Sessions,
        columns: &Arc<AttributeColumns>,
    ) -> (Decoded, u64) {
        let stored = self.entries.len();
        let entries: Vec<Entry> =
            self.entries.into_iter().filter_map(|stored| inflate(sessions, stored)).collect();
        let decoded = sessions.decode_group(&entries, columns);
        let unreadable = stored - entries.len() + decoded.unreadable.len();
        (decoded, unreadable as u64)
    }
}

/// The entry with its body as the door had it.
fn inflate(sessions: &Sessions, stored: Stored) -> Option<Entry> {
    let Some(codec) = stored.codec else { return Some(stored.entry) };
    let compressed = Compressed { codec, body: stored.entry.body.clone() };
    let body = sessions.decoder().inflate(&compressed, stored.plain_len);
    if body.is_none() {
        tracing::error!(seq = stored.place.seq.0, ?codec, "an entry cannot be decompressed");
    }
    Some(Entry { body: body?, ..stored.entry })
}

/// What the writer needs to go on.
#[derive(Debug)]
pub(crate) struct Recovery {
    /// Segments that are still there, oldest first.
    pub(crate) segments: Vec<Sealed>,
    /// Files that may become segments.
    pub(crate) spares: Vec<String>,
    /// Position of the next entry.
    pub(crate) next: WalSeq,
    /// Number of the next segment.
    pub(crate) next_number: u64,
    /// The window of recognised requests.
    pub(crate) recent: Recent,
    /// Positions that were given out once and cannot be read any more.
    pub(crate) lost: u64,
    /// Segments found damaged by this replay.
    pub(crate) quarantined: Vec<String>,
}

/// Reads segment after segment.
#[derive(Debug)]
pub(crate) struct Replay {
    folder: Arc<dyn Folder>,
    log: Uuid,
    waiting: VecDeque<SegmentName>,
    ready: VecDeque<Stored>,
    recovery: Recovery,
}

impl Replay {
    /// Starts before the oldest segment. Entries up to `committed` are in files already.
    ///
    /// # Errors
    /// The folder could not be read.
    pub(crate) fn open(
        folder: Arc<dyn Folder>,
        log: Uuid,
        committed: WalSeq,
        recent: Recent,
    ) -> Result<Self> {
        let names =
            folder.list().map_err(|source| failed(&*folder, "list WAL folder", "", source))?;
        let mut waiting: Vec<SegmentName> =
            names.iter().filter_map(|name| SegmentName::parse(name)).collect();
        waiting.sort_unstable();
        let mut spares: Vec<String> =
            names.into_iter().filter(|name| parse_spare(name).is_some()).collect();
        spares.sort_unstable();
        let newest_spare = spares.last().and_then(|name| parse_spare(name));
        let newest = waiting.last().map(|name| name.number).max(newest_spare);
        let recovery = Recovery {
            segments: Vec::new(),
            spares,
            next: WalSeq(committed.0 + 1),
            next_number: newest.map_or(1, |number| number + 1),
            recent,
            lost: 0,
            quarantined: Vec::new(),
        };
        Ok(Self { folder, log, waiting: waiting.into(), ready: VecDeque::new(), recovery })
    }

    /// The next entries, or `None` after the last.
    ///
    /// # Errors
    /// A segment could not be read, cut or set aside.
    pub(crate) fn next_group(&mut self) -> Result<Option<ReplayGroup>> {
        while self.ready.is_empty() {
            let Some(name) = self.waiting.pop_front() else { return Ok(None) };
            self.load(name)?;
        }
        let mut entries = Vec::new();
        let mut through = WalSeq(0);
        let mut bytes = 0;
        while bytes < GROUP_BYTES
            && let Some(stored) = self.ready.pop_front()
        {
            bytes += stored.plain_len;
            through = stored.place.seq;
            entries.push(stored);
        }
        Ok(Some(ReplayGroup { entries, through }))
    }

    /// What was learned; call it after the last group.
    pub(crate) fn finish(mut self) -> Recovery {
        assert!(self.waiting.is_empty() && self.ready.is_empty(), "replay is read to its end");
        // What was trimmed is in files. A table that does not know it was read from an old list of its store, or is an old
        // copy; a position given out again would be taken for one of those that are stored.
        let trimmed = self.recovery.recent.saved();
        if trimmed >= self.recovery.next {
            let next = self.recovery.next.0;
            tracing::error!(next, trimmed = trimmed.0, "the table is older than its log");
            self.skip_to(WalSeq(trimmed.0 + 1));
        }
        self.recovery
    }

    fn load(&mut self, name: SegmentName) -> Result<()> {
        let file = name.file();
        let bytes = self
            .folder
            .read(&file)
            .map_err(|source| failed(&*self.folder, "read WAL segment", &file, source))?;
        let mut reserved = bytes.len() as u64;
        let mut content = read_segment(&Bytes::from(bytes), self.log, name.base);
        if self.waiting.is_empty() && !name.quarantined && is_torn(&content, name.base) {
            self.cut(&file, &mut content)?;
            reserved = 0;
        }
        let lost_before = self.recovery.lost;
        self.skip_to(name.base);
        let lost_inside = self.take(&name, &content);
        tracing::debug!(segment = file, lost_before, lost_inside, "WAL segment read");
        self.keep(name, &content, (lost_inside, reserved))
    }

    /// Gives the segment's entries out, as far as no later segment outranks them. Returns how many positions are missing.
    fn take(&mut self, name: &SegmentName, content: &Content) -> u64 {
        let lost_before = self.recovery.lost;
        let limit = self.waiting.front().map(|next| next.base);
        for stored in &content.entries {
            let seq = stored.place.seq;
            if limit.is_some_and(|limit| seq >= limit) || seq < name.base {
                continue;
            }
            if let Some(fingerprint) = stored.fingerprint {
                let received = stored.entry.received_unix_nano;
                self.recovery.recent.insert(fingerprint, received, seq);
            }
            if seq >= self.recovery.next {
                self.skip_to(seq);
                self.ready.push_back(stored.clone());
                self.recovery.next = WalSeq(seq.0 + 1);
            }
        }
        if let Some(limit) = limit {
            self.skip_to(limit);
        }
        let unknown = content.rest == Rest::NoHeader && self.recovery.lost == lost_before;
        self.recovery.lost += u64::from(unknown && limit.is_none());
        self.recovery.lost - lost_before
    }

    fn skip_to(&mut self, seq: WalSeq) {
        if seq > self.recovery.next {
            self.recovery.lost += seq.0 - self.recovery.next.0;
            self.recovery.next = seq;
        }
    }

    /// Cuts what a crash left unfinished behind the last whole group.
    fn cut(&mut self, file: &str, content: &mut Content) -> Result<()> {
        tracing::warn!(
            segment = file,
            end = content.unbroken_end,
            "cut an unfinished write from the end of the WAL"
        );
        content.entries.truncate(content.unbroken);
        content.rest = Rest::Empty;
        self.folder
            .truncate(file, content.unbroken_end as u64)
            .map_err(|source| failed(&*self.folder, "cut WAL segment", file, source))
    }

    fn keep(
        &mut self,
        mut name: SegmentName,
        content: &Content,
        (lost, reserved): (u64, u64),
    ) -> Result<()> {
        let damaged = lost > 0 || matches!(content.rest, Rest::NoHeader | Rest::Foreign);
        if damaged && !name.quarantined {
            self.quarantine(&mut name, lost)?;
        }
        let before_base = WalSeq(name.base.0.saturating_sub(1));
        let last = content.entries.last().map_or(before_base, |entry| entry.place.seq);
        let bytes = content.entries.last().map_or(0, |entry| entry.end as u64);
        self.recovery.segments.push(Sealed { name, last, bytes, reserved });
        Ok(())
    }

    fn quarantine(&mut self, name: &mut SegmentName, lost: u64) -> Result<()> {
        let from = name.file();
        name.quarantined = true;
        let kept = name.file();
        self.folder.rename(&from, &kept).and_then(|()| self.folder.sync()).map_err(|source| {
            failed(&*self.folder, "set aside damaged WAL segment", &from, source)
        })?;
        tracing::error!(
            lost_entries = lost,
            kept = %self.folder.path(&kept).display(),
            "WAL segment is damaged: what can be read is replayed, the file is kept"
        );
        self.recovery.quarantined.push(kept);
        Ok(())
    }
}

/// True where everything behind the unbroken entries belongs to one group commit that was never finished, hence never
/// answered: no entry of a later group is there, which would prove that this one had been synced.
fn is_torn(content: &Content, base: WalSeq) -> bool {
    let first_missing = base.0 + content.unbroken as u64;
    let same_group = content.behind_damage().iter().all(|entry| {
        entry.place.seq.0.saturating_sub(u64::from(entry.place.index)) <= first_missing
    });
    content.rest == Rest::Damaged && same_group
}

/// An error about one file of the log.
pub(crate) fn failed(
    folder: &dyn Folder,
    step: &'static str,
    file: &str,
    source: std::io::Error,
) -> Error {
    Error::File { step, path: folder.path(file), source }
}
