//! Questions about spans: SQL and views over one snapshot.
//!
//! ```text
//! SQL text -> guard (allow-list, depth) -> plan -> spans::provider (snapshot, pruned) -> record batches
//! view     -> views::*  (question -> plan -> rows), also SQL table functions
//! ```
//! This crate never writes. Its answers are Arrow; only `web` turns them into JSON.
mod cache;
pub mod catalogue;
pub mod check;
pub mod config;
pub mod engine;
pub mod error;
#[cfg(test)]
mod fixture;
pub mod function;
mod histogram;
mod leaf;
mod quantile;
mod retention_log;
#[cfg(test)]
mod slt;
pub mod spans;
mod sql;
pub mod view;
mod views;

pub use check::{Check, CheckFile, Expect, Place};
pub use config::Config;
pub use datafusion::common::ScalarValue;
pub use engine::{Answer, Engine};
pub use error::{Error, Result};
pub use spans::present::Presenter;
pub use sql::describe::Description;
pub use view::{Call, View, ViewRequest};
pub use views::{TracePattern, duration, moment, trace_pattern};
