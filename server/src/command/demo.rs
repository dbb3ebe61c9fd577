//! `spanlake demo`: a server with a live synthetic shop beside it.
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::serve::{runtime, serve};
use super::{Format, Usage, usage};
use crate::config::{Config, Flags, ListenFlags, environment};
use crate::demo::Plan;

/// Serve, with a live synthetic shop of thirty services that has an incident every five minutes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spanlake demo
  spanlake demo --rate 2000 --seed 7 --data /tmp/shop")]
pub(crate) struct Demo {
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    listen: ListenFlags,
    /// The same seed makes the same requests
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Spans a second, about
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// How to print the start summary
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Never the folder of real spans.
const FOLDER: &str = "./spanlake-data/demo";

impl Demo {
    pub(super) fn run(mut self) -> anyhow::Result<ExitCode> {
        self.flags.data.get_or_insert_with(|| FOLDER.into());
        let config =
            Config::load_listening(&self.flags, &self.listen, &environment()).context(Usage)?;
        if config.tokens_required() {
            return Err(usage(
                "the demo listens on this machine only; leave --listen and --insecure out",
            ));
        }
        crate::telemetry::start(&config.log, config.log_format == "json")?;
        let (seed, rate) = (self.seed, f64::from(self.rate));
        runtime()?.block_on(serve(&config, self.format, async move |running| {
            tracing::info!(seed, rate, "the shop is open; its first incident begins in a minute");
            let newest_unix_nano = running.newest_unix_nano();
            crate::demo::run(running.addresses, Plan { seed, rate, newest_unix_nano }).await
        }))
    }
}
