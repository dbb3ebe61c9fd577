//! Files of spans -> pieces -> a table or a server, several pieces at once.
//!
//! ```text
//! file -> ingest::file::Pieces (own thread) -> [shift] -> journal: known? -> target, 4 at once -> journal: done
//! ```
mod follow;
mod followed;
mod journal;
mod positions;
mod shift;
mod target;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ingest::file::{Piece, Pieces};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

pub(crate) use self::follow::Totals;
use self::follow::{Follower, run as run_follower};
use self::journal::{Fingerprint, Journal};
use self::positions::Positions;
use self::shift::Shift;
use self::target::{Stored, Target};
use crate::config::Config;
use crate::config::value::show_duration;
use crate::words;

/// Pieces on their way at once: enough to share an fsync, few enough to stay small (a piece has a megabyte or so).
const ON_THEIR_WAY: usize = 4;
/// Different reasons of refusal that are told.
const REASONS_MAX: usize = 10;

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Plan {
    /// In order.
    pub files: Vec<Input>,
    /// Move times.
    pub shift_to_now: bool,
    /// Ignore the journal.
    pub again: bool,
}

/// Where spans are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Standard,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// Spans stored.
    pub spans: u64,
    /// Spans refused.
    pub refused: u64,
    /// Why, each reason once.
    pub reasons: Vec<String>,
    /// Files read.
    pub files: u64,
    /// Bytes read, as they lie on disk.
    pub bytes: u64,
    /// Pieces left out because they were imported before.
    pub known_pieces: u64,
    /// Their size, uncompressed.
    pub known_bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// Words about spans that the TTL will remove.
    pub expiring: Option<String>,
    /// Files that could not be read to their end.
    pub failed: Vec<String>,
    /// What files have that is no part of a span.
    pub left_out: BTreeMap<String, u64>,
}

/// All files that `inputs` name; folders with everything below them, in order of names.
///
/// # Errors
/// Something is not there, or a folder has no files.
pub(crate) fn files(inputs: &[PathBuf]) -> anyhow::Result<Vec<Input>> {
    let mut files = Vec::new();
    for input in inputs {
        if input.as_os_str() == "-" {
            files.push(Input::Standard);
            continue;
        }
        let before = files.len();
        below(input, &mut files).with_context(|| format!("read {}", input.display()))?;
        if files.len() == before {
            bail!("there is no file in {}", input.display());
        }
    }
    Ok(files)
}

fn below(path: &Path, files: &mut Vec<Input>) -> std::io::Result<()> {
    if !std::fs::metadata(path)?.is_dir() {
        files.push(Input::File(path.to_path_buf()));
        return Ok(());
    }
    let entries = std::fs::read_dir(path)?;
    let mut entries: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    entries.sort();
    for entry in entries {
        let hidden = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden {
            below(&entry, files)?;
        }
    }
    Ok(())
}

/// Imports into the table that `config` names.
///
/// # Errors
/// The table cannot be opened (a server holds it: use `--server`) or stops taking spans.
pub(crate) async fn store(plan: Plan, config: &Config) -> anyhow::Result<Summary> {
    // History is welcome; what the TTL says about it is told at the end.
    let mut storage = storage::Config { ttl: None, hold: true, ..config.storage.clone() };
    if !plan.again && !plan.shift_to_now {
        // What a power cut took from the journal is recognised by the log, however late the import goes on.
        storage.dedup_window = Duration::MAX;
    }
    let holding = Config { storage, ..config.clone() };
    let store = open_table(&holding).await?;
    let was_empty = store.snapshot().rows() == 0;
    let journal = Journal::open(&config.private_dir().join("imports.journal"))?;
    let target = Target::table(store.clone(), config.ingest.clone());
    let mut summary = run(plan, target, Some(journal)).await?;
    store.flush().await.context("write the spans into files")?;
    let ttl = if store.ttl().by_command { store.ttl().duration } else { config.storage.ttl };
    if let Some(ttl) = ttl {
        let loss = store.plan_ttl(Some(ttl)).await?;
        if loss.rows > 0 {
            summary.expiring =
                Some(keep_history(&store, was_empty, (ttl, loss.rows), config).await?);
        }
    }
    store.close().await.context("close the table")?;
    Ok(summary)
}

