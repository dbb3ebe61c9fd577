//! The doors: OTLP and Zipkin requests in, span batches out.
//!
//! ```text
//! request -> size, type, compression -> check (every span walked once) -> storage::Store::append -> answer
//!                                                     storage -> Decoder (bytes -> SpanBatch) <-'
//! ```
//! Only this crate knows OTLP and Zipkin. It never reads the table.
pub mod config;
pub mod decode;
pub mod door;
pub mod error;
pub mod file;
pub mod sample;

pub use config::Config;
pub use decode::{Decoder, Format};
pub use door::{Ingest, Outcome};
pub use error::{Error, Rate, Result};
