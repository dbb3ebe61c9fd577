//! Settings of one store. Read from flags, environment and TOML by `server::config` only.
use std::path::PathBuf;
use std::time::Duration;

use crate::retain::Rule;

/// Largest request body that the log takes, in bytes (64 MiB, OTLP's usual limit).
pub const BODY_BYTES_MAX: usize = 64 << 20;

/// Where the table lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A local folder.
    Folder(PathBuf),
    /// `s3://`, `gs://` or `az://` with a prefix; credentials and endpoint as `object_store` reads them
    /// (`options`: `aws_endpoint`, `aws_access_key_id`, ...).
    ObjectStore {
        /// The URL.
        url: String,
        /// Options by `object_store`'s names.
        options: Vec<(String, String)>,
    },
}

/// When an append is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// After fsync (default).
    Fsync,
    /// After the operating system took the bytes: a power cut may lose the last seconds.
    Os,
}

/// Settings of one store: one tenant's table, its log and its buffers.
#[derive(Debug, Clone)]
pub struct Config {
    /// Root of all tenants.
    pub location: Location,
    /// Folder name below the root; `^[a-z0-9][a-z0-9_-]{0,62}$`.
    pub tenant: String,
    /// Local folder of the write-ahead log; below the table's folder unless the table is remote.
    pub wal_dir: Option<PathBuf>,
    /// When an append is acknowledged.
    pub durability: Durability,
    /// Longest wait of a group commit for company. Default 2 ms.
    pub group_commit_wait: Duration,
    /// Entries beyond this many bytes are not waited for. Default 1 MiB.
    pub group_commit_bytes: usize,
    /// Size of a log segment. Default 64 MiB.
    pub wal_segment_bytes: u64,
    /// Entries not yet in a file may occupy this much on disk; then appends are refused. Default 2 GiB.
    pub wal_bytes_max: u64,
    /// Appends are refused while the disk has less free than this. Default 256 MiB.
    pub disk_free_bytes_min: u64,
    /// A flush starts after this time at the latest. Default 60 s.
    pub flush_interval: Duration,
    /// A flush starts when the hot buffer holds this many bytes. Default 64 MiB: some 200,000 spans.
    pub flush_bytes: usize,
    /// Appends wait (then are refused) while hot batches occupy this much. Default 512 MiB.
    pub hot_bytes_max: usize,
    /// A retried request is recognised for this long. Default 10 minutes.
    pub dedup_window: Duration,
    /// Partitions older than this leave the table; `None` keeps everything. Default 7 days.
    pub ttl: Option<Duration>,
    /// Traces that they match stay longer or shorter; the first that fits counts. Default none.
    pub rules: Vec<Rule>,
    /// The oldest partitions leave while the files have more bytes than this; `None` = no limit, the default.
    pub table_bytes_max: Option<u64>,
    /// The latest traces of each root operation that outlive their partition. Default 0.
    pub keep_latest: u64,
    /// What spans add up to stays this long after their date, where that is longer; `None`, the default: as long as they.
    pub rollups_ttl: Option<Duration>,
    /// Nothing leaves by itself while the table is open. Default false.
    pub hold: bool,
    /// Rollups of files take this much memory at most. Default 128 MiB.
    pub rollup_cache_bytes: usize,
    /// Parts of remote files that queries read take this much memory at most; 0 for none. Default 256 MiB.
    pub range_cache_bytes: usize,
    /// Small files are merged into larger ones in the background. Default true.
    pub compact: bool,
    /// How often something to merge is looked for. Default 30 s.
    pub compact_interval: Duration,
    /// How often checkpoints, files to delete and files that nobody names are looked for. Default 60 s.
    pub upkeep_interval: Duration,
    /// Files that left the table are deleted this much later. Default 5.5 minutes (query limit 30 s + 5 min).
    pub delete_grace: Duration,
}

impl Config {
    /// The defaults, for a table in a local folder.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self::at(Location::Folder(folder.into()))
    }

    /// The defaults, for a table at `location`.
    pub fn at(location: Location) -> Self {
        Self {
            location,
            tenant: "default".into(),
            wal_dir: None,
            durability: Durability::Fsync,
            group_commit_wait: Duration::from_millis(2),
            group_commit_bytes: 1 << 20,
            wal_segment_bytes: 64 << 20,
            wal_bytes_max: 2 << 30,
            disk_free_bytes_min: 256 << 20,
            flush_interval: Duration::from_secs(60),
            flush_bytes: 64 << 20,
            hot_bytes_max: 512 << 20,
            dedup_window: Duration::from_secs(600),
            ttl: Some(Duration::from_secs(7 * 86_400)),
            rules: Vec::new(),
            table_bytes_max: None,
            keep_latest: 0,
            rollups_ttl: None,
            hold: false,
            rollup_cache_bytes: 128 << 20,
            range_cache_bytes: 256 << 20,
            compact: true,
            compact_interval: Duration::from_secs(30),
            upkeep_interval: Duration::from_secs(60),
            delete_grace: Duration::from_secs(330),
        }
    }
}
