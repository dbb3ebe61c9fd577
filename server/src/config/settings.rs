//! Every setting there is: key, meaning, and the field it fills. One table serves the TOML file, the
//! environment (`SPANLAKE_` + key in capitals, `.` as `_`), `--set`, and `--print-config`.
use super::Config;
use super::value::Value;

/// One setting.
pub(crate) struct Setting {
    /// `section.name`, or a bare name on top.
    pub key: &'static str,
    /// What it does, one sentence.
    pub about: &'static str,
    /// The field.
    pub field: fn(&mut Config) -> &mut dyn Value,
}

impl Setting {
    /// The environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("SPANLAKE_{}", self.key.replace('.', "_").to_uppercase())
    }
}

/// Finds a setting.
///
/// # Errors
/// There is none of that name; the message names the nearest.
pub(crate) fn find(key: &str) -> Result<&'static Setting, String> {
    SETTINGS.iter().find(|setting| setting.key == key).ok_or_else(|| {
        let nearest = nearest(key, SETTINGS.iter().map(|setting| setting.key));
        format!("unknown setting {key:?}; did you mean {nearest:?}?")
    })
}

/// The setting of an environment variable, `None` where it is none of ours.
///
/// # Errors
/// It is no setting, but so near to one that it must be a slip.
pub(crate) fn of_variable(name: &str) -> Result<Option<&'static Setting>, String> {
    /// Read by clients, not settings.
    const OTHERS: [&str; 3] = ["SPANLAKE_CONFIG", "SPANLAKE_SERVER", "SPANLAKE_TOKEN"];
    if !name.starts_with("SPANLAKE_") || OTHERS.contains(&name) {
        return Ok(None);
    }
    let variables: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
    if let Some(index) = variables.iter().position(|variable| variable == name) {
        return Ok(Some(&SETTINGS[index]));
    }
    let nearest = nearest(name, variables.iter().map(String::as_str));
    if edit_distance(name, nearest) > 2 {
        return Ok(None);
    }
    Err(format!("unknown environment variable {name}; did you mean {nearest}?"))
}

/// The candidate with the smallest edit distance to `name`.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> &'a str {
    candidates.min_by_key(|candidate| edit_distance(name, candidate)).unwrap_or_default()
}

fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

const fn setting(
    key: &'static str,
    about: &'static str,
    field: fn(&mut Config) -> &mut dyn Value,
) -> Setting {
    Setting { key, about, field }
}

