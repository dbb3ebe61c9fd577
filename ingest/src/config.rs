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
    /// Of these, what one tenant may have; a tenant's only request is not bound by it. Default 64 MiB.
    pub tenant_in_flight_bytes_max: usize,
    /// A request waits this long, unread, for room among the bytes being handled; then it is refused. Default 3
    /// seconds: what senders allow for a request is 5 and more.
    pub wait_max: Duration,
    /// Spans that the tenant may store in a second, over time (`None`: as many as the machine takes). Default `None`.
    pub spans_per_second_max: Option<u64>,
    /// Bytes of bodies, decompressed, that the tenant may send in a second, over time. Default `None`.
    pub bytes_per_second_max: Option<u64>,
    /// A tenant that was quiet may be ahead of its rates by what they let in during this. Default 2 seconds.
    pub rate_burst: Duration,
    /// Size of the tenant's files at which further spans are refused. Default `None`: no limit.
    pub table_bytes_max: Option<u64>,
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
            tenant_in_flight_bytes_max: 64 << 20,
            wait_max: Duration::from_secs(3),
            spans_per_second_max: None,
            bytes_per_second_max: None,
            rate_burst: Duration::from_secs(2),
            table_bytes_max: None,
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