async fn open_table(config: &Config) -> anyhow::Result<storage::Store> {
    crate::running::open_store(config).await.map_err(|error| {
        match error.root_cause().downcast_ref::<storage::Error>() {
            Some(storage::Error::Locked { .. }) => error.context(
                "a server holds this table: import through it, with --server http://127.0.0.1:4318",
            ),
            _ => error,
        }
    })
}

/// A table that held nothing before was made for this history: it keeps everything from now on. One that others
/// write to keeps its ttl. Returns what to tell the user.
async fn keep_history(
    store: &storage::Store,
    was_empty: bool,
    (ttl, rows): (Duration, u64),
    config: &Config,
) -> anyhow::Result<String> {
    let old = format!(
        "{} spans in the table are older than the ttl of {}",
        words::count(rows),
        show_duration(ttl)
    );
    if was_empty && !store.ttl().by_command {
        store.set_ttl(None).await.context("keep the imported history")?;
        return Ok(format!(
            "{old}: this new table now keeps everything; to change that: spanlake retention set {} --data {}",
            show_duration(ttl),
            config.data
        ));
    }
    Ok(format!(
        "{old}: the next server on this table removes them, unless you run: spanlake retention set never --data {}",
        config.data
    ))
}

/// Sends to the door of a server.
///
/// # Errors
/// The server cannot be reached or refuses.
pub(crate) async fn send(
    plan: Plan,
    server: &str,
    token: Option<String>,
) -> anyhow::Result<Summary> {
    run(plan, Target::server(server, token), None).await
}

/// A follower keeps what it sent apart from what was sent before for as long: after a crash its last batch comes again.
const FOLLOW_AGAIN_WITHIN: Duration = Duration::from_secs(24 * 3_600);

/// Follows `inputs` into the table that `config` names until `stop`.
///
/// # Errors
/// The table cannot be opened or closed, or the journal cannot be written.
pub(crate) async fn follow_into_table(
    inputs: Vec<PathBuf>,
    journal: Option<PathBuf>,
    config: &Config,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<(Totals, u64)> {
    let mut config = config.clone();
    config.storage.dedup_window = config.storage.dedup_window.max(FOLLOW_AGAIN_WITHIN);
    let store = open_table(&config).await?;
    let journal = journal.unwrap_or_else(|| config.private_dir().join("follow.journal"));
    let positions = Positions::open(&journal, "table")?;
    let target = Target::table(store.clone(), config.ingest.clone());
    let mut follower = Follower::new(inputs, positions, target);
    let ended = run_follower(&mut follower, stop).await;
    let done = (follower.totals().clone(), follower.lag());
    drop(follower);
    store.flush().await.context("write the spans into files")?;
    store.close().await.context("close the table")?;
    ended.map(|()| done)
}

/// Follows `inputs` to the door of a server until `stop`.
///
/// # Errors
/// The journal cannot be written.
pub(crate) async fn follow_to_server(
    inputs: Vec<PathBuf>,
    journal: Option<PathBuf>,
    (server, token): (&str, Option<String>),
    stop: impl Future<Output = ()>,
) -> anyhow::Result<(Totals, u64)> {
    let journal = journal.unwrap_or_else(|| PathBuf::from("spanlake-follow.journal"));
    let positions = Positions::open(&journal, server)?;
    let mut follower = Follower::new(inputs, positions, Target::server(server, token));
    run_follower(&mut follower, stop).await?;
    Ok((follower.totals().clone(), follower.lag()))
}

async fn run(plan: Plan, target: Target, journal: Option<Journal>) -> anyhow::Result<Summary> {
    let begin = Instant::now();
    let bar = progress(&plan);
    let mut work = Work {
        target: Arc::new(target),
        journal,
        again: plan.again || plan.shift_to_now,
        bar: bar.clone(),
        summary: Summary::default(),
        reasons: BTreeSet::new(),
    };
    for input in &plan.files {
        work.summary.files += 1;
        let shift = if plan.shift_to_now { Some(Shift::to_now(input)?) } else { None };
        work.file(input, shift).await?;
    }
    bar.finish_and_clear();
    if let Some(journal) = &mut work.journal {
        journal.sync()?;
    }
    let mut summary = work.summary;
    summary.reasons = work.reasons.into_iter().collect();
    summary.seconds = begin.elapsed().as_secs_f64();
    summary.bytes = bar.position();
    Ok(summary)
}

struct Work {
    target: Arc<Target>,
    journal: Option<Journal>,
    again: bool,
    bar: ProgressBar,
    summary: Summary,
    reasons: BTreeSet<String>,
}

impl Work {
    /// A file that cannot be read to its end is noted, and the next one is taken; a target that fails ends all.
    async fn file(&mut self, input: &Input, shift: Option<Shift>) -> anyhow::Result<()> {
        let mut pieces = read(input, self.bar.clone());
        let mut on_their_way: JoinSet<anyhow::Result<(Fingerprint, Stored)>> = JoinSet::new();
        while let Some(piece) = pieces.recv().await {
            let piece = match piece {
                Ok(Found::Piece(piece)) => piece,
                Ok(Found::LeftOut(what, count)) => {
                    *self.summary.left_out.entry(what.to_owned()).or_default() += count;
                    continue;
                }
                Err(error) => {
                    self.summary.failed.push(format!("{}: {error:#}", input.name()));
                    continue;
                }
            };
            let fingerprint = Fingerprint::of(&piece.body);
            if !self.again && self.journal.as_ref().is_some_and(|journal| journal.has(fingerprint))
            {
                self.summary.known_pieces += 1;
                self.summary.known_bytes += piece.body.len() as u64;
                continue;
            }
            while on_their_way.len() >= ON_THEIR_WAY {
                self.take(on_their_way.join_next().await)?;
            }
            let target = Arc::clone(&self.target);
            on_their_way.spawn(async move {
                let piece = match shift {
                    Some(shift) => shift.apply(piece)?,
                    None => piece,
                };
                Ok((fingerprint, target.store(piece).await?))
            });
        }
        while let Some(done) = on_their_way.join_next().await {
            self.take(Some(done))?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        done: Option<Result<anyhow::Result<(Fingerprint, Stored)>, tokio::task::JoinError>>,
    ) -> anyhow::Result<()> {
        let Some(done) = done else { return Ok(()) };
        let (fingerprint, stored) = done.context("import a piece")??;
        self.summary.spans += stored.spans;
        self.summary.refused += stored.refused;
        if !stored.message.is_empty() && self.reasons.len() < REASONS_MAX {
            self.reasons.insert(stored.message);
        }
        self.bar.set_message(format!("{} spans", words::count(self.summary.spans)));
        if let Some(journal) = &mut self.journal {
            journal.add(fingerprint)?;
        }
        Ok(())
    }
}

impl Input {
    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Standard => "standard input".into(),
        }
    }

    fn open(&self) -> std::io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::File(path) => Box::new(File::open(path)?),
            Self::Standard => Box::new(std::io::stdin()),
        })
    }
}

