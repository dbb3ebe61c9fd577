//! The binary `spanlake`: keeps distributed traces in open tables and answers questions about them.
mod command;
mod config;
mod demo;
mod http;
mod import;
mod memory;
mod page;
mod running;
mod sampling;
mod shutdown;
mod source;
mod sse;
mod telemetry;
mod words;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    command::run(command::Cli::parse())
}
