//! Measurements end to end: a corpus, a server process, a table of figures.
//!
//! ```text
//! corpus (seeded, or a file) -> rounds of it -> sender -> spanlake serve (its own process) -> flush -> questions
//!                                                                         at each mark: table, JSON
//! ```
//! Figures of the server come from `/proc`, so this runs on Linux.
pub mod corpus;
pub mod growth;
mod grpc;
pub mod limit;
pub mod lookup;
pub mod overload;
pub mod questions;
pub mod report;
pub mod rounds;
pub mod send;
pub mod server;
pub mod tail;
