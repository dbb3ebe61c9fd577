//! `import --follow`: ships files as they grow, for as long as it runs.
//!
//! ```text
//! look (names, sizes) -> read complete records -> journal: on its way -> target -> journal: stored
//! ```
//! One batch is on its way at a time, so memory holds one batch whatever the target does. A target that is away is
//! asked again, ever more slowly; the files are the queue.
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use ingest::file::Piece;
use ingest::file::growing::Skipped;

use super::followed::{Followed, Inode, Read};
use super::positions::{Head, Position, Positions};
use super::target::{Failure, Target};
use super::{Input, files};
use crate::words;

/// Left-out records of a file that are told one by one.
const TOLD_PER_FILE: u64 = 10;
/// How often files are looked at.
const POLL_EVERY: Duration = Duration::from_millis(250);
/// Batches after which new files are looked for, however much there is to send.
const STEPS_PER_LOOK: u32 = 64;
/// How long the batch on its way is waited for at the end.
const GRACE: Duration = Duration::from_secs(10);
/// How often progress is told where no terminal shows it.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// What happened at a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A batch was stored: there may be more.
    Stored,
    /// Nothing complete is there.
    Idle,
    /// The target did not take the batch, in these words. It stays the next one.
    Away(String),
}

/// What a follower did so far.
#[derive(Debug, Default, Clone)]
pub(crate) struct Totals {
    /// Spans stored.
    pub spans: u64,
    /// Spans refused.
    pub refused: u64,
    /// Records that could not be read or were refused as a whole.
    pub skipped: u64,
    /// Files that gave something.
    pub files: HashSet<String>,
}

/// A batch on its way.
struct Pending {
    inode: Inode,
    name: String,
    pieces: Vec<Piece>,
    skipped: Vec<Skipped>,
    from: u64,
    /// Where the file goes on after it.
    then: Position,
}

/// Follows files and folders.
pub(super) struct Follower {
    inputs: Vec<PathBuf>,
    followed: Vec<Followed>,
    positions: Positions,
    target: Target,
    pending: Option<Pending>,
    /// The file whose turn is next.
    turn: usize,
    totals: Totals,
    /// Words for the user, taken by whoever prints.
    told: Vec<String>,
}

impl Follower {
    pub(super) fn new(inputs: Vec<PathBuf>, positions: Positions, target: Target) -> Self {
        Self {
            inputs,
            followed: Vec::new(),
            positions,
            target,
            pending: None,
            turn: 0,
            totals: Totals::default(),
            told: Vec::new(),
        }
    }

    pub(super) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Bytes that are there and not stored.
    pub(super) fn lag(&self) -> u64 {
        self.followed.iter().map(Followed::lag).sum()
    }

    /// What there is to tell since the last call.
    pub(super) fn tell(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    /// Looks for new files and for growth. Once a poll: idle polls are counted.
    pub(super) fn look(&mut self) {
        let mut here = HashSet::new();
        for input in &self.inputs {
            // A folder or file that is not there (yet, or any more) may come.
            for found in files(std::slice::from_ref(input)).unwrap_or_default() {
                let Input::File(path) = found else { continue };
                let Ok(metadata) = std::fs::metadata(&path) else { continue };
                let inode = Inode::of(&metadata);
                if !here.insert(inode) {
                    continue;
                }
                match self.followed.iter_mut().find(|file| file.inode == inode) {
                    Some(file) => file.path = path,
                    None => match Followed::open(&path) {
                        Ok(file) => self.followed.push(file),
                        Err(error) => self.told.push(format!("{}: {error}", path.display())),
                    },
                }
            }
        }
        let mut told = Vec::new();
        for file in &mut self.followed {
            file.gone = !here.contains(&file.inode);
            if let Err(error) = file.look() {
                told.push(format!("{}: {error}", file.path.display()));
                file.given_up = true;
            }
        }
        let sending = self.pending.as_ref().map(|pending| pending.inode);
        self.followed.retain(|file| {
            let done = file.is_done() && sending != Some(file.inode);
            if done && file.lag() > 0 {
                told.push(format!(
                    "{} is gone; its last {} are no complete record and were left out",
                    file.path.display(),
                    words::bytes(file.lag())
                ));
            }
            !done
        });
        self.told.append(&mut told);
    }

    /// Sends the next batch, of one file after the other.
    ///
    /// # Errors
    /// The journal cannot be written: without it nothing may be sent.
    pub(super) async fn step(&mut self) -> anyhow::Result<Step> {
        if self.pending.is_none() {
            self.pending = tokio::task::block_in_place(|| self.next_batch())?;
        }
        let Some(mut pending) = self.pending.take() else { return Ok(Step::Idle) };
        while let Some(piece) = pending.pieces.first().cloned() {
            match self.target.attempt(piece).await {
                Ok(stored) => {
                    self.totals.spans += stored.spans;
                    self.totals.refused += stored.refused;
                    if !stored.message.is_empty() {
                        self.told.push(format!("{}: {}", pending.name, stored.message));
                    }
                }
                Err(Failure::Refused(error)) => {
                    let (from, to) = (pending.from, pending.then.from);
                    let reason = format!("the target refused bytes {from} to {to}: {error:#}");
                    let skipped = Skipped { offset: from, bytes: to - from, reason };
                    pending.skipped.push(skipped);
                }
                Err(Failure::Busy(error) | Failure::Unavailable(error)) => {
                    self.pending = Some(pending);
                    return Ok(Step::Away(format!("{error:#}")));
                }
            }
            pending.pieces.remove(0);
        }
        tokio::task::block_in_place(|| self.done(pending))?;
        Ok(Step::Stored)
    }

    /// Reads the next batch and notes that it is on its way.
    fn next_batch(&mut self) -> anyhow::Result<Option<Pending>> {
        for _ in 0..self.followed.len() {
            self.turn = (self.turn + 1) % self.followed.len();
            let heads: Vec<(Inode, Head)> = self
                .followed
                .iter()
                .filter_map(|file| Some((file.inode, file.known.as_ref()?.head)))
                .collect();
            let file = &mut self.followed[self.turn];
            let inode = file.inode;
            let taken = |head| heads.iter().any(|&(other, known)| known == head && other != inode);
            let name = file.path.display().to_string();
            match file.read(&self.positions, &taken) {
                Ok(Read::Nothing) => {}
                Ok(Read::Records(batch, then)) => {
                    let Some((head, position)) = file.on_its_way(then.to) else { continue };
                    let again = self.positions.of(head) == Some(position);
                    if !again && !batch.pieces.is_empty() {
                        self.positions.note(head, position)?;
                    }
                    let (pieces, skipped, from) = (batch.pieces, batch.skipped, position.from);
                    return Ok(Some(Pending { inode, name, pieces, skipped, from, then }));
                }
                Ok(Read::GiveUp(reason)) => {
                    file.given_up = true;
                    self.told.push(format!("{name}: {reason}"));
                }
                Err(error) => {
                    file.given_up = true;
                    self.told.push(format!("{name}: {error}"));
                }
            }
        }
        Ok(None)
    }

    fn done(&mut self, pending: Pending) -> anyhow::Result<()> {
        let Pending { inode, name, skipped, then, .. } = pending;
        let Some(file) = self.followed.iter_mut().find(|file| file.inode == inode) else {
            return Ok(());
        };
        for skipped in skipped {
            file.skipped += 1;
            self.totals.skipped += 1;
            if file.skipped <= TOLD_PER_FILE {
                let Skipped { offset, bytes, reason } = skipped;
                self.told
                    .push(format!("{name}: left out {bytes} bytes at byte {offset}: {reason}"));
            } else if file.skipped == TOLD_PER_FILE + 1 {
                self.told
                    .push(format!("{name}: further records that are left out are only counted"));
            }
        }
        if let Some(head) = file.advance(then) {
            self.positions.note(head, then)?;
        }
        self.totals.files.insert(name);
        Ok(())
    }
}

/// How long to wait before a target that was away is asked again.
#[derive(Debug, Default)]
pub(super) struct Backoff(u32);

impl Backoff {
    /// 250 ms, twice as long each time, 30 s at most.
    pub(super) fn next(&mut self) -> Duration {
        let wait = Duration::from_millis(250) * 2u32.pow(self.0.min(7));
        self.0 += 1;
        wait.min(Duration::from_secs(30))
    }

