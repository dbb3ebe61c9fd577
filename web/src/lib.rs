//! HTTP API and page: parameters in, JSON, CSV, Arrow, Parquet and drawings out.
//!
//! ```text
//! request -> safety (host, origin, headers, request id) -> auth (role) -> api::* -> query::Engine | storage::Store
//! ADBC, JDBC -> flight (gRPC, Arrow IPC) -> auth (role) -> query::Engine
//! psql, drivers -> postgres (messages)                  -> auth (role) -> query::Engine
//! browser <- page (embedded files)                          bytes <- encode (Answer -> JSON | CSV | Arrow | ...)
//! ```
//! Only this crate knows our JSON. Every route stands in [`routes::ROUTES`]: the router, the roles and the OpenAPI
//! document are made of that one table.
mod api;
pub mod auth;
pub mod encode;
pub mod error;
pub mod export;
pub mod flight;
mod openapi;
mod page;
pub mod postgres;
pub mod routes;
mod safety;
pub mod state;

pub use api::policy::RuleText;
pub use api::tail::{Config as TailConfig, Leave, Tail};
pub use auth::{Auth, Role};
pub use encode::Format;
pub use error::{Error, Result};
pub use postgres::Postgres;
pub use routes::router;
pub use state::Web;
