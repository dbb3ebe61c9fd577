//! Examples of requests and their answers, which a test asks a running server one after the other.
use serde::{Deserialize, Serialize};
use serde_json::Value;

const EXAMPLES: &str = include_str!("examples.json");

/// A request as an operation's example.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Example {
    /// Method and path of the route.
    pub(crate) operation: String,
    /// Path and query string.
    pub(crate) request: String,
    /// What is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<Value>,
    /// Another server, or another version, answers with other figures, but with the same fields.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) figures_vary: bool,
    /// What comes: text, or JSON.
    #[serde(default)]
    pub(crate) answer: Value,
}

/// All of them, in an order in which one server can be asked.
pub(crate) fn all() -> Vec<Example> {
    // A test reads them, too.
    serde_json::from_str(EXAMPLES).unwrap_or_default()
}
