//! PostgreSQL's catalogue, for clients that look around before they ask: `psql`, drivers, BI tools.
//!
//! ```text
//! statement -> question (only catalogue tables or functions?) -> rewrite (PostgreSQL's spellings) -> plan over tables
//! ```
//! A session of its own: small tables in memory that say what `spans` is, the functions that clients call, and no span
//! at all. A statement that names a table of spans is none of ours and goes the usual way.
mod functions;
mod question;
mod rewrite;
mod tables;
#[cfg(test)]
mod tests;
pub mod types;

use std::sync::Arc;

use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList,
    TableProvider,
};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionContext;
use storage::TimeRange;

pub(crate) use self::question::question;
use crate::Result;
use crate::retention_log::RetentionLog;
use crate::spans::Tables;

/// The one database.
const DATABASE: &str = "spanlake";
/// The schema that `spans` is in.
const PUBLIC: &str = "public";
/// Where clients look.
const PG_CATALOG: &str = "pg_catalog";
const INFORMATION_SCHEMA: &str = "information_schema";

/// A session that knows the catalogue of `tables` and nothing else.
pub(crate) fn context(state: SessionState, tables: &Tables) -> Result<SessionContext> {
    let config = state.config().clone().with_default_catalog_and_schema(DATABASE, PG_CATALOG);
    let catalogs: Arc<dyn CatalogProviderList> = Arc::new(MemoryCatalogProviderList::new());
    let catalog = Arc::new(MemoryCatalogProvider::new());
    let log = RetentionLog::new(Arc::clone(&tables.snapshot.receipts));
    let (spans, raw) = (tables.spans_table(TimeRange::ALL).schema(), tables.raw_table().schema());
    let schemas = [&spans, &raw, &log.schema()];
    catalog.register_schema(PG_CATALOG, tables::pg_catalog(schemas)?)?;
    catalog.register_schema(INFORMATION_SCHEMA, tables::information_schema(schemas)?)?;
    catalogs.register_catalog(DATABASE.into(), catalog);
    let state = SessionStateBuilder::new_from_existing(state)
        .with_config(config)
        .with_catalog_list(catalogs)
        .build();
    let context = SessionContext::new_with_state(state);
    functions::all().into_iter().for_each(|function| context.register_udf(function));
    Ok(context)
}
