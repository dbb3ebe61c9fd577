//! Logs of this process: text or JSON lines on standard error.
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

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
    Ok(())
}
