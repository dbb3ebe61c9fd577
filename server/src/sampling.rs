//! Keeps the sampler going: ends its windows, and keeps what it found out over a restart.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ingest::Decoder;
use ingest::sample::{Sampler, Watched};
use storage::{Clock, Decode};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::config::Config;

/// The sampler of a server, and the task that ends its windows.
pub(crate) struct Sampling {
    /// Tells services what to sample.
    pub sampler: Sampler,
    file: PathBuf,
    interval: std::time::Duration,
    task: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Sampling {
    /// A sampler that goes on from what the last run found out.
    pub(crate) fn load(config: &Config, clock: Arc<dyn Clock>) -> Self {
        let sampler = Sampler::new(config.ingest.sampling.clone(), clock);
        let file = config.private_dir().join(&config.storage.tenant).join("sampling.json");
        if sampler.is_adaptive()
            && let Ok(saved) = std::fs::read(&file)
            && !sampler.restore(&saved)
        {
            tracing::warn!(file = %file.display(), "saved sampling rates cannot be read; starting anew");
        }
        Self { sampler, file, interval: config.ingest.sampling.interval, task: None }
    }

    /// The decoder of the store; the sampler looks over its shoulder only where shares follow from the traffic.
    pub(crate) fn watched(&self, decoder: Decoder) -> Arc<dyn Decode> {
        if self.sampler.is_adaptive() {
            let sampler = self.sampler.clone();
            return Arc::new(Watched { decoder, sampler });
        }
        Arc::new(decoder)
    }

    /// Ends windows from now on.
    pub(crate) fn start(mut self) -> Self {
        if self.sampler.is_adaptive() {
            let (stop, stopped) = oneshot::channel();
            let (sampler, file, interval) =
                (self.sampler.clone(), self.file.clone(), self.interval);
            self.sampler.tick();
            self.task = Some((stop, tokio::spawn(run(sampler, file, interval, stopped))));
        }
        self
    }

    /// Ends the task; what was found out stays.
    pub(crate) async fn stop(self) {
        if let Some((stop, task)) = self.task {
            let _ = stop.send(());
            let _ = task.await;
        }
    }
}

async fn run(
    sampler: Sampler,
    file: PathBuf,
    interval: std::time::Duration,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut saved = Vec::new();
    loop {
        let ends = tokio::select! {
            _ = ticks.tick() => false,
            _ = &mut stopped => true,
        };
        sampler.tick();
        let now = sampler.save();
        if now != saved {
            if let Err(error) = replace(&file, &now) {
                tracing::warn!(%error, "sampling rates were not saved");
            }
            saved = now;
        }
        if ends {
            return;
        }
    }
}

/// Half a file must never be read; losing the newest one costs a minute of finding out anew, so it is not synced.
fn replace(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = file.with_extension("json.new");
    std::fs::write(&new, bytes)?;
    std::fs::rename(&new, file)
}
