//! The command line: one file a command.
mod check;
mod delete;
mod demo;
mod doctor;
mod export;
mod import;
mod partitions;
mod patch;
mod pin;
mod query;
mod retention;
mod serve;
mod tail;
mod token;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keeps distributed traces in open tables (Parquet, Delta Lake) and answers questions about them.
#[derive(Debug, Parser)]
#[command(name = "spanlake", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Receive spans, keep them, answer questions
    Serve(serve::Serve),
    /// Serve, with a live synthetic shop beside it
    Demo(demo::Demo),
    /// Store files of spans
    Import(import::Import),
    /// Run one SQL statement
    Query(query::Query),
    /// Print spans as they arrive
    Tail(tail::Tail),
    /// Test what has to be true of every trace
    Check(check::Check),
    /// Write a view: dependencies, traces, latency, network
    Export(export::Export),
    /// List or drop dates of the table
    Partitions(partitions::Partitions),
    /// Show, set or plan what leaves the table
    Retention(retention::Retention),
    /// Add notes, aliases, corrections, or new names of operations
    Patch(patch::Patch),
    /// Pin traces, so that no drop removes them
    Pin(pin::Pin),
    /// Delete traces for good, by id or by an attribute
    Delete(delete::Delete),
    /// Create, list or revoke tokens
    Token(token::Token),
    /// Check the log, the table and its files
    Doctor(doctor::Doctor),
}

/// Runs the command; 0 done, 1 failed, 2 used wrongly.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Serve(serve) => serve.run(),
        Command::Demo(demo) => demo.run(),
        Command::Import(import) => import.run(),
        Command::Query(query) => query.run(),
        Command::Tail(tail) => tail.run(),
        Command::Check(check) => check.run(),
        Command::Export(export) => export.run(),
        Command::Partitions(partitions) => partitions.run(),
        Command::Retention(retention) => retention.run(),
        Command::Patch(patch) => patch.run(),
        Command::Pin(pin) => pin.run(),
        Command::Delete(delete) => delete.run(),
        Command::Token(token) => token.run(),
        Command::Doctor(doctor) => doctor.run(),
    };
    match done {
        Ok(code) => code,
        Err(error) if reader_left(&error) => ExitCode::SUCCESS,
        Err(error) if error.is::<Usage>() => {
            complain(error.root_cause());
            ExitCode::from(2)
        }
        Err(error) => {
            complain(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

/// `spanlake query ... | head`: whoever reads has seen enough.
fn reader_left(error: &anyhow::Error) -> bool {
    let io = error.root_cause().downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// How a command prints what it found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For scripts.
    Json,
}

/// Writes to standard output; a reader that went away (`| head`) is no error.
pub(crate) fn say(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Marks an error as wrong use: the exit code is 2.
#[derive(Debug, thiserror::Error)]
#[error("wrong use")]
pub(crate) struct Usage;

/// An error of wrong use with these words.
pub(crate) fn usage(words: impl Into<String>) -> anyhow::Error {
    anyhow::anyhow!(words.into()).context(Usage)
}

/// Runs `work` on a small runtime of its own.
///
/// # Errors
/// Those of `work`.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    serve::runtime()?.block_on(work)
}

/// Asks on a terminal; where there is none, the flag must have been given.
///
/// # Errors
/// The user said no, or there is nobody to ask.
pub(crate) fn confirm(question: &str, yes: bool) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    let mut answer = String::new();
    if std::io::stdin().is_terminal() {
        say(&format!("{question} Type yes to go on: "));
        let _ = std::io::stdout().flush();
        std::io::stdin().read_line(&mut answer)?;
    }
    if answer.trim() == "yes" {
        return Ok(());
    }
    Err(usage(format!("{question} Nothing was changed; pass --yes to go on.")))
}

/// A table for people: numbers to the right.
pub(crate) fn columns(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    let head: Vec<String> = head.iter().map(|&name| name.to_owned()).collect();
    for row in std::iter::once(&head).chain(rows) {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| {
            let numeric = cell.starts_with(|c: char| c.is_ascii_digit()) && !cell.contains('-');
            if numeric { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[expect(clippy::print_stderr, reason = "the one place where a command says why it failed")]
fn complain(error: &(dyn std::error::Error + 'static)) {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.ends_with(&more) {
            words.push_str(": ");
            words.push_str(&more);
        }
        cause = error.source();
    }
    eprintln!("spanlake: {words}");
}

#[cfg(test)]
mod tests;
