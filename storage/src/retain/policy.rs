//! The policy in force: how long a class of traces stays, and which rule puts a trace into which class.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Ttl;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::snapshot::DataFile;

/// The class of traces that no rule matches.
pub const DEFAULT_CLASS: &str = "default";
/// The class of copies that outlive their partition: pinned traces, the latest of their operation.
pub const KEPT_CLASS: &str = "kept";
/// Rules of one policy at most: each is tried on every span.
const RULES_MAX: usize = 100;
const CLASS_BYTES_MAX: usize = 32;

/// Puts traces into a class. All conditions that are given must hold on one span of the trace; of several rules the
/// first one that any span of the trace matches counts. Stored as JSON in the table's properties.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The class: `[a-z0-9_-]`, at most 32 characters.
    pub class: String,
    /// How long the class stays, in seconds; `None` for ever.
    pub ttl_seconds: Option<u64>,
    /// How long what they add up to stays, in seconds, where that is longer; `None` for [`Policy::rollups`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollups_seconds: Option<u64>,
    /// Service, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Operation; a prefix where it ends in `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only spans with (true) or without (false) the status ERROR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<bool>,
    /// Only spans without a parent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub root: bool,
    /// Only spans that take longer than this, in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slower_than_nano: Option<i64>,
    /// Span attributes and the values that they must have, numbers and truths as JSON writes them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Resource attributes likewise.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resource: BTreeMap<String, String>,
}

impl Rule {
    /// How long the class stays; `None` for ever.
    pub fn ttl(&self) -> Option<Duration> {
        self.ttl_seconds.map(Duration::from_secs)
    }

    /// Whether these rules may stand together.
    ///
    /// # Errors
    /// [`Error::Invalid`] says which rule is wrong, and how.
    pub fn check_all(rules: &[Self]) -> Result<()> {
        let wrong =
            |number: usize, words: String| Err(Error::Invalid(format!("rule {number}: {words}")));
        if rules.len() > RULES_MAX {
            return Err(Error::Invalid(format!("at most {RULES_MAX} rules, not {}", rules.len())));
        }
        for (number, rule) in (1..).zip(rules) {
            let class = rule.class.as_str();
            let plain = |byte: u8| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte)
            };
            if class.is_empty() || class.len() > CLASS_BYTES_MAX || !class.bytes().all(plain) {
                let words =
                    format!("class {class:?} must be 1 to {CLASS_BYTES_MAX} of a-z, 0-9, _ and -");
                return wrong(number, words);
            }
            if class == DEFAULT_CLASS || class == KEPT_CLASS {
                return wrong(
                    number,
                    format!("the class {class} is Spanlake's own; choose another name"),
                );
            }
            let other = rules[..number - 1].iter().find(|other| other.class == class);
            if other.is_some_and(|other| {
                (other.ttl_seconds, other.rollups_seconds)
                    != (rule.ttl_seconds, rule.rollups_seconds)
            }) {
                return wrong(
                    number,
                    format!(
                        "the class {class} has another ttl, or another one of rollups, in a rule before"
                    ),
                );
            }
        }
        Ok(())
    }
}

/// How long something stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// As long after the end of its date.
    For(Duration),
    /// By a rule, for ever.
    Forever,
    /// No rule names its class any more: it stays until one does, because a slip must not delete.
    Unnamed,
}

impl Lifetime {
    fn of(ttl: Option<Duration>) -> Self {
        ttl.map_or(Self::Forever, Self::For)
    }
}

/// Everything that decides what leaves the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Lifetime of the class [`DEFAULT_CLASS`].
    pub ttl: Ttl,
    /// In the order in which they are tried.
    pub rules: Arc<[Rule]>,
    /// Size of all files beyond which the oldest go; `None` = no limit.
    pub max_bytes: Option<u64>,
    /// The latest traces of each root operation that no drop removes; 0 = none.
    pub keep_latest: u64,
    /// How long what spans add up to stays, where no rule says; `None` = as long as they.
    pub rollups: Option<Duration>,
    /// True where a command set rules, size or number of the latest for this table.
    pub by_command: bool,
    /// A setting in the table could not be read: nothing goes by itself.
    pub unreadable: bool,
    /// Nothing goes by itself while this process has the table open.
    pub(crate) hold: bool,
}

impl Policy {
    /// The configured policy.
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            ttl: Ttl { duration: config.ttl, by_command: false },
            rules: config.rules.clone().into(),
            max_bytes: config.table_bytes_max,
            keep_latest: config.keep_latest,
            rollups: config.rollups_ttl,
            by_command: false,
            unreadable: false,
            hold: config.hold,
        }
    }

    /// This policy with `change` made.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the rules cannot stand together.
    pub fn with(&self, change: &PolicyChange) -> Result<Self> {
        let mut policy = self.clone();
        if let Some(duration) = change.ttl {
            policy.ttl = Ttl { duration, by_command: true };
        }
        if let Some(rules) = &change.rules {
            Rule::check_all(rules)?;
            policy.rules = rules.clone().into();
        }
        policy.max_bytes = change.max_bytes.unwrap_or(policy.max_bytes);
        policy.keep_latest = change.keep_latest.unwrap_or(policy.keep_latest);
        policy.rollups = change.rollups.unwrap_or(policy.rollups);
        Ok(policy)
    }

    /// How long a class stays.
    pub fn lifetime(&self, class: &str) -> Lifetime {
        if class == DEFAULT_CLASS {
            return Lifetime::of(self.ttl.duration);
        }
        if class == KEPT_CLASS {
            return Lifetime::Forever;
        }
        let rule = self.rules.iter().find(|rule| rule.class == class);
        rule.map_or(Lifetime::Unnamed, |rule| Lifetime::of(rule.ttl()))
    }

    /// How long what the spans of a class add up to stays after their date; `None` where it goes with them.
    pub fn rollups_of(&self, class: &str) -> Option<Duration> {
        let rule = self.rules.iter().find(|rule| rule.class == class);
        let seconds = rule.and_then(|rule| rule.rollups_seconds);
        seconds.map(Duration::from_secs).or(self.rollups)
    }

    /// How long a file stays. Where there are rules, another engine's file may hold spans of any class (it may have
    /// been made of ours): it stays as long as the longest.
    pub(crate) fn lifetime_of(&self, file: &DataFile) -> Lifetime {
        match &file.class {
            None if file.checksum.is_none() && !self.rules.is_empty() => {
                Lifetime::of(self.longest())
            }
            class => self.lifetime(class.as_deref().unwrap_or(DEFAULT_CLASS)),
        }
    }

    /// The longest that a span may stay; `None` for ever.
    pub fn longest(&self) -> Option<Duration> {
        let mut longest = self.ttl.duration?;
        for rule in self.rules.iter() {
            longest = longest.max(rule.ttl()?);
        }
        Some(longest)
    }
}

/// What a command changes; `None` leaves a part as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyChange {
    /// The default lifetime; `Some(None)` keeps everything.
    pub ttl: Option<Option<Duration>>,
    /// All rules.
    pub rules: Option<Vec<Rule>>,
    /// The size; `Some(None)` for no limit.
    pub max_bytes: Option<Option<u64>>,
    /// The number of the latest traces.
    pub keep_latest: Option<u64>,
    /// The lifetime of figures; `Some(None)`: as long as the spans.
    pub rollups: Option<Option<Duration>>,
}

#[cfg(test)]
mod tests;
