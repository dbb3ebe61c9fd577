//! Limits at the doors. Read from flags, environment and TOML by `server::config` only.
use std::time::Duration;

/// Limits at the doors; every one has a metric that counts what it refused.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whose spans these doors take: a label of metrics. Default `default`.
    pub tenant: String,
    /// OTLP body, decompressed. Default 64 MiB.
    pub otlp_body_bytes_max: usize,
    /// Zipkin body, decompressed. Default 8 MiB.
    pub zipkin_body_bytes_max: usize,
    /// A body may grow by this factor when decompressed. Default 200.
    pub expansion_max: usize,
    /// Bytes of bodies being handled at once, decompressed. Default 256 MiB.
    pub in_flight_bytes_max: usize,
    /// Spans which start before now minus this are refused (`None`: any age is taken). Default 7 days.
    pub age_max: Option<Duration>,
    /// Spans which start after now plus this are refused. Default 24 hours.
    pub future_max: Duration,
    /// Attributes a span, event, link or resource may have. Default 1,000.
    pub attributes_max: usize,
    /// Attribute value text in bytes; longer ones are cut and marked. Default 64 KiB.
    pub value_bytes_max: usize,
    /// All attributes, events and links of a span, in bytes; and those of a resource or scope. Default 1 MiB.
    pub span_bytes_max: usize,
    /// Attribute key in bytes; attributes with longer ones are left out. Default 1 KiB.
    pub key_bytes_max: usize,
    /// Name of a span, event or scope in bytes; longer ones are cut and marked. Default 4 KiB.
    pub name_bytes_max: usize,
    /// Events (and, separately, links) a span may have. Default 1,000.
    pub events_max: usize,
    /// Nesting of attribute values. Default 32.
    pub depth_max: usize,
    /// Which share of the spans is kept. Default all.
    pub sampling: crate::sample::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tenant: "default".to_owned(),
            otlp_body_bytes_max: 64 << 20,
            zipkin_body_bytes_max: 8 << 20,
            expansion_max: 200,
            in_flight_bytes_max: 256 << 20,
            age_max: Some(Duration::from_secs(7 * 86_400)),
            future_max: Duration::from_secs(86_400),
            attributes_max: 1_000,
            value_bytes_max: 64 << 10,
            span_bytes_max: 1 << 20,
            key_bytes_max: 1 << 10,
            name_bytes_max: 4 << 10,
            events_max: 1_000,
            depth_max: 32,
            sampling: crate::sample::Config::default(),
        }
    }
}
