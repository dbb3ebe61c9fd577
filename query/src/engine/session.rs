//! A session for one query: our tables, the allowed functions, our settings, nothing else.
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::CatalogProviderList;
use datafusion::catalog::TableProvider;
use datafusion::catalog::{
    CatalogProvider, MemTable, MemoryCatalogProvider, MemoryCatalogProviderList,
    MemorySchemaProvider, SchemaProvider,
};
use datafusion::common::Result;
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::optimizer::{Analyzer, AnalyzerRule};
use datafusion::prelude::{SessionConfig, SessionContext};
use storage::TimeRange;

use crate::Config;
use crate::engine::cooperate::Cooperate;
use crate::function::allowed;
use crate::quantile::together::QuantilesTogether;
use crate::retention_log::RetentionLog;
use crate::spans::Tables;
use crate::spans::attributes::AttributePlanner;
use crate::spans::counts::CountKeys;
use crate::spans::direct::DirectNumbers;
use crate::spans::first::FirstRows;
use crate::spans::grouped::GroupRuns;
use crate::spans::nulls::NullsLast;
use crate::spans::numbers::ReadNumbers;
use crate::spans::tally::CountRows;
use crate::view::View;

const CATALOG: &str = "spanlake";
const SCHEMA: &str = "public";
const LOG: &str = "retention_log";
const RAW: &str = "spans_raw";

/// The settings of every query.
fn settings(config: &Config) -> SessionConfig {
    let mut settings = SessionConfig::new()
        .with_target_partitions(config.threads.max(1))
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false);
    let options = settings.options_mut();
    options.execution.enable_recursive_ctes = false;
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    // The sidecars have filters of their own, with checksums; Parquet's have none.
    options.execution.parquet.bloom_filter_on_read = false;
    options.execution.parquet.schema_force_view_types = true;
    settings
}

/// What every query starts from. Functions and rules are made once.
pub(crate) fn base(config: &Config, environment: Arc<RuntimeEnv>) -> SessionState {
    let planners = SessionStateDefaults::default_expr_planners();
    let mut rules: Vec<Arc<dyn AnalyzerRule + Send + Sync>> = vec![Arc::new(ReadNumbers)];
    rules.extend(Analyzer::new().rules);
    rules.push(Arc::new(NullsLast));
    SessionStateBuilder::new()
        .with_config(settings(config))
        .with_runtime_env(environment)
        .with_expr_planners(planners)
        .with_analyzer_rules(rules)
        .with_scalar_functions(allowed::scalar())
        .with_aggregate_functions(allowed::aggregate())
        .with_window_functions(allowed::window())
        .with_optimizer_rule(Arc::new(QuantilesTogether::default()))
        .with_physical_optimizer_rule(Arc::new(CountKeys))
        .with_physical_optimizer_rule(Arc::new(CountRows))
        .with_physical_optimizer_rule(Arc::new(GroupRuns))
        .with_physical_optimizer_rule(Arc::new(DirectNumbers))
        .with_physical_optimizer_rule(Arc::new(FirstRows))
        .with_physical_optimizer_rule(Arc::new(Cooperate))
        .build()
}

/// A session over `tables`.
pub(crate) fn context(
    base: &SessionState,
    environment: Arc<RuntimeEnv>,
    tables: &Tables,
) -> Result<SessionContext> {
    let mut planners: Vec<_> = vec![Arc::new(AttributePlanner::new(tables)) as _];
    planners.extend(base.expr_planners().iter().map(Arc::clone));
    let catalogs: Arc<dyn CatalogProviderList> = Arc::new(MemoryCatalogProviderList::new());
    let state = SessionStateBuilder::new_from_existing(base.clone())
        .with_runtime_env(environment)
        .with_expr_planners(planners)
        .with_catalog_list(Arc::clone(&catalogs))
        .build();
    let catalog = Arc::new(MemoryCatalogProvider::new());
    let public = Arc::new(MemorySchemaProvider::new());
    let spans = tables.spans_table(TimeRange::ALL);
    let log = Arc::new(RetentionLog::new(Arc::clone(&tables.snapshot.receipts)));
    let raw = tables.raw_table();
    let described = match tables.described.get() {
        Some(known) => Arc::clone(known),
        None => {
            let described = [("spans", spans.schema()), (RAW, raw.schema()), (LOG, log.schema())];
            let made = information_schema(&described)?;
            Arc::clone(tables.described.get_or_init(|| made))
        }
    };
    public.register_table(RAW.into(), raw)?;
    public.register_table("spans".into(), spans)?;
    public.register_table(LOG.into(), log)?;
    catalog.register_schema(SCHEMA, public)?;
    catalog.register_schema("information_schema", described)?;
    catalogs.register_catalog(CATALOG.into(), catalog);
    let context = SessionContext::new_with_state(state);
    crate::views::register(&context, tables);
    Ok(context)
}

/// `information_schema.tables` and `.columns`: what there is, and nothing about the server.
fn information_schema(described: &[(&str, SchemaRef)]) -> Result<Arc<dyn SchemaProvider>> {
    let schema = Arc::new(MemorySchemaProvider::new());
    let functions: Vec<&str> =
        View::ALL.map(View::name).into_iter().chain(crate::views::NAMES).collect();
    let names = described.iter().map(|(name, _)| *name).chain(functions.iter().copied()).map(Some);
    let bases = described.iter().map(|_| "BASE TABLE");
    let kinds = bases.chain(functions.iter().map(|_| "TABLE FUNCTION")).map(Some);
    let count = functions.len() + described.len();
    let tables = [
        ("table_catalog", text(count, CATALOG)),
        ("table_schema", text(count, SCHEMA)),
        ("table_name", Arc::new(names.collect::<StringArray>()) as ArrayRef),
        ("table_type", Arc::new(kinds.collect::<StringArray>())),
    ];
    schema.register_table("tables".into(), table(tables)?)?;
    let fields = || {
        described.iter().flat_map(|(name, schema)| {
            schema.fields().iter().zip(1_i64..).map(move |(field, place)| (*name, field, place))
        })
    };
    let count = fields().count();
    let owners = fields().map(|(owner, ..)| Some(owner));
    let names = fields().map(|(_, field, _)| Some(field.name().clone()));
    let types = fields().map(|(_, field, _)| Some(field.data_type().to_string()));
    let nullable = fields().map(|(_, f, _)| Some(if f.is_nullable() { "YES" } else { "NO" }));
    let columns = [
        ("table_catalog", text(count, CATALOG)),
        ("table_schema", text(count, SCHEMA)),
        ("table_name", Arc::new(owners.collect::<StringArray>())),
        ("column_name", Arc::new(names.collect::<StringArray>()) as ArrayRef),
        (
            "ordinal_position",
            Arc::new(fields().map(|(.., place)| Some(place)).collect::<Int64Array>()),
        ),
        ("is_nullable", Arc::new(nullable.collect::<StringArray>())),
        ("data_type", Arc::new(types.collect::<StringArray>())),
    ];
    schema.register_table("columns".into(), table(columns)?)?;
    Ok(schema)
}

fn table<const N: usize>(columns: [(&str, ArrayRef); N]) -> Result<Arc<MemTable>> {
    let batch = RecordBatch::try_from_iter(columns)?;
    Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
}

fn text(rows: usize, value: &str) -> ArrayRef {
    Arc::new(std::iter::repeat_n(Some(value), rows).collect::<StringArray>())
}
