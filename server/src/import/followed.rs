//! One file that is followed: its handle, how far it was read, and whether it is still the same file.
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use ingest::file::growing::{Batch, Framing, RECORD_BYTES_MAX, Recognised, Skipped, recognise};
use xxhash_rust::xxh3::xxh3_128;

use super::positions::{Head, Position, Positions};

/// Bytes read at once, unless a single record is larger.
const READ_BYTES: usize = 1 << 20;
/// Bytes of the first record by which a file is known.
const HEAD_BYTES: usize = 4 << 10;
/// Bytes before the position by which it is known to be the same file.
const BEFORE_BYTES: u64 = 256;
/// Polls without growth after which a file that lost its name is let go, and a last line without newline is complete.
pub(super) const IDLE_POLLS: u32 = 40;

/// A file's place on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Inode {
    device: u64,
    number: u64,
}

impl Inode {
    pub(super) fn of(metadata: &std::fs::Metadata) -> Self {
        Self { device: metadata.dev(), number: metadata.ino() }
    }
}

/// A file that is followed. The handle stays open, so that a renamed file is read to its end.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) path: PathBuf,
    pub(super) inode: Inode,
    file: File,
    /// `None` until the first record is complete.
    pub(super) known: Option<Known>,
    /// No name leads to it any more.
    pub(super) gone: bool,
    /// Polls since it grew.
    idle: u32,
    size: u64,
    /// All complete records were read.
    drained: bool,
    /// The size at which nothing complete was left.
    nothing_at: Option<u64>,
    /// Nothing of it can be read (any further); why was told.
    pub(super) given_up: bool,
    /// Records that were left out.
    pub(super) skipped: u64,
}

/// What is known of a file once its first record is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) head: Head,
    framing: Framing,
    /// All before it is stored.
    pub(super) from: u64,
    /// What a process before us had on its way.
    again_to: Option<u64>,
    before: u128,
}

/// What a file has for us.
#[derive(Debug)]
pub(super) enum Read {
    /// Nothing that is complete.
    Nothing,
    /// Records, and the position behind them.
    Records(Batch, Position),
    /// It cannot be read (any further).
    GiveUp(String),
}

/// Who already follows a file of this identity.
pub(super) type Taken<'a> = &'a dyn Fn(Head) -> bool;

