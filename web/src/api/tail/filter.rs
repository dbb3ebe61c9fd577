//! Which spans a reader wants, and how many a second. Readers that want the same share all work.
use storage::schema::{AttributeColumns, AttributeScope};

use crate::api::parameters::{Parameters, key_and_value};
use crate::api::{literal, traces};
use crate::routes::Parameter;
use crate::{Error, Result};

const RATE_DEFAULT: usize = 1_000;
const RATE_MAX: usize = 100_000;

pub(crate) const PARAMETERS: &[Parameter] = &[
    Parameter { name: "service", help: "spans of this service" },
    Parameter { name: "name", help: "spans of this name" },
    Parameter { name: "kind", help: "server, client, producer, consumer, internal or unspecified" },
    Parameter { name: "status", help: "error, ok or unset" },
    Parameter {
        name: "attribute",
        help: "k=v: spans with this attribute and value; may be given several times",
    },
    Parameter { name: "min_duration", help: "of the span: 5ms, 1.5s, or nanoseconds" },
    Parameter { name: "max_duration", help: "likewise, inclusive" },
    Parameter { name: "root", help: "true: only spans without a parent" },
    Parameter {
        name: "limit",
        help: "spans a second at most: 1 to 100000, 1000 by default; the event `skipped` counts the others",
    },
];

/// What a reader wants; equal ones are one piece of work.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Filter {
    pub(super) service: Option<String>,
    pub(super) name: Option<String>,
    /// As stored, in capitals.
    pub(super) kind: Option<String>,
    /// As stored, in capitals.
    pub(super) status: Option<String>,
    pub(super) duration_min: Option<i64>,
    pub(super) duration_max: Option<i64>,
    pub(super) is_root: bool,
    /// Key and value, sorted.
    pub(super) attributes: Vec<(String, String)>,
    /// Spans a second.
    pub(super) rate: usize,
}

impl Filter {
    /// Spans a second, as a number to reckon with.
    #[expect(clippy::cast_precision_loss, reason = "100,000 at most")]
    pub(super) fn rate_max(&self) -> f64 {
        self.rate as f64
    }

    /// The same as a condition of SQL.
    ///
    /// # Errors
    /// An attribute cannot be written: a mistake of ours, because it was parsed.
    pub(super) fn condition(&self, columns: &AttributeColumns) -> Result<String> {
        let texts = [
            ("service", &self.service),
            ("name", &self.name),
            ("kind", &self.kind),
            ("status", &self.status),
        ];
        let equal = |(column, text): (&str, &Option<String>)| {
            text.as_ref().map(|text| format!("{column} = {}", literal::text(text)))
        };
        let mut all: Vec<String> = texts.into_iter().filter_map(equal).collect();
        all.extend(self.duration_min.map(|nanos| format!("duration_nano >= {nanos}")));
        all.extend(self.duration_max.map(|nanos| format!("duration_nano <= {nanos}")));
        if self.is_root {
            all.push("parent_span_id IS NULL".to_owned());
        }
        for (key, value) in &self.attributes {
            let pair = format!("{key}={value}");
            all.push(traces::attribute(&pair, AttributeScope::Span, columns)?);
        }
        Ok(if all.is_empty() { "true".to_owned() } else { all.join(" AND ") })
    }

    pub(super) fn parse(parameters: &Parameters) -> Result<Self> {
        let text = |name| parameters.one(name).map(|value| value.map(str::to_owned));
        let kinds = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
        let mut attributes: Vec<_> =
            parameters.all("attribute").map(attribute).collect::<Result<_>>()?;
        attributes.sort();
        attributes.dedup();
        Ok(Self {
            service: text("service")?,
            name: text("name")?,
            kind: word(parameters, "kind", &kinds)?,
            status: word(parameters, "status", &["UNSET", "OK", "ERROR"])?,
            duration_min: parameters.duration("min_duration")?,
            duration_max: parameters.duration("max_duration")?,
            is_root: word(parameters, "root", &["TRUE", "FALSE"])?.as_deref() == Some("TRUE"),
            attributes,
            rate: parameters.count("limit", RATE_DEFAULT, RATE_MAX)?,
        })
    }
}

/// One of a few words, in capitals.
fn word(parameters: &Parameters, name: &str, words: &[&str]) -> Result<Option<String>> {
    let Some(text) = parameters.one(name)? else { return Ok(None) };
    let capitals = text.to_ascii_uppercase();
    if words.contains(&capitals.as_str()) {
        return Ok(Some(capitals));
    }
    let words = words.join(", ").to_ascii_lowercase();
    Err(Error::Invalid(format!("{name} is one of {words}, not {text:?}")))
}

fn attribute(pair: &str) -> Result<(String, String)> {
    let (key, value) = key_and_value(pair)?;
    Ok((key.to_owned(), value.to_owned()))
}
