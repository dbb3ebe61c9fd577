//! How far files were followed, by content: a line a step, fsynced before the step is sent.
//!
//! A line says "of the file that begins so, all before `from` is stored, and `from..to` is on its way". After a crash
//! exactly those bytes are sent again, so that whoever stores them recognises the request. A file is known by its first
//! record, and checked by the bytes before `from`: names and inodes come and go with rotation.
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Lines after which the file is written anew with the newest line of each file.
const LINES_MAX: usize = 20_000;

/// A file's identity: the hash of the beginning of its first record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Head(pub(super) u128);

/// How far a file was followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// All before it is stored.
    pub(super) from: u64,
    /// What lies between was on its way.
    pub(super) to: u64,
    /// Hash of the bytes before `from`.
    pub(super) before: u128,
}

/// The journal of one follower.
#[derive(Debug)]
pub(super) struct Positions {
    path: PathBuf,
    file: File,
    target: String,
    known: HashMap<Head, Position>,
    lines: usize,
}

impl Positions {
    /// Opens or makes the journal of `target` and locks it.
    ///
    /// # Errors
    /// It cannot be read, belongs to another target, or another follower holds it.
    pub(super) fn open(path: &Path, target: &str) -> anyhow::Result<Self> {
        let mut file = open(path)?;
        if file.try_lock().is_err() {
            bail!("another follower uses {}; name another one with --journal", path.display());
        }
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(|| format!("read {}", path.display()))?;
        let mut positions = Self {
            path: path.to_owned(),
            file,
            target: target.to_owned(),
            known: HashMap::new(),
            lines: 0,
        };
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let mut lines = whole.lines();
        match lines.next() {
            None => {}
            Some(first) if first == positions.first_line() => {
                positions.known = lines.filter_map(parse).collect();
            }
            Some(first) => bail!(
                "{} belongs to another target ({first}); name another journal with --journal",
                path.display()
            ),
        }
        positions.rewrite()?;
        Ok(positions)
    }

    fn first_line(&self) -> String {
        format!("spanlake-follow 1 {}", self.target.replace('\n', " "))
    }

    pub(super) fn of(&self, head: Head) -> Option<Position> {
        self.known.get(&head).copied()
    }

    /// Notes a position; it is there after a power cut.
    ///
    /// # Errors
    /// The disk refused.
    pub(super) fn note(&mut self, head: Head, position: Position) -> anyhow::Result<()> {
        self.known.insert(head, position);
        if self.lines >= LINES_MAX {
            return self.rewrite();
        }
        self.lines += 1;
        let line = line(head, position);
        self.file.write_all(line.as_bytes()).with_context(|| self.words())?;
        self.file.sync_data().with_context(|| self.words())
    }

    fn words(&self) -> String {
        format!("write {}", self.path.display())
    }

    /// Writes the newest position of each file into a new journal that takes the place of the old one.
    fn rewrite(&mut self) -> anyhow::Result<()> {
        let mut text = self.first_line() + "\n";
        let mut known: Vec<_> = self.known.iter().collect();
        known.sort_unstable_by_key(|(head, _)| **head);
        for (&head, &position) in known {
            text.push_str(&line(head, position));
        }
        let beside = self.path.with_extension("new");
        let mut file = open(&beside)?;
        file.set_len(0)?;
        file.write_all(text.as_bytes()).with_context(|| self.words())?;
        file.sync_all().with_context(|| self.words())?;
        if file.try_lock().is_err() {
            bail!("another follower uses {}", self.path.display());
        }
        std::fs::rename(&beside, &self.path).with_context(|| self.words())?;
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all().with_context(|| self.words())?;
        }
        self.file = file;
        self.lines = 0;
        Ok(())
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    options.open(path).with_context(|| format!("open {}", path.display()))
}

fn line(head: Head, position: Position) -> String {
    let Position { from, to, before } = position;
    format!("{:032x} {from} {to} {before:032x}\n", head.0)
}

fn parse(line: &str) -> Option<(Head, Position)> {
    let mut words = line.split(' ');
    let head = Head(u128::from_str_radix(words.next()?, 16).ok()?);
    let (from, to) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let before = u128::from_str_radix(words.next()?, 16).ok()?;
    Some((head, Position { from, to, before }))
}