impl Followed {
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        Ok(Self {
            path: path.to_owned(),
            inode: Inode::of(&metadata),
            file,
            known: None,
            gone: false,
            idle: 0,
            size: 0,
            drained: false,
            nothing_at: None,
            given_up: false,
            skipped: 0,
        })
    }

    /// Bytes that are there and not stored.
    pub(super) fn lag(&self) -> u64 {
        let from = self.known.map_or(0, |known| known.from);
        if self.given_up { 0 } else { self.size.saturating_sub(from) }
    }

    /// Nothing more is to be expected of it.
    pub(super) fn is_done(&self) -> bool {
        self.gone && self.idle >= IDLE_POLLS && (self.drained || self.given_up)
    }

    /// Notices growth; a file that was cut or written anew begins again.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub(super) fn look(&mut self) -> std::io::Result<()> {
        let size = self.file.metadata()?.len();
        let same = match &self.known {
            Some(known) => size >= known.from && self.before(known.from)? == known.before,
            None => size >= self.size,
        };
        if !same {
            self.known = None;
        }
        if !same || size != self.size {
            self.idle = 0;
            (self.drained, self.nothing_at) = (false, None);
            self.given_up &= same;
        } else {
            self.idle = self.idle.saturating_add(1);
        }
        self.size = size;
        Ok(())
    }

    /// Reads complete records from the position on.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn read(
        &mut self,
        positions: &Positions,
        taken: Taken<'_>,
    ) -> std::io::Result<Read> {
        let known = self.known.is_some();
        if known && self.nothing_at == Some(self.size) && self.idle != IDLE_POLLS {
            return Ok(Read::Nothing);
        }
        let read = self.read_some(positions, taken)?;
        self.nothing_at = matches!(read, Read::Nothing).then_some(self.size);
        // At the moment when the last line would be complete without a newline it is looked at once more.
        self.drained = matches!(read, Read::Nothing) && self.idle >= IDLE_POLLS;
        Ok(read)
    }

    fn read_some(&mut self, positions: &Positions, taken: Taken<'_>) -> std::io::Result<Read> {
        if self.given_up {
            return Ok(Read::Nothing);
        }
        if self.known.is_none() {
            match self.recognise(positions, taken)? {
                Ok(known) => self.known = known,
                Err(words) => return Ok(Read::GiveUp(words)),
            }
        }
        let Some(known) = self.known else { return Ok(Read::Nothing) };
        if let Some(to) = known.again_to {
            // Exactly the bytes that were on their way: whoever stored them recognises the request.
            let bytes = self.bytes(known.from, usize::try_from(to - known.from).unwrap_or(0))?;
            return self.cut(known, &bytes, true);
        }
        let mut length = READ_BYTES;
        loop {
            let bytes = self.bytes(known.from, length)?;
            let at_end = bytes.len() < length;
            let complete = matches!(known.framing.first(&bytes), Ok(Some(_)) | Err(_));
            if complete || at_end {
                let ended = at_end && self.idle >= IDLE_POLLS && is_json(&bytes);
                return self.cut(known, &bytes, ended);
            }
            if length > RECORD_BYTES_MAX {
                return self.records(known, skip_long(known.from, bytes.len()));
            }
            length = (length * 4).min(RECORD_BYTES_MAX + 8);
        }
    }

    fn cut(&self, known: Known, bytes: &[u8], ended: bool) -> std::io::Result<Read> {
        match known.framing.cut(bytes, known.from, ended) {
            Err(words) => Ok(Read::GiveUp(format!("byte {}: {words}", known.from))),
            Ok(batch) if batch.taken == 0 => Ok(Read::Nothing),
            Ok(batch) => self.records(known, batch),
        }
    }

    /// The position is made now: when the batch is stored, the file may have been cut.
    fn records(&self, known: Known, batch: Batch) -> std::io::Result<Read> {
        let to = known.from + batch.taken as u64;
        let position = Position { from: to, to, before: self.before(to)? };
        Ok(Read::Records(batch, position))
    }

    /// Finds out what the file is and how far it was followed before. `Ok(None)` while it is too short to tell, or
    /// where it is a copy of one that is followed.
    fn recognise(
        &self,
        positions: &Positions,
        taken: Taken<'_>,
    ) -> std::io::Result<Result<Option<Known>, String>> {
        let mut length = READ_BYTES;
        let (framing, record) = loop {
            let bytes = self.bytes(0, length)?;
            let framing = match recognise(&bytes) {
                Recognised::Unknown => return Ok(Err(UNKNOWN.to_owned())),
                Recognised::Early if bytes.len() < length => return Ok(Ok(None)),
                Recognised::Early => None,
                Recognised::Framing(framing) => Some(framing),
            };
            let first = framing.and_then(|framing| framing.first(&bytes).ok().flatten());
            let ended = bytes.len() < length && self.idle >= IDLE_POLLS && is_json(&bytes);
            match (framing, first) {
                (Some(framing), Some(first)) => {
                    break (framing, bytes[..first.min(HEAD_BYTES)].to_vec());
                }
                (Some(framing), None) if ended => {
                    break (framing, bytes[..bytes.len().min(HEAD_BYTES)].to_vec());
                }
                _ if bytes.len() < length => return Ok(Ok(None)),
                (Some(framing), None) if length > RECORD_BYTES_MAX => {
                    break (framing, bytes[..HEAD_BYTES].to_vec());
                }
                _ if length > RECORD_BYTES_MAX => return Ok(Err(UNKNOWN.to_owned())),
                _ => length = (length * 4).min(RECORD_BYTES_MAX + 8),
            }
        };
        self.identify(framing, &record, (positions, taken)).map(Ok)
    }

    /// A file that begins like one that was followed is that one if it is also the same before the position.
    fn identify(
        &self,
        framing: Framing,
        record: &[u8],
        (positions, taken): (&Positions, Taken<'_>),
    ) -> std::io::Result<Option<Known>> {
        for salt in 0u8.. {
            let head = Head(xxh3_128(&[record.trim_ascii_end(), &[salt]].concat()));
            let Some(Position { from, to, before }) = positions.of(head) else {
                let before = self.before(0)?;
                return Ok(Some(Known { head, framing, from: 0, again_to: None, before }));
            };
            if self.size < to || taken(head) {
                return Ok(None);
            }
            if self.before(from)? == before {
                let again_to = (to > from).then_some(to);
                return Ok(Some(Known { head, framing, from, again_to, before }));
            }
        }
        Ok(None)
    }

    /// All before `position` is stored. `None` where the file began again meanwhile.
    pub(super) fn advance(&mut self, position: Position) -> Option<Head> {
        let known = self.known.as_mut()?;
        (known.from, known.again_to, known.before) = (position.from, None, position.before);
        Some(known.head)
    }

    /// The note that all up to `to` is on its way.
    pub(super) fn on_its_way(&self, to: u64) -> Option<(Head, Position)> {
        let known = self.known?;
        Some((known.head, Position { from: known.from, to, before: known.before }))
    }

    fn before(&self, position: u64) -> std::io::Result<u128> {
        let start = position.saturating_sub(BEFORE_BYTES);
        let length = usize::try_from(position - start).unwrap_or(0);
        Ok(xxh3_128(&self.bytes(start, length)?))
    }

    /// Up to `length` bytes from `offset` on.
    fn bytes(&self, offset: u64, length: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let mut read = 0;
        while read < length {
            match self.file.read_at(&mut bytes[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(read);
        Ok(bytes)
    }
}

const UNKNOWN: &str = "it is none of: OTLP, Zipkin or Jaeger JSON, a line each; OTLP protobuf with 4-byte lengths. \
                       Import compressed and other files without --follow";

/// A line that never ends: what was read of it is left out; the rest of it follows as a line that cannot be read.
fn skip_long(offset: u64, bytes: usize) -> Batch {
    let reason = format!("a line is longer than {} MiB", RECORD_BYTES_MAX >> 20);
    let skipped = vec![Skipped { offset, bytes: bytes as u64, reason }];
    Batch { taken: bytes, skipped, ..Batch::default() }
}

/// A last line that is whole JSON is complete although no newline follows it.
fn is_json(bytes: &[u8]) -> bool {
    let last = bytes.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    !last.trim_ascii().is_empty()
        && serde_json::from_slice::<&serde_json::value::RawValue>(last).is_ok()
}
