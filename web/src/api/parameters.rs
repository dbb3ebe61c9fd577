//! The query string: known names only, each parsed once at the edge.
use std::time::Duration;

use axum::extract::{FromRequestParts, Query};
use axum::http::{header, request::Parts};

use crate::encode::{Format, Options};
use crate::routes::Route;
use crate::{Error, Result, safety};

/// The parameters of one request; every name is one that the route declares.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parameters {
    pairs: Vec<(String, String)>,
    accept: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let Query(pairs): Query<Vec<(String, String)>> = Query::from_request_parts(parts, state)
            .await
            .map_err(|error| Error::Invalid(format!("the query string is malformed: {error}")))?;
        if let Some(route) = parts.extensions.get::<&'static Route>() {
            known(&pairs, route)?;
        }
        let accept = parts.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        Ok(Self { pairs, accept: accept.unwrap_or_default().to_owned() })
    }
}

fn known(pairs: &[(String, String)], route: &Route) -> Result<()> {
    let names = || route.parameters().map(|parameter| parameter.name);
    for (name, _) in pairs {
        if !names().any(|known| known == name) {
            let list = names().collect::<Vec<_>>().join(", ");
            let list = if list.is_empty() { "none".to_owned() } else { list };
            return Err(Error::Invalid(format!(
                "there is no parameter {name:?} here; the parameters are: {list}"
            )));
        }
    }
    Ok(())
}

impl Parameters {
    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        let pairs = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Self { pairs: pairs.collect(), accept: String::new() }
    }

    /// The one value of `name`; an empty one counts as absent.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_some() {
            return Err(Error::Invalid(format!("the parameter {name} is given more than once")));
        }
        Ok(first)
    }

    /// All values of `name` that are not empty.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let pairs = self.pairs.iter().filter(|(key, value)| key == name && !value.is_empty());
        pairs.map(|(_, value)| value.as_str()).collect::<Vec<_>>().into_iter()
    }

    /// A whole number within `1..=max`, or `default`.
    pub(crate) fn count(&self, name: &str, default: usize, max: usize) -> Result<usize> {
        let Some(text) = self.one(name)? else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (1..=max).contains(number));
        number.ok_or_else(|| {
            Error::Invalid(format!("{name} is a whole number from 1 to {max}, not {text:?}"))
        })
    }

    /// `true` or `false`; absent means `false`.
    pub(crate) fn truth(&self, name: &str) -> Result<bool> {
        match self.one(name)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(Error::Invalid(format!("{name} is true or false, not {other:?}"))),
        }
    }

    /// A moment, Unix nanoseconds.
    pub(crate) fn time(&self, name: &str, now: i64) -> Result<Option<i64>> {
        self.one(name)?.map(|text| parse_time(name, text, now)).transpose()
    }

    /// A span of time in nanoseconds: `5ms`, `1.5s`, or a bare number of nanoseconds.
    pub(crate) fn duration(&self, name: &str) -> Result<Option<i64>> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let nanos = text.parse().ok().or_else(|| query::duration(text)).filter(|nanos| *nanos >= 0);
        nanos.map(Some).ok_or_else(|| {
            Error::Invalid(format!(
                "{name} is a duration such as 250us, 5ms, 1.5s or 2m (or nanoseconds), not {text:?}"
            ))
        })
    }

    /// The format asked for by `format=` or, without it, by `Accept`.
    pub(crate) fn format(&self) -> Result<Format> {
        match self.one("format")? {
            Some(name) => name.parse(),
            None => Ok(Format::from_accept(&self.accept)),
        }
    }

    /// How to write the answer.
    pub(crate) fn options(&self) -> Result<Options> {
        let formula_guard = match self.one("formula_guard")? {
            None | Some("on") => true,
            Some("off") => false,
            Some(other) => {
                return Err(Error::Invalid(format!("formula_guard is on or off, not {other:?}")));
            }
        };
        Ok(Options { formula_guard, request_id: safety::request_id() })
    }
}

/// Key and value of a parameter `attribute=k=v`.
pub(crate) fn key_and_value(pair: &str) -> Result<(&str, &str)> {
    pair.split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| Error::Invalid(format!("attribute has the form key=value, not {pair:?}")))
}

/// As the views read it: `now`, `-1h30m`, RFC 3339, a date, or a Unix number. A '+' in a query string arrives as a space.
fn parse_time(name: &str, text: &str, now: i64) -> Result<i64> {
    let read = query::moment(text, now)
        .or_else(|error| query::moment(&text.replace(' ', "+"), now).map_err(|_| error));
    read.map_err(|error| Error::Invalid(format!("{name}: {error}")))
}

/// A duration such as `7d`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let nanos = u64::try_from(query::duration(text)?).ok()?;
    (nanos > 0).then(|| Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests;
