//! What was imported, by content: 16 bytes a piece, appended once the piece is durable.
//!
//! A power cut may take the last [`UNSYNCED_MAX`] entries, never a piece: those pieces come again, and the table's
//! write-ahead log recognises them ([`super::store`] opens it with a window that never ends).
use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use anyhow::Context;

/// Entries that a power cut may take. Pieces have a megabyte or so: a sync every few seconds.
const UNSYNCED_MAX: usize = 256;

/// xxh3-128 of a piece as it stood in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(u128);

impl Fingerprint {
    pub(super) fn of(body: &[u8]) -> Self {
        Self(xxhash_rust::xxh3::xxh3_128(body))
    }
}

/// The fingerprints of a table's imports.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    known: HashSet<Fingerprint>,
    unsynced: usize,
}

impl Journal {
    /// Reads or makes the file. An entry that a crash cut off is overwritten by the next one.
    ///
    /// # Errors
    /// The file cannot be read or made.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .with_context(|| format!("open {}", path.display()))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let entries = bytes.chunks_exact(16);
        let whole = bytes.len() - entries.remainder().len();
        let known = entries
            .filter_map(|entry| Some(Fingerprint(u128::from_le_bytes(entry.try_into().ok()?))))
            .collect();
        file.set_len(whole as u64)?;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0))?;
        Ok(Self { file, known, unsynced: 0 })
    }

    pub(super) fn has(&self, fingerprint: Fingerprint) -> bool {
        self.known.contains(&fingerprint)
    }

    /// Notes a piece that is stored.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn add(&mut self, fingerprint: Fingerprint) -> anyhow::Result<()> {
        if self.known.insert(fingerprint) {
            let entry = fingerprint.0.to_le_bytes();
            self.file.write_all(&entry).context("note what was imported")?;
            self.unsynced += 1;
        }
        if self.unsynced >= UNSYNCED_MAX {
            self.sync()?;
        }
        Ok(())
    }

    /// After a power cut all entries so far are there.
    ///
    /// # Errors
    /// The disk refused.
    pub(super) fn sync(&mut self) -> anyhow::Result<()> {
        self.file.sync_all().context("note what was imported")?;
        self.unsynced = 0;
        Ok(())
    }
}
