//! Checks as people write them: TOML for the command, JSON of the same shape for HTTP and SQL.
use serde::Deserialize;

use super::{Check, Expect, Place};

/// A file of checks as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckFile {
    check: Vec<Entry>,
}

impl CheckFile {
    /// Reads the JSON of a file.
    ///
    /// # Errors
    /// Words about what is wrong with it.
    pub(crate) fn parse(json: &str) -> Result<Self, String> {
        serde_json::from_str(json)
            .map_err(|error| format!("the checks are no JSON of checks: {error}"))
    }

    /// Its checks, in order.
    ///
    /// # Errors
    /// Words about the first that says nothing or too much.
    pub fn checks(self) -> Result<Vec<Check>, String> {
        self.check.into_iter().map(Entry::check).collect()
    }
}

/// One check as it is written: one of `below`, `children`, `above`, `trace`, `order`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    when: String,
    below: Option<String>,
    children: Option<String>,
    above: Option<String>,
    trace: Option<String>,
    order: Option<Vec<String>>,
    at_least: Option<i64>,
    at_most: Option<i64>,
}

impl Entry {
    fn check(self) -> Result<Check, String> {
        let places = [
            (Place::Below, self.below),
            (Place::Children, self.children),
            (Place::Above, self.above),
            (Place::Trace, self.trace),
        ];
        let mut given = places.into_iter().filter_map(|(place, text)| Some((place, text?)));
        let invalid = |words: &str| format!("check {:?}: {words}", self.name);
        let expect = match (given.next(), self.order) {
            (Some((place, condition)), None) => {
                // Without numbers: at least one; with an upper one only, none is fine.
                let at_least = self.at_least.unwrap_or(i64::from(self.at_most.is_none()));
                Expect::Count { place, condition, at_least, at_most: self.at_most }
            }
            (None, Some(order)) if order.len() >= 2 => {
                if self.at_least.or(self.at_most).is_some() {
                    return Err(invalid("order takes no numbers"));
                }
                Expect::Order(order)
            }
            (None, Some(_)) => return Err(invalid("order has two conditions or more")),
            _ => return Err(invalid("it needs one of below, children, above, trace, order")),
        };
        if given.next().is_some() {
            return Err(invalid(
                "it has several of below, children, above, trace; write several checks",
            ));
        }
        Ok(Check { name: self.name, when: self.when, expect })
    }
}

#[cfg(test)]
mod tests;
