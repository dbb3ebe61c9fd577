//! The segment that takes entries now.
use std::io::{self, IoSlice};

use super::folder::{Append, Folder};
use super::layout::{
    self, ALIGN, ENTRY_HEADER_LEN, Logged, Place, SEGMENT_HEADER_LEN, SegmentHeader,
};
use crate::id::WalSeq;

const EXTENSION: &str = ".log";
const QUARANTINED: &str = ".quarantined";
const SPARE: &str = ".spare";
/// Every group is followed by zeros up to a multiple of this: a page that is written only in part would have to be read
/// first, and zeros tell the end from what an earlier segment left behind it.
const PAGE: usize = 4096;

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

/// The number of a file that waits to become a segment; `None` for other files.
pub(crate) fn parse_spare(name: &str) -> Option<u64> {
    name.strip_suffix(SPARE)?.parse().ok()
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
    /// Size of the file, where it may be used again; 0 where it may not.
    pub(crate) reserved: u64,
}

impl Sealed {
    /// The name of its file while it waits to become another segment.
    pub(crate) fn spare_file(&self) -> String {
        format!("{:010}{SPARE}", self.name.number)
    }
}

/// The growing segment.
#[derive(Debug)]
pub(crate) struct Segment {
    name: SegmentName,
    file: Box<dyn Append>,
    salt: u64,
    chain: u32,
    reserved: u64,
    bytes: u64,
    bytes_before_group: u64,
}

impl Segment {
    /// Makes a segment in a new file of `reserved` bytes, durable before it returns.
    pub(crate) fn create(
        folder: &dyn Folder,
        name: SegmentName,
        header: SegmentHeader,
        reserved: u64,
    ) -> io::Result<Self> {
        let file = folder.create(&name.file(), reserved)?;
        let segment = Self::begin(file, name, &header, reserved)?;
        folder.sync()?;
        Ok(segment)
    }

    /// Makes a segment of the file `spare`, durable before it returns. The file gets its name only when its header is
    /// durable, so no name ever stands for another segment's header.
    pub(crate) fn recycle(
        folder: &dyn Folder,
        spare: &str,
        name: SegmentName,
        header: SegmentHeader,
        reserved: u64,
    ) -> io::Result<Self> {
        let file = folder.reuse(spare, reserved)?;
        let segment = Self::begin(file, name, &header, reserved)?;
        folder.rename(spare, &segment.name.file())?;
        folder.sync()?;
        Ok(segment)
    }

    fn begin(
        mut file: Box<dyn Append>,
        name: SegmentName,
        header: &SegmentHeader,
        reserved: u64,
    ) -> io::Result<Self> {
        let bytes = SEGMENT_HEADER_LEN as u64;
        let end = zeros_behind(bytes, reserved);
        file.write_at(0, &[IoSlice::new(&header.encode()), IoSlice::new(end)])?;
        file.sync()?;
        let (salt, chain) = (header.salt, header.chain());
        Ok(Self { name, file, salt, chain, reserved, bytes, bytes_before_group: bytes })
    }

    /// Writes one group, whose first entry is at `first`. After an error the segment must not be used any more.
    pub(crate) fn append(&mut self, first: WalSeq, group: &[Logged]) -> io::Result<()> {
        let mut headers: Vec<[u8; ENTRY_HEADER_LEN]> = Vec::with_capacity(group.len());
        let mut chain = self.chain;
        let mut bytes = 0;
        for (index, logged) in (0u16..).zip(group) {
            let seq = WalSeq(first.0 + u64::from(index));
            let place = Place { seq, index, previous: chain };
            let (header, checksum) = layout::encode_entry(logged, place, self.salt);
            headers.push(header);
            chain = checksum;
            bytes += logged.len() as u64;
        }
        let mut parts = Vec::with_capacity(group.len() * 3 + 1);
        for (header, logged) in headers.iter().zip(group) {
            let stored = logged.stored();
            parts.push(IoSlice::new(header));
            parts.push(IoSlice::new(stored));
            parts.push(IoSlice::new(layout::padding(stored.len())));
        }
        parts.push(IoSlice::new(zeros_behind(self.bytes + bytes, self.reserved)));
        self.bytes_before_group = self.bytes;
        self.file.write_at(self.bytes, &parts)?;
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

    /// Ends the segment, whose last entry is at `last`. What is reserved behind it stays, for the next use of the file.
    pub(crate) fn seal(self, last: WalSeq) -> Sealed {
        Sealed { name: self.name, last, bytes: self.bytes, reserved: self.reserved }
    }

    /// Ends a segment that failed: `last` is the last position before the group that failed. Its file is not used again.
    pub(crate) fn seal_without_last_group(mut self, last: WalSeq) -> Sealed {
        let bytes = self.bytes_before_group;
        if let Err(error) = self.file.cut(bytes) {
            // Only space is lost: a later segment outranks what follows `last`.
            tracing::warn!(segment = self.name.file(), %error, "could not cut a sealed WAL segment");
        }
        Sealed { name: self.name, last, bytes, reserved: 0 }
    }
}

/// What is written behind `end`: at least as much as tells the end, where the file goes on.
fn zeros_behind(end: u64, reserved: u64) -> &'static [u8] {
    static ZEROS: [u8; 2 * PAGE] = [0; 2 * PAGE];
    let until = (end + ALIGN as u64).next_multiple_of(PAGE as u64).min(reserved).max(end);
    &ZEROS[..usize::try_from(until - end).unwrap_or(0)]
}