    pub(super) fn reset(&mut self) {
        self.0 = 0;
    }
}

/// Runs a follower until `stop`. The batch on its way is waited for, though not for long: the journal has it.
///
/// # Errors
/// The journal cannot be written.
pub(super) async fn run(
    follower: &mut Follower,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let stopping = AtomicBool::new(false);
    let rounds = rounds(follower, &stopping);
    tokio::pin!(rounds, stop);
    tokio::select! {
        ended = &mut rounds => return ended,
        () = &mut stop => stopping.store(true, Ordering::Relaxed),
    }
    match tokio::time::timeout(GRACE, rounds).await {
        Ok(ended) => ended,
        Err(_) => Ok(()),
    }
}

async fn rounds(follower: &mut Follower, stopping: &AtomicBool) -> anyhow::Result<()> {
    let (mut backoff, mut away, mut report) = (Backoff::default(), None, Report::new());
    while !stopping.load(Ordering::Relaxed) {
        tokio::task::block_in_place(|| follower.look());
        let mut wait = POLL_EVERY;
        for _ in 0..STEPS_PER_LOOK {
            match follower.step().await? {
                Step::Stored => {
                    backoff.reset();
                    if away.take().is_some() {
                        report.say("the target takes spans again");
                    }
                }
                Step::Idle => break,
                Step::Away(words) => {
                    if away.as_ref() != Some(&words) {
                        report.say(&format!("{words}; trying again until it takes them"));
                    }
                    away = Some(words);
                    wait = backoff.next();
                    break;
                }
            }
            if stopping.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
        for words in follower.tell() {
            report.say(&words);
        }
        report.show(follower);
        let mut waited = Duration::ZERO;
        while waited < wait && !stopping.load(Ordering::Relaxed) {
            tokio::time::sleep(POLL_EVERY).await;
            waited += POLL_EVERY;
        }
    }
    Ok(())
}

/// Progress on standard error: a line that changes on a terminal, else one a minute.
struct Report {
    bar: ProgressBar,
    last: Instant,
    shown: u64,
}

impl Report {
    fn new() -> Self {
        let bar = ProgressBar::no_length();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        Self { bar, last: Instant::now(), shown: 0 }
    }

    #[expect(clippy::print_stderr, reason = "the command's own words")]
    fn say(&self, words: &str) {
        self.bar.suspend(|| eprintln!("{words}"));
    }

    fn show(&mut self, follower: &Follower) {
        let totals = follower.totals();
        let words = format!(
            "{} spans from {}, {} behind",
            words::count(totals.spans),
            words::files(totals.files.len()),
            words::bytes(follower.lag())
        );
        if std::io::stderr().is_terminal() {
            self.bar.set_message(words);
            self.bar.tick();
        } else if self.last.elapsed() >= REPORT_EVERY && totals.spans != self.shown {
            self.say(&words);
            (self.last, self.shown) = (Instant::now(), totals.spans);
        }
    }
}
