//! The command line: one file a command.
mod demo;
mod serve;

use std::io::Write;
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
}

/// Runs the command; 0 done, 1 failed, 2 used wrongly.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Serve(serve) => serve.run(),
        Command::Demo(demo) => demo.run(),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
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

#[expect(clippy::print_stderr, reason = "the one place where a command says why it failed")]
fn complain(error: &anyhow::Error) {
    eprintln!("spanlake: {error:#}");
}
