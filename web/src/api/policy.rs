//! What leaves the table, as JSON: durations as people write them.
use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use storage::retain::{Policy, PolicyChange, Rule};

use super::parameters::{Parameters, parse_duration};
use crate::{Error, Result};

/// A retention rule as it is written in requests, answers and the configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleText {
    class: String,
    /// `30d`, or `never`.
    ttl: String,
    /// `400d`: so long what its spans add up to stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rollups: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<bool>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    root: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slower_than: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    resource: BTreeMap<String, String>,
}

impl RuleText {
    /// The rule.
    ///
    /// # Errors
    /// A duration is none.
    pub fn into_rule(self) -> Result<Rule> {
        let slower_than_nano = self.slower_than.as_deref().map(|text| {
            query::duration(text).filter(|nanos| *nanos >= 0).ok_or_else(|| {
                Error::Invalid(format!("slower_than is a duration such as 500ms, not {text:?}"))
            })
        });
        let rollups = self.rollups.as_deref().map(read_rollups).transpose()?;
        Ok(Rule {
            class: self.class,
            ttl_seconds: read_ttl(&self.ttl)?.map(|ttl| ttl.as_secs()),
            rollups_seconds: rollups.map(|ttl| ttl.as_secs()),
            service: self.service,
            name: self.name,
            error: self.error,
            root: self.root,
            slower_than_nano: slower_than_nano.transpose()?,
            attributes: self.attributes,
            resource: self.resource,
        })
    }
}

impl From<&Rule> for RuleText {
    fn from(rule: &Rule) -> Self {
        let nanos = |nanos: i64| Duration::from_nanos(u64::try_from(nanos).unwrap_or(0));
        Self {
            class: rule.class.clone(),
            ttl: rule.ttl().map_or_else(|| "never".to_owned(), print_duration),
            rollups: rule.rollups_seconds.map(Duration::from_secs).map(print_duration),
            service: rule.service.clone(),
            name: rule.name.clone(),
            error: rule.error,
            root: rule.root,
            slower_than: rule.slower_than_nano.map(|slower| print_duration(nanos(slower))),
            attributes: rule.attributes.clone(),
            resource: rule.resource.clone(),
        }
    }
}

/// The policy in force.
#[derive(Debug, Serialize)]
pub(crate) struct PolicyText {
    ttl: Option<String>,
    ttl_seconds: Option<u64>,
    by_command: bool,
    rules: Vec<RuleText>,
    max_bytes: Option<u64>,
    keep_latest: u64,
    rollups: Option<String>,
    rules_by_command: bool,
}

impl From<&Policy> for PolicyText {
    fn from(policy: &Policy) -> Self {
        Self {
            ttl: policy.ttl.duration.map(print_duration),
            ttl_seconds: policy.ttl.duration.map(|duration| duration.as_secs()),
            by_command: policy.ttl.by_command,
            rules: policy.rules.iter().map(RuleText::from).collect(),
            max_bytes: policy.max_bytes,
            keep_latest: policy.keep_latest,
            rollups: policy.rollups.map(print_duration),
            rules_by_command: policy.by_command,
        }
    }
}

/// What a request changes; a field that is absent stays as it is, `null` means without limit.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeText {
    #[serde(default, deserialize_with = "given")]
    ttl: Option<Option<String>>,
    rules: Option<Vec<RuleText>>,
    #[serde(default, deserialize_with = "given")]
    max_bytes: Option<Option<u64>>,
    keep_latest: Option<u64>,
    #[serde(default, deserialize_with = "given")]
    rollups: Option<Option<String>>,
}

/// A field that is there, `null` or not: left out, it is not even asked for.
fn given<'a, D: serde::Deserializer<'a>, T: Deserialize<'a>>(
    value: D,
) -> std::result::Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

impl ChangeText {
    /// The change.
    pub(crate) fn read(self) -> Result<PolicyChange> {
        let ttl = self.ttl.map(|ttl| ttl.as_deref().map_or(Ok(None), read_ttl)).transpose()?;
        let rules = self.rules.map(|rules| rules.into_iter().map(RuleText::into_rule).collect());
        let rules: Option<Vec<Rule>> = rules.transpose()?;
        let rollups = self.rollups.map(|ttl| ttl.as_deref().map(read_rollups).transpose());
        let (max_bytes, keep_latest) = (self.max_bytes, self.keep_latest);
        let rollups = rollups.transpose()?;
        let change = PolicyChange { ttl, rules, max_bytes, keep_latest, rollups };
        if change == PolicyChange::default() {
            return Err(Error::Invalid(
                "say at least one of ttl, rules, max_bytes, keep_latest and rollups".to_owned(),
            ));
        }
        Ok(change)
    }

    /// As query parameters have it; nothing where they are absent.
    pub(crate) fn of(parameters: &Parameters) -> Result<PolicyChange> {
        let ttl = parameters.one("ttl")?.map(read_ttl).transpose()?;
        Ok(PolicyChange { ttl, ..PolicyChange::default() })
    }
}

/// A duration of seconds at least, or `never`.
fn read_ttl(text: &str) -> Result<Option<Duration>> {
    if text == "never" {
        return Ok(None);
    }
    let duration = parse_duration(text).filter(|duration| duration.as_secs() > 0);
    duration.map(Some).ok_or_else(|| {
        Error::Invalid(format!("a ttl is a duration such as 36h, 7d or 4w, or never, not {text:?}"))
    })
}

/// How long figures stay: a duration of seconds at least.
fn read_rollups(text: &str) -> Result<Duration> {
    let duration = parse_duration(text).filter(|duration| duration.as_secs() > 0);
    duration.ok_or_else(|| {
        Error::Invalid(format!("rollups stay for a duration such as 90d or 400d, not {text:?}"))
    })
}

/// `7d`, `36h`, `250ms`: the largest unit that divides it.
fn print_duration(duration: Duration) -> String {
    const UNITS: [(u128, &str); 6] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
    ];
    let nanos = duration.as_nanos();
    match UNITS.iter().find(|(unit, _)| nanos > 0 && nanos.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", nanos / unit),
        None => format!("{nanos}ns"),
    }
}

#[cfg(test)]
mod tests;
