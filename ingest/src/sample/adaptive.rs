//! Finds the share of each operation's roots that meets a target of traces a second.
//!
//! Each window the true rate is estimated from the weights of the stored roots, smoothed, and the probability moved
//! towards target / rate: down at once, up at most twice a window, not at all within a tenth. A service that asks for its
//! strategy but whose spans name no weight is taken to follow what it was told; its probability then rests until every
//! SDK must have heard of the last change.
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use super::Config;
use super::rule::{Goal, goal};

/// Operations that are remembered, of one service and in all.
pub(super) const OPERATIONS_OF_SERVICE_MAX: usize = 2_000;
/// See [`OPERATIONS_OF_SERVICE_MAX`].
pub(super) const OPERATIONS_MAX: usize = 10_000;
/// Service and operation together; longer ones are not remembered.
const NAME_BYTES_MAX: usize = 512;
/// A service that asked within this follows what it is told.
const FOLLOWS: Duration = Duration::from_secs(600);
/// All SDKs of a service have asked again after this: they ask once a minute.
const SETTLED: Duration = Duration::from_secs(120);
/// Weight of the newest window in the smoothed rate.
const SMOOTHING: f64 = 0.5;
/// A probability this near to the wanted one stays.
const TOLERANCE: f64 = 0.1;
/// How much a probability may grow from window to window.
const GROWTH_MAX: f64 = 2.0;
/// How much it may fall.
const FALL_MAX: f64 = 10.0;
/// An operation without a root for so many windows is forgotten.
const IDLE_WINDOWS_MAX: u32 = 60;

/// One operation.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    /// Roots in this window, and their weights.
    roots: u64,
    weights: f64,
    /// Estimated roots a second before sampling, smoothed; `None` in the first window.
    pub(super) rate: Option<f64>,
    /// What its service is told.
    pub(super) probability: f64,
    /// Windows until the last change is followed everywhere.
    settling: u32,
    idle: u32,
}

/// The operations of one service.
#[derive(Debug, Default)]
pub(super) struct Service {
    pub(super) operations: HashMap<Arc<str>, Operation>,
    asked: Option<i64>,
}

/// All operations with a target.
#[derive(Debug, Default)]
pub(super) struct Operations {
    pub(super) services: HashMap<Arc<str>, Service>,
    count: usize,
    /// Roots of operations that found no place.
    pub(super) left_out: u64,
    window_start: Option<i64>,
}

impl Operations {
    /// Operations remembered.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Adds roots of one operation that together stand for `weights`.
    pub(super) fn add(&mut self, config: &Config, key: (&str, &str), roots: u64, weights: f64) {
        let (service, name) = key;
        if !matches!(goal(config, service, name), Some(Goal::TracesPerSecond(_))) {
            return;
        }
        match self.find(key) {
            Some(operation) => {
                operation.roots += roots;
                operation.weights += weights;
            }
            None => {
                let probability = super::rule::rate_of_unknown(config, service);
                let (rate, settling, idle) = (None, 0, 0);
                let new = Operation { roots, weights, rate, probability, settling, idle };
                if !self.insert(key, new) {
                    self.left_out += roots;
                }
            }
        }
    }

    /// Puts back what was known before a restart.
    pub(super) fn restore(&mut self, key: (&str, &str), rate: f64, probability: f64) {
        let (rate, settling, idle) = (Some(rate), 0, 0);
        self.insert(key, Operation { roots: 0, weights: 0.0, rate, probability, settling, idle });
    }

    /// Notes that `service` asked for its strategy.
    pub(super) fn asked(&mut self, service: &str, now: i64) {
        if let Some(service) = self.services.get_mut(service) {
            service.asked = Some(now);
        }
    }

    fn find(&mut self, (service, name): (&str, &str)) -> Option<&mut Operation> {
        self.services.get_mut(service)?.operations.get_mut(name)
    }

    /// False where there is no room.
    fn insert(&mut self, (service, name): (&str, &str), operation: Operation) -> bool {
        let of_service = self.services.get(service).map_or(0, |known| known.operations.len());
        if self.count >= OPERATIONS_MAX
            || of_service >= OPERATIONS_OF_SERVICE_MAX
            || service.len() + name.len() > NAME_BYTES_MAX
        {
            return false;
        }
        let operations = &mut self.services.entry(service.into()).or_default().operations;
        if operations.insert(name.into(), operation).is_none() {
            self.count += 1;
        }
        true
    }

