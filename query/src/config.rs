//! Limits of queries. Read from flags, environment and TOML by `server::config` only.
use std::path::PathBuf;
use std::time::Duration;

/// Limits of queries.
#[derive(Debug, Clone)]
pub struct Config {
    /// A query is cancelled after this. Default 30 s.
    pub time_max: Duration,
    /// Queries at once; more wait. Default 8.
    pub running_max: usize,
    /// Queries that wait; more are refused. Default 16.
    pub waiting_max: usize,
    /// SQL text. Default 64 KiB.
    pub sql_bytes_max: usize,
    /// Nesting of the parsed statement, flat chains included. Default 500.
    pub depth_max: usize,
    /// Memory of all queries together. Default 1 GiB.
    pub memory_bytes_max: usize,
    /// Rows of one answer through the SQL door. Default 100,000.
    pub rows_max: usize,
    /// Spill files together. Default 4 GiB.
    pub spill_bytes_max: u64,
    /// Where to spill; the system's temporary folder by default.
    pub spill_dir: Option<PathBuf>,
    /// Views are answered from rollups where these tell them. Default true.
    pub rollups: bool,
    /// While many spans arrive, an answer from rollups may be this old; 0: always of now. Default 3 s.
    pub view_lag_max: Duration,
    /// Memory of what queries remember of files and of hot spans, shared out in fixed parts. Default 640 MiB.
    pub cache_bytes: usize,
    /// Threads of the query runtime; the number of cores by default.
    pub threads: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            time_max: Duration::from_secs(30),
            running_max: 8,
            waiting_max: 16,
            sql_bytes_max: 64 << 10,
            depth_max: 500,
            memory_bytes_max: 1 << 30,
            rows_max: 100_000,
            spill_bytes_max: 4 << 30,
            spill_dir: None,
            rollups: true,
            view_lag_max: Duration::from_secs(3),
            cache_bytes: crate::cache::BYTES_DEFAULT,
            threads: std::thread::available_parallelism().map_or(2, usize::from),
        }
    }
}
