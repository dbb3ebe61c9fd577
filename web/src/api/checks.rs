//! `POST /api/v1/checks`: what has to be true of every trace -> one row a check. The language: docs/checks.md.
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use query::{Check, Expect, Place};
use serde::Deserialize;
use storage::TimeRange;

use super::answer::respond;
use super::parameters::Parameters;
use super::{Web, read_json};
use crate::routes::Parameter;
use crate::{Error, Result};

/// What the route takes.
pub(crate) const PARAMETERS: &[Parameter] = &[crate::routes::FROM, crate::routes::TO];

/// A body.
pub(crate) const EXAMPLE: &str = "{\"check\": [{\"name\": \"a hit needs no database\", \
    \"when\": \"attributes['cache.hit'] = true\", \"below\": \"attributes['db.system.name'] IS NOT NULL\", \
    \"at_most\": 0}]}";

/// A file of checks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    check: Vec<Entry>,
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
    fn check(self) -> Result<Check> {
        let places = [
            (Place::Below, self.below),
            (Place::Children, self.children),
            (Place::Above, self.above),
            (Place::Trace, self.trace),
        ];
        let mut given = places.into_iter().filter_map(|(place, text)| Some((place, text?)));
        let invalid = |words: &str| Error::Invalid(format!("check {:?}: {words}", self.name));
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

/// Tests the checks of the body.
pub(crate) async fn check(
    State(shared): Web,
    parameters: Parameters,
    body: Body,
) -> Result<Response> {
    parameters.format()?;
    let now = shared.web.clock.now_unix_nano();
    let range = TimeRange {
        from: parameters.time("from", now)?.unwrap_or(i64::MIN),
        until: parameters.time("to", now)?.unwrap_or(i64::MAX),
    };
    let file: File = read_json(body).await?;
    let checks = file.check.into_iter().map(Entry::check).collect::<Result<Vec<_>>>()?;
    respond(&parameters, shared.web.engine.check(checks, range).await?).await
}

#[cfg(test)]
mod tests;
