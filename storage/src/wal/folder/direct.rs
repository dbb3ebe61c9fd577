//! Writing past the page cache.
//!
//! A log is written once, synced at once, and read only after a crash: the cache would hold hundreds of MiB of it for
//! nothing, and a fresh page of the cache costs several times what the copy into it costs.
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Disks take whole blocks from memory that begins at a multiple of their size: 512 bytes or this.
const BLOCK: usize = 4096;
/// The end of a group and the zeros behind it: what the next group may begin in the middle of.
const KEPT_BYTES: usize = 2 * BLOCK;
/// A group is written in steps of this size, so that the memory stays in the processor's caches.
const BUFFER_BYTES: usize = 2 << 20;

/// A file that takes whole blocks only.
#[derive(Debug)]
pub(super) struct Direct {
    file: File,
    /// Holds one step, from [`Self::start`] on.
    buffer: Vec<u8>,
    start: usize,
    /// What was written last, up to `kept_until`.
    kept: Vec<u8>,
    kept_until: u64,
}

impl Direct {
    /// The existing file at `path`; `None` where its file system cannot do this.
    pub(super) fn open(path: &Path) -> Option<Self> {
        let flags = i32::try_from(OFlags::DIRECT.bits()).ok()?;
        let file = OpenOptions::new().write(true).custom_flags(flags).open(path).ok()?;
        let buffer = vec![0; BUFFER_BYTES + BLOCK];
        let start = buffer.as_ptr().align_offset(BLOCK);
        (start <= BLOCK).then(|| Self { file, buffer, start, kept: Vec::new(), kept_until: 0 })
    }

    /// Writes all of `parts` from `at` on; false where that cannot be done in whole blocks: then nothing was written.
    ///
    /// The block in which `at` lies is written again with what it held before, as the page cache does.
    pub(super) fn write_at(&mut self, at: u64, parts: &[IoSlice<'_>]) -> io::Result<bool> {
        let within = block_offset(at);
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let until = at + bytes as u64;
        let before = self.kept_before(at, within);
        let (Some(before), 0) = (before, block_offset(until)) else {
            // Somebody else writes it: what is kept here may not be true afterwards.
            self.kept.clear();
            return Ok(false);
        };
        let mut filled = within;
        self.step()[..within].copy_from_slice(&before);
        let mut written = at - within as u64;
        for part in parts {
            let mut rest: &[u8] = part;
            while !rest.is_empty() {
                let step = self.step();
                let (some, after) = rest.split_at(rest.len().min(step.len() - filled));
                step[filled..filled + some.len()].copy_from_slice(some);
                filled += some.len();
                rest = after;
                if filled == step.len() {
                    self.put(&mut written, std::mem::take(&mut filled))?;
                }
            }
        }
        self.put(&mut written, filled)?;
        Ok(true)
    }

    /// The `length` bytes before `at`, as far as they are known.
    fn kept_before(&self, at: u64, length: usize) -> Option<Vec<u8>> {
        if length == 0 {
            return Some(Vec::new());
        }
        let behind = usize::try_from(self.kept_until.checked_sub(at)?).ok()?;
        let end = self.kept.len().checked_sub(behind)?;
        Some(self.kept[end.checked_sub(length)?..end].to_vec())
    }

    fn step(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..][..BUFFER_BYTES]
    }

    /// Writes the first `filled` bytes of the step at `written`, which it moves on.
    fn put(&mut self, written: &mut u64, filled: usize) -> io::Result<()> {
        if filled == 0 {
            return Ok(());
        }
        let step = &self.buffer[self.start..][..filled];
        self.file.write_all_at(step, *written)?;
        if self.kept_until != *written {
            self.kept.clear();
        }
        *written += filled as u64;
        self.kept.extend_from_slice(&step[filled.saturating_sub(KEPT_BYTES)..]);
        self.kept.drain(..self.kept.len().saturating_sub(KEPT_BYTES));
        self.kept_until = *written;
        Ok(())
    }
}

/// How far into its block an offset lies.
fn block_offset(at: u64) -> usize {
    usize::try_from(at % BLOCK as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests;
