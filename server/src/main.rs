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

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    memory::settle();
    command::run(command::Cli::parse())
}