    /// Ends the window, if it is over: every operation gets its probability for the next one.
    pub(super) fn tick(&mut self, config: &Config, now: i64) {
        let start = *self.window_start.get_or_insert(now);
        let elapsed = Duration::from_nanos(u64::try_from(now - start).unwrap_or(0));
        if elapsed.is_zero() || elapsed < config.interval {
            return;
        }
        self.window_start = Some(now);
        for (service, known) in &mut self.services {
            let follows = known.asked.is_some_and(|asked| now - asked <= nanos(FOLLOWS));
            for (name, operation) in &mut known.operations {
                if let Some(Goal::TracesPerSecond(target)) = goal(config, service, name) {
                    operation.end_window(config, (elapsed, target), follows);
                }
            }
        }
        self.forget();
    }

    /// Forgets what is idle, and where all places are taken the tenth that is used least.
    fn forget(&mut self) {
        for service in self.services.values_mut() {
            service.operations.retain(|_, operation| operation.idle < IDLE_WINDOWS_MAX);
        }
        let full: Vec<Arc<str>> = self
            .services
            .iter()
            .filter(|(_, service)| service.operations.len() >= OPERATIONS_OF_SERVICE_MAX)
            .map(|(name, _)| Arc::clone(name))
            .collect();
        for service in full {
            self.forget_tenth(|other| *other == *service);
        }
        self.recount();
        if self.count >= OPERATIONS_MAX {
            self.forget_tenth(|_| true);
            self.recount();
        }
    }

    /// Of the operations of the services that `of` names.
    fn forget_tenth(&mut self, of: impl Fn(&str) -> bool) {
        let mut all: Vec<(f64, Arc<str>, Arc<str>)> = Vec::new();
        for (service, known) in self.services.iter().filter(|(service, _)| of(service)) {
            let names = known.operations.iter().map(|(name, operation)| {
                (operation.rate.unwrap_or(0.0), Arc::clone(service), Arc::clone(name))
            });
            all.extend(names);
        }
        all.sort_unstable_by(|a, b| {
            a.0.total_cmp(&b.0).then_with(|| (&a.1, &a.2).cmp(&(&b.1, &b.2)))
        });
        for (_, service, name) in all.iter().take(all.len().div_ceil(10)) {
            if let Some(service) = self.services.get_mut(service) {
                service.operations.remove(name);
            }
        }
    }

    fn recount(&mut self) {
        self.services.retain(|_, service| !service.operations.is_empty());
        self.count = self.services.values().map(|service| service.operations.len()).sum();
    }
}

impl Operation {
    fn end_window(&mut self, config: &Config, (elapsed, target): (Duration, f64), follows: bool) {
        let (roots, weights) = (std::mem::take(&mut self.roots), std::mem::take(&mut self.weights));
        self.idle = if roots == 0 { self.idle + 1 } else { 0 };
        #[expect(clippy::cast_precision_loss, reason = "counts of a window are far below 2^53")]
        let roots = roots as f64;
        let unweighted = weights <= roots && follows && self.probability < 1.0;
        if self.settling > 0 {
            self.settling -= 1;
            if unweighted {
                return;
            }
        }
        let before = if unweighted { roots / self.probability } else { weights };
        let seen = before / elapsed.as_secs_f64();
        let known = self.rate;
        let rate = known.map_or(seen, |rate| rate + SMOOTHING * (seen - rate));
        self.rate = Some(rate);
        let wanted = if rate > 0.0 { target / rate } else { 1.0 };
        let wanted = wanted.clamp(config.rate_min, 1.0);
        if (wanted / self.probability - 1.0).abs() <= TOLERANCE {
            return;
        }
        // Nobody was told anything about a new operation, so there is nothing to move away from.
        self.probability = match known {
            Some(_) => wanted.clamp(self.probability / FALL_MAX, self.probability * GROWTH_MAX),
            None => wanted,
        };
        let windows = SETTLED.as_nanos().div_ceil(config.interval.as_nanos().max(1));
        self.settling = u32::try_from(windows).unwrap_or(u32::MAX);
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
