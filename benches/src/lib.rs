//! Measurements end to end: a corpus, a server process, a table of figures.
//!
//! ```text
//! corpus (seeded, or a file) -> sender -> spanlake serve (its own process) -> flush -> questions -> table, JSON
//! ```
//! Figures of the server come from `/proc`, so this runs on Linux.
pub mod corpus;
pub mod report;
pub mod send;
pub mod server;
