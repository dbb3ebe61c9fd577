//! Rules: what services are told to keep, by service and operation.

/// What a rule wants of the roots that it fits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// This share of them, from 0 (none) to 1 (all).
    Rate(f64),
    /// About so many of each operation a second; the share follows the traffic.
    TracesPerSecond(f64),
}

/// One rule; of several that fit, the first counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Service of the root; `None`: of any.
    pub service: Option<String>,
    /// Operation of the root; `None`: any.
    pub name: Option<String>,
    /// What is wanted.
    pub goal: Goal,
}

impl Rule {
    fn fits_service(&self, service: &str) -> bool {
        self.service.as_deref().is_none_or(|own| own == service)
    }

    fn fits(&self, service: &str, name: &str) -> bool {
        self.fits_service(service) && self.name.as_deref().is_none_or(|own| own == name)
    }
}

/// The goal for one operation, where a rule or the target of all says one.
pub(super) fn goal(config: &super::Config, service: &str, name: &str) -> Option<Goal> {
    config.rules.iter().find(|rule| rule.fits(service, name)).map(|rule| rule.goal).or_else(|| {
        let target = config.target_traces_per_second;
        (target > 0.0).then_some(Goal::TracesPerSecond(target))
    })
}

/// The share of operations of `service` of which nothing is known.
pub(super) fn rate_of_unknown(config: &super::Config, service: &str) -> f64 {
    let whole = |rule: &&Rule| rule.name.is_none() && rule.fits_service(service);
    match config.rules.iter().find(whole).map(|rule| rule.goal) {
        Some(Goal::Rate(rate)) => rate,
        Some(Goal::TracesPerSecond(_)) | None => config.source_rate,
    }
}

/// Operations of `service` that rules name, with a fixed rate.
pub(super) fn fixed<'c>(
    config: &'c super::Config,
    service: &str,
) -> impl Iterator<Item = (&'c str, f64)> {
    let named = config.rules.iter().filter(move |rule| rule.fits_service(service));
    let names: Vec<&str> = named.filter_map(|rule| rule.name.as_deref()).collect();
    names.into_iter().filter_map(move |name| match goal(config, service, name) {
        Some(Goal::Rate(rate)) => Some((name, rate)),
        Some(Goal::TracesPerSecond(_)) | None => None,
    })
}
