//! Logs of this process: text or JSON lines on standard error.
use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering};

use storage::metrics::{Metric, Shape};
use tracing_subscriber::EnvFilter;

/// Panics of this process so far, those included that were caught.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Starts logging with `filter` (`info`, `spanlake=debug`, ...).
///
/// # Errors
/// The filter cannot be read.
pub(crate) fn start(filter: &str, json: bool) -> anyhow::Result<()> {
    // Libraries explain themselves at info; ours are what an operator asked for.
    let base = match filter {
        plain @ ("error" | "warn" | "info" | "debug" | "trace") => {
            let libraries = if plain == "error" { "error" } else { "warn" };
            format!(
                "{libraries},spanlake={plain},storage={plain},ingest={plain},query={plain},web={plain}"
            )
        }
        other => other.to_owned(),
    };
    let filter = EnvFilter::try_new(&base)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json {
        builder.json().init();
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).init();
    }
    std::panic::set_hook(Box::new(note));
    Ok(())
}

/// Counts a panic and logs it once, where it happened.
fn note(panic: &PanicHookInfo<'_>) {
    PANICS.fetch_add(1, Ordering::Relaxed);
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current().name().unwrap_or_default().to_owned();
    let words = panic.payload_as_str().unwrap_or("no words");
    tracing::error!(thread, place, words, "panic: a mistake in this program, please report it");
}

/// For `/metrics`.
#[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
pub(crate) fn panics() -> Metric {
    Metric {
        name: "spanlake_panics_total",
        help: "Panics in any thread, also those that were caught; anything but 0 is a mistake of ours.",
        shape: Shape::Counter,
        labels: Vec::new(),
        value: PANICS.load(Ordering::Relaxed) as f64,
    }
}
