//! The segment that takes entries now.
use std::io::{self, IoSlice};

use uuid::Uuid;

use super::folder::{Append, Folder};
use super::layout::{self, ENTRY_HEADER_LEN, Place, SEGMENT_HEADER_LEN, SegmentHeader};
use crate::entry::Entry;
use crate::id::WalSeq;

const EXTENSION: &str = ".log";
const QUARANTINED: &str = ".quarantined";

/// A segment's file name: in which order it was made, the position of its first entry, and whether it was found damaged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentName {
    /// 1 for the first segment ever; larger is newer.
    pub(crate) number: u64,
    /// Position of the first entry.
    pub(crate) base: WalSeq,
    /// Damaged: kept for ever, read as far as it can be.
    pub(crate) quarantined: bool,
}

impl SegmentName {
    /// Reads a file name; `None` for other files.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (plain, quarantined) = match name.strip_suffix(QUARANTINED) {
            Some(plain) => (plain, true),
            None => (name, false),
        };
        let (number, base) = plain.strip_suffix(EXTENSION)?.split_once('-')?;
        Some(Self { number: number.parse().ok()?, base: WalSeq(base.parse().ok()?), quarantined })
    }

    /// The file name.
    pub(crate) fn file(&self) -> String {
        let suffix = if self.quarantined { QUARANTINED } else { "" };
        format!("{:010}-{:020}{EXTENSION}{suffix}", self.number, self.base.0)
    }
}

/// A segment that no longer grows.
#[derive(Debug, Clone)]
pub(crate) struct Sealed {
    /// Its name.
    pub(crate) name: SegmentName,
    /// Position of its last entry (the one before its base where it has none).
    pub(crate) last: WalSeq,
    /// Bytes of header and entries.
    pub(crate) bytes: u64,
}

/// The growing segment.
#[derive(Debug)]
pub(crate) struct Segment {
    name: SegmentName,
    file: Box<dyn Append>,
    salt: u64,
    chain: u32,
    bytes: u64,
    bytes_before_group: u64,
}

impl Segment {
    /// Makes a segment that will start at `base`, durable before it returns.
    pub(crate) fn create(
        folder: &dyn Folder,
        log: Uuid,
        name: SegmentName,
        bytes: u64,
        created_unix_nano: i64,
    ) -> io::Result<Self> {
        let salt = Uuid::new_v4().as_u64_pair().1;
        let header = SegmentHeader { log, base: name.base, salt, created_unix_nano };
        let mut file = folder.create(&name.file(), bytes)?;
        file.append(&[IoSlice::new(&header.encode())])?;
        file.sync()?;
        folder.sync()?;
        let bytes = SEGMENT_HEADER_LEN as u64;
        let chain = header.chain();
        Ok(Self { name, file, salt, chain, bytes, bytes_before_group: bytes })
    }

    /// Writes one group, whose first entry is at `first`. After an error the segment must not be used any more.
    pub(crate) fn append(&mut self, first: WalSeq, group: &[Entry]) -> io::Result<()> {
        let mut headers: Vec<[u8; ENTRY_HEADER_LEN]> = Vec::with_capacity(group.len());
        let mut chain = self.chain;
        let mut bytes = 0;
        for (index, entry) in (0u16..).zip(group) {
            let seq = WalSeq(first.0 + u64::from(index));
            let place = Place { seq, index, previous: chain };
            let (header, checksum) = layout::encode_entry(entry, place, self.salt);
            headers.push(header);
            chain = checksum;
            bytes += layout::entry_len(entry.body.len()) as u64;
        }
        let mut parts = Vec::with_capacity(group.len() * 3);
        for (header, entry) in headers.iter().zip(group) {
            parts.push(IoSlice::new(header));
            parts.push(IoSlice::new(&entry.body));
            parts.push(IoSlice::new(layout::padding(entry.body.len())));
        }
        self.bytes_before_group = self.bytes;
        self.file.append(&parts)?;
        self.chain = chain;
        self.bytes += bytes;
        Ok(())
    }

    /// Makes everything appended durable. After an error the segment must not be used any more.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    /// Bytes of header and entries.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Ends the segment, whose last entry is at `last`.
    pub(crate) fn seal(self, last: WalSeq) -> Sealed {
        let bytes = self.bytes;
        self.cut(last, bytes)
    }

    /// Ends a segment that failed: `last` is the last position before the group that failed.
    pub(crate) fn seal_without_last_group(self, last: WalSeq) -> Sealed {
        let bytes = self.bytes_before_group;
        self.cut(last, bytes)
    }

    fn cut(mut self, last: WalSeq, bytes: u64) -> Sealed {
        if let Err(error) = self.file.cut(bytes) {
            // Only space is lost: readers stop at the zeros, and a later segment outranks what follows `last`.
            tracing::warn!(segment = self.name.file(), %error, "could not cut a sealed WAL segment");
        }
        Sealed { name: self.name, last, bytes }
    }
}
