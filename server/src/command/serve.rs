//! `spanlake serve`: receive, keep, answer, until told to stop.
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::{Format, Usage, say};
use crate::config::{Config, Flags, ListenFlags, environment};
use crate::running::Running;
use crate::shutdown::Signals;

/// Receive spans, keep them, answer questions.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spanlake serve
  spanlake serve --data s3://bucket/traces --wal /var/lib/spanlake/wal --ttl 30d
  spanlake serve --print-config > spanlake.toml")]
pub(crate) struct Serve {
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    listen: ListenFlags,
    /// Print the settings as a configuration file with comments, and leave
    #[arg(long)]
    print_config: bool,
    /// How to print the start summary
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Serve {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut config =
            Config::load_listening(&self.flags, &self.listen, &environment()).context(Usage)?;
        if self.print_config {
            say(&config.annotated());
            return Ok(ExitCode::SUCCESS);
        }
        crate::config::arm_kill_point(&environment()).map_err(anyhow::Error::msg)?;
        crate::telemetry::start(&config.log, config.log_format == "json")?;
        runtime()?.block_on(serve(&config, self.format, async |_| Ok(())))
    }
}

/// Threads that wait for disks and encode, at most: many more than there are cores, and few enough that the memory that
/// each keeps for itself stays small. A burst of reads from local files would start hundreds.
const BLOCKING_THREADS_MAX: usize = 32;

/// The runtime of doors and page; queries have their own.
///
/// # Errors
/// Threads could not be started.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("doors")
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
        .context("start threads")
}

/// Runs a server until a signal. `beside` runs once the doors are open; the server ends when a signal arrives,
/// `beside` fails, or a task panics that nothing works without.
pub(super) async fn serve(
    config: &Config,
    format: Format,
    beside: impl AsyncFnOnce(&Running) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen().context("listen for signals")?;
    let running = tokio::select! {
        running = Running::start(config) => running?,
        name = signals.next() => {
            tracing::info!(signal = name, "stopped before the table was open");
            return Ok(ExitCode::SUCCESS);
        }
    };
    say(&match format {
        Format::Text => running.summary(config),
        Format::Json => format!("{}\n", running.summary_json(config)),
    });
    tracing::info!(data = config.data, "ready");
    let failed = tokio::select! {
        name = signals.next() => {
            tracing::info!(signal = name, "stopping");
            None
        }
        task = running.failed() => {
            Some(anyhow::anyhow!("the task {task} panicked; everything acknowledged is in the log"))
        }
        Err(error) = beside(&running) => Some(error),
        else => {
            let name = signals.next().await;
            tracing::info!(signal = name, "stopping");
            None
        }
    };
    signals.insist(running.stopper());
    let stopped = running.stop().await;
    // What made it stop says more than what could not be finished afterwards.
    if let Some(error) = failed {
        return Err(error);
    }
    stopped?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}