/// What is found in a file.
enum Found {
    Piece(Piece),
    /// What is no part of a span, and how often it is there.
    LeftOut(&'static str, u64),
}

/// Cuts a file on a thread of its own, a few pieces ahead.
fn read(input: &Input, bar: ProgressBar) -> mpsc::Receiver<anyhow::Result<Found>> {
    let (sender, receiver) = mpsc::channel(2);
    let input = input.clone();
    tokio::task::spawn_blocking(move || {
        let opened = input.open().map_err(anyhow::Error::from);
        let pieces = opened.and_then(|reader| {
            let reader: Box<dyn BufRead + Send> =
                Box::new(BufReader::with_capacity(256 << 10, bar.wrap_read(reader)));
            Ok(Pieces::open(reader)?)
        });
        match pieces {
            Ok(mut pieces) => {
                for piece in pieces.by_ref() {
                    let piece = piece.map(Found::Piece).map_err(Into::into);
                    if sender.blocking_send(piece).is_err() {
                        return;
                    }
                }
                for (what, count) in pieces.left_out() {
                    drop(sender.blocking_send(Ok(Found::LeftOut(what, count))));
                }
            }
            Err(error) => drop(sender.blocking_send(Err(error))),
        }
    });
    receiver
}

fn progress(plan: &Plan) -> ProgressBar {
    let sizes = plan.files.iter().map(|input| match input {
        Input::File(path) => std::fs::metadata(path).ok().map(|metadata| metadata.len()),
        Input::Standard => None,
    });
    let total: Option<u64> = sizes.sum();
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{bar:30} {bytes}/{total_bytes} {msg} {binary_bytes_per_sec} {eta} left",
        ),
        None => (ProgressBar::no_length(), "{spinner} {bytes} {msg} {binary_bytes_per_sec}"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    bar
}