/// All settings; those without a section first, then section by section.
pub(crate) const SETTINGS: &[Setting] = &[
    setting("data", "Where the tables lie: a folder, or s3://, gs://, az:// with a prefix.", |c| {
        &mut c.data
    }),
    setting("wal", "Local folder of the write-ahead log; used where the table is remote.", |c| {
        &mut c.wal
    }),
    setting("ttl", "Partitions older than this leave the table; never keeps everything.", |c| {
        &mut c.storage.ttl
    }),
    setting("insecure", "Allow addresses that other machines reach, without TLS.", |c| {
        &mut c.insecure
    }),
    setting("log", "What is logged: error, warn, info, debug, or a tracing filter.", |c| {
        &mut c.log
    }),
    setting("log_format", "text or json.", |c| &mut c.log_format),
    setting("listen.grpc", "OTLP over gRPC; off closes the door.", |c| &mut c.listen.grpc),
    setting("listen.http", "OTLP over HTTP: POST /v1/traces.", |c| &mut c.listen.http),
    setting("listen.zipkin", "Zipkin v2: POST /api/v2/spans.", |c| &mut c.listen.zipkin),
    setting("listen.ui", "Page and HTTP API.", |c| &mut c.listen.ui),
    setting("listen.sampling", "Jaeger's remote sampling: GET /sampling?service=NAME.", |c| {
        &mut c.listen.sampling
    }),
    setting(
        "listen.postgres",
        "PostgreSQL's wire protocol, read-only; off, or e.g. 127.0.0.1:5432.",
        |c| &mut c.listen.postgres,
    ),
    setting("listen.flight", "Arrow Flight SQL, read-only; off, or e.g. 127.0.0.1:31337.", |c| {
        &mut c.listen.flight
    }),
    setting("listen.hosts", "Names that the page is called by, with commas.", |c| &mut c.hosts),
    setting("http.header_time_max", "A request's header must arrive within this.", |c| {
        &mut c.http.header_time_max
    }),
    setting("http.body_idle_max", "Longest pause inside a request's body.", |c| {
        &mut c.http.body_idle_max
    }),
    setting("http.request_time_max", "A request must be answered within this.", |c| {
        &mut c.http.request_time_max
    }),
    setting("http.keep_alive", "An idle connection is closed after this.", |c| {
        &mut c.http.keep_alive
    }),
    setting("http.connection_age_max", "A connection is renewed after this.", |c| {
        &mut c.http.connection_age_max
    }),
    setting("http.connections_max", "Connections at once, all doors together.", |c| {
        &mut c.http.connections_max
    }),
    setting("http.connections_per_address_max", "Connections at once from one address.", |c| {
        &mut c.http.connections_per_address_max
    }),
    setting("http.header_bytes_max", "All headers of a request together.", |c| {
        &mut c.http.header_bytes_max
    }),
    setting("http.streams_max", "HTTP/2 streams at once on a connection.", |c| {
        &mut c.http.streams_max
    }),
    setting(
        "http.drain_time_max",
        "Requests in flight may finish for this long at the end.",
        |c| &mut c.http.drain_time_max,
    ),
    setting("ingest.otlp_body_bytes_max", "OTLP body, decompressed.", |c| {
        &mut c.ingest.otlp_body_bytes_max
    }),
    setting("ingest.zipkin_body_bytes_max", "Zipkin body, decompressed.", |c| {
        &mut c.ingest.zipkin_body_bytes_max
    }),
    setting("ingest.expansion_max", "A body may grow by this factor when decompressed.", |c| {
        &mut c.ingest.expansion_max
    }),
    setting("ingest.in_flight_bytes_max", "Bodies being handled at once, decompressed.", |c| {
        &mut c.ingest.in_flight_bytes_max
    }),
    setting("ingest.tenant_in_flight_bytes_max", "Of these, what one tenant may have.", |c| {
        &mut c.ingest.tenant_in_flight_bytes_max
    }),
    setting("ingest.wait_max", "A request waits this long for room among them.", |c| {
        &mut c.ingest.wait_max
    }),
    setting(
        "ingest.spans_per_second_max",
        "Spans of a tenant in a second, over time; or off.",
        |c| &mut c.ingest.spans_per_second_max,
    ),
    setting(
        "ingest.bytes_per_second_max",
        "Bytes of a tenant's bodies in a second; or off.",
        |c| &mut c.ingest.bytes_per_second_max,
    ),
    setting("ingest.rate_burst", "A tenant may be ahead of its rates by this time.", |c| {
        &mut c.ingest.rate_burst
    }),
    setting("ingest.table_bytes_max", "Size of a tenant's files that ends ingest; or off.", |c| {
        &mut c.ingest.table_bytes_max
    }),
    setting("ingest.future_max", "Spans that start later than now plus this are refused.", |c| {
        &mut c.ingest.future_max
    }),
    setting("ingest.attributes_max", "Attributes of a span, event, link or resource.", |c| {
        &mut c.ingest.attributes_max
    }),
    setting("ingest.value_bytes_max", "Text of an attribute; longer ones are cut.", |c| {
        &mut c.ingest.value_bytes_max
    }),
    setting("ingest.span_bytes_max", "Attributes, events and links of a span in all.", |c| {
        &mut c.ingest.span_bytes_max
    }),
    setting("ingest.key_bytes_max", "Key of an attribute; with longer ones it is left out.", |c| {
        &mut c.ingest.key_bytes_max
    }),
    setting("ingest.name_bytes_max", "Name of a span, event or scope; longer ones are cut.", |c| {
        &mut c.ingest.name_bytes_max
    }),
    setting("ingest.depth_max", "Nesting of attribute values; what is deeper is null.", |c| {
        &mut c.ingest.depth_max
    }),
    setting("ingest.events_max", "Events, and separately links, of a span.", |c| {
        &mut c.ingest.events_max
    }),
    setting("sampling.rate", "Share of all traces that the doors keep; 1 keeps everything.", |c| {
        &mut c.ingest.sampling.rate
    }),
    setting("sampling.source_rate", "Share that services which ask are told to keep.", |c| {
        &mut c.ingest.sampling.source_rate
    }),
    setting(
        "sampling.target_traces_per_second",
        "Traces a second of each operation that those shares aim at; 0 leaves them fixed.",
        |c| &mut c.ingest.sampling.target_traces_per_second,
    ),
    setting("sampling.rate_min", "The smallest share that a target leads to.", |c| {
        &mut c.ingest.sampling.rate_min
    }),
    setting(
        "sampling.lower_bound_traces_per_second",
        "With a target: what each process keeps of each operation in any case.",
        |c| &mut c.ingest.sampling.lower_bound_traces_per_second,
    ),
    setting("sampling.interval", "With a target: shares are computed anew after this.", |c| {
        &mut c.ingest.sampling.interval
    }),
    setting(
        "sampling.rule",
        "[[sampling.rule]] service, name, and rate or traces_per_second; the first that fits counts.",
        |c| &mut c.ingest.sampling.rules,
    ),
    setting("storage.durability", "fsync, or os: a power cut may lose the last seconds.", |c| {
        &mut c.durability
    }),
    setting("storage.group_commit_wait", "An append waits this long for company.", |c| {
        &mut c.storage.group_commit_wait
    }),
    setting("storage.flush_interval", "Spans are in a file after this at the latest.", |c| {
        &mut c.storage.flush_interval
    }),
    setting("storage.flush_bytes", "A flush starts when memory holds this many bytes.", |c| {
        &mut c.storage.flush_bytes
    }),
    setting("storage.hot_bytes_max", "Appends are refused while memory holds this many.", |c| {
        &mut c.storage.hot_bytes_max
    }),
    setting("storage.wal_bytes_max", "The log may occupy this much; then appends wait.", |c| {
        &mut c.storage.wal_bytes_max
    }),
    setting("storage.disk_free_bytes_min", "Appends are refused while less is free.", |c| {
        &mut c.storage.disk_free_bytes_min
    }),
    setting("storage.dedup_window", "A retried request is recognised for this long.", |c| {
        &mut c.storage.dedup_window
    }),
    setting("storage.rollup_cache_bytes", "Memory for the rollups of files.", |c| {
        &mut c.storage.rollup_cache_bytes
    }),
    setting("storage.range_cache_bytes", "Memory for parts of remote files; 0 for none.", |c| {
        &mut c.storage.range_cache_bytes
    }),
    setting("storage.compact", "Merge small files into larger ones in the background.", |c| {
        &mut c.storage.compact
    }),
    setting("storage.compact_interval", "How often small files to merge are looked for.", |c| {
        &mut c.storage.compact_interval
    }),
    setting("storage.upkeep_interval", "How often checkpoints and files to delete are due.", |c| {
        &mut c.storage.upkeep_interval
    }),
    setting("storage.delete_grace", "Files of dropped partitions are deleted after this.", |c| {
        &mut c.storage.delete_grace
    }),
    setting(
        "retention.rule",
        "[[retention.rule]] class, ttl, and service, name, error, root, slower_than, attributes, resource.",
        |c| &mut c.storage.rules,
    ),
    setting("retention.max_bytes", "The oldest partitions leave beyond this size; or off.", |c| {
        &mut c.storage.table_bytes_max
    }),
    setting("retention.keep_latest", "Latest traces of each root operation that stay.", |c| {
        &mut c.storage.keep_latest
    }),
    setting(
        "retention.rollups",
        "How long figures outlive their spans; never: they do not.",
        |c| &mut c.storage.rollups_ttl,
    ),
    setting("query.time_max", "A query is cancelled after this.", |c| &mut c.query.time_max),
    setting("query.running_max", "Queries at once.", |c| &mut c.query.running_max),
    setting("query.waiting_max", "Queries that wait; more are refused.", |c| {
        &mut c.query.waiting_max
    }),
    setting("query.memory_bytes_max", "Memory of all queries together.", |c| {
        &mut c.query.memory_bytes_max
    }),
    setting("query.rows_max", "Rows of one answer.", |c| &mut c.query.rows_max),
    setting("query.spill_bytes_max", "Spill files of all queries together.", |c| {
        &mut c.query.spill_bytes_max
    }),
    setting("query.spill_dir", "Where to spill; empty: the system's temporary folder.", |c| {
        &mut c.query.spill_dir
    }),
    setting(
        "query.view_lag_max",
        "While many spans arrive, an answer from rollups may be this old; 0s: always of now.",
        |c| &mut c.query.view_lag_max,
    ),
    setting(
        "query.cache_bytes",
        "Memory of what queries remember of files and of spans in memory: footers, dictionaries, pages, rows of traces.",
        |c| &mut c.query.cache_bytes,
    ),
    setting("query.threads", "Threads of the query runtime.", |c| &mut c.query.threads),
    setting("tail.readers_max", "Readers of the live tail at once.", |c| &mut c.tail.readers_max),
    setting(
        "tail.readers_per_token_max",
        "Readers of the live tail at once with one token, or without.",
        |c| &mut c.tail.readers_per_token_max,
    ),
    setting("tail.filters_max", "Distinct filters of the live tail at once.", |c| {
        &mut c.tail.filters_max
    }),
    setting("tail.waiting_bytes_max", "Events that wait for readers, all filters together.", |c| {
        &mut c.tail.waiting_bytes_max
    }),
    setting("tail.bytes_per_second_max", "Events in a second, all readers together.", |c| {
        &mut c.tail.bytes_per_second_max
    }),
    setting("tail.heartbeat", "A sign of life is sent after this much silence.", |c| {
        &mut c.tail.heartbeat
    }),
    setting("tail.stalled_max", "A reader that takes nothing for this long is cut off.", |c| {
        &mut c.tail.stalled_max
    }),
    setting("tail.age_max", "A stream of the live tail ends after this.", |c| &mut c.tail.age_max),
    setting("tail.resume_spans_max", "Spans that a returning reader gets from memory.", |c| {
        &mut c.tail.resume_spans_max
    }),
    setting("tail.linger", "Flushed spans are kept this long for readers that return.", |c| {
        &mut c.tail.linger
    }),
];
