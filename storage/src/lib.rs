//! Durable spans: write-ahead log, hot buffer, Parquet files, Delta table.
//!
//! The storage crate owns everything on disk below one table folder and knows nothing of OTLP, HTTP or
//! SQL. A request body comes in as an [`Entry`] (opaque bytes), is fsynced, decoded by the [`Decode`]
//! implementation handed in at open, becomes visible in the hot buffer and is then acknowledged. A flush
//! turns hot batches into one sorted Parquet file per date and one Delta commit. Readers take a [`Snapshot`].
//!
//! ```text
//! Entry -> wal (fsync) -> Decode -> SpanBatch -> hot -> flush -> file -> table (one commit) -> WAL trimmed
//!                                                  \-> Snapshot { version, files, hot } -> readers
//! ```
pub mod batch;
mod compact;
pub mod config;
pub mod entry;
pub mod error;
pub mod fault;
mod file;
mod flush;
mod hot;
pub mod id;
pub mod ledger;
mod lock;
pub mod metrics;
#[doc(hidden)]
pub mod micro;
pub mod patch;
pub mod retain;
pub mod rollup;
pub mod schema;
pub mod snapshot;
pub mod store;
mod table;
#[cfg(test)]
mod testing;
pub mod time;
mod wal;

pub use batch::SpanBatch;
pub use compact::Due;
pub use config::Config;
pub use entry::{Appended, Codec, Compressed, Decode, DecodeSession, Entry};
pub use error::{Error, Kind, Result};
pub use file::footer::Footer;
pub use file::page::check_pages;
pub use hot::Departure;
pub use hot::tail::{Arrival, Arrivals, Tail};
pub use id::{SpanId, TableVersion, TraceId, WalSeq};
pub use ledger::Ledger;
pub use snapshot::{DataFile, Snapshot};
pub use store::Store;
pub use table::LogFindings;
pub use time::{Clock, ManualClock, SystemClock, TimeRange};
