//! `Engine`: sessions, memory pool, time limit, permits.
mod answer;
mod cooperate;
mod damage;
pub(crate) mod permit;
mod plans;
mod renew;
mod runtime;
mod session;
mod warm;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream, execute_stream};
use datafusion::prelude::SessionContext;
use storage::metrics::{Counter, Metric, Shape};
use storage::{Clock, Kind, Snapshot, Store, SystemClock, TimeRange, TraceId};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::cache::Account;
use crate::check::Check;
pub use crate::engine::answer::Answer;
use crate::engine::answer::{Limits, Running};
use crate::engine::damage::Damage;
use crate::engine::permit::Permits;
use crate::engine::plans::{Plans, Statement};
use crate::engine::runtime::Memory;
use crate::spans::{Tables, by_id};
use crate::sql::describe::Description;
use crate::sql::{Read, guard};
use crate::view::{Call, ViewRequest};
use crate::{Config, Error, Result, cache, catalogue, sql, views};

/// Stack of the query threads: parsing, planning and dropping a plan follow its nesting.
const STACK_BYTES: usize = 16 << 20;

/// Added to the niceness of the process: a third of what the doors get where both want all of the CPU. What is not flushed
/// because questions take the CPU stays in memory, where each question has to read it.
const NICER: i32 = 5;

/// Answers questions over one store, on a runtime of its own; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    /// Statements about PostgreSQL's catalogue are answered, too.
    has_catalogue: bool,
}

struct Shared {
    snapshots: Box<dyn Fn() -> Arc<Snapshot> + Send + Sync>,
    clock: Arc<dyn Clock>,
    config: Config,
    base: SessionState,
    /// What the query before saw: its columns are the next one's, mostly.
    last: Mutex<Tables>,
    environment: Arc<RuntimeEnv>,
    memory: Arc<Memory>,
    permits: Permits,
    runtime: Threads,
    counts: Counts,
    plans: Plans,
    damage: Arc<Damage>,
}

impl Shared {
    /// What a query that starts now sees.
    fn tables(&self) -> Result<Tables> {
        let (snapshot, now) = ((self.snapshots)(), self.clock.now_unix_nano());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let tables = last.renewed(snapshot, now)?;
        // Only its columns are of use later; a kept snapshot would keep its hot batches.
        last.clone_from(&tables.without_spans());
        Ok(tables)
    }

    /// What views found out; `None` where they read spans.
    fn cache(&self) -> Option<Arc<views::Cache>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).rollups.clone()
    }

    /// What caches hold, and what came of asking them.
    fn caches(&self) -> Vec<Metric> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let footers = self.environment.cache_manager.get_file_metadata_cache().list_entries();
        let footers = footers.values().map(|entry| entry.size_bytes).sum();
        let mut metrics = vec![cache::bytes_of("footers", footers)];
        let mut add = |account: &Account, bytes| metrics.extend(account.metrics(bytes));
        last.known.each(&mut add);
        last.rollups.iter().for_each(|cache| cache.each(&mut add));
        metrics
    }

    /// A session over what a query that starts now sees, with a memory of its own.
    fn session(&self) -> Result<(SessionContext, Tables)> {
        let tables = self.tables()?;
        let environment = runtime::for_query(&self.environment, &self.memory);
        let context = session::context(&self.base, environment, &tables)?;
        Ok((context, tables))
    }

    /// What runs a plan that needs no session, with a memory of its own. Plans bring their functions along.
    fn task(&self) -> Arc<TaskContext> {
        let environment = runtime::for_query(&self.environment, &self.memory);
        let (name, config) = (self.base.session_id().to_owned(), self.base.config().clone());
        let none = (HashMap::new(), HashMap::new(), HashMap::new(), HashMap::new());
        Arc::new(TaskContext::new(None, name, config, none.0, none.1, none.2, none.3, environment))
    }

    /// The rows that a statement asks for.
    async fn rows(&self, statement: Statement) -> Result<SendableRecordBatchStream> {
        let begun = Instant::now();
        let (plan, task) = self.plan(statement).await?;
        self.counts.planned(begun);
        Ok(execute_stream(plan, task)?)
    }

    /// What a statement does, and what runs it; its logical plan is kept where it says the same at any time.
    async fn plan(
        &self,
        statement: Statement,
    ) -> Result<(Arc<dyn ExecutionPlan>, Arc<TaskContext>)> {
        let tables = self.tables()?;
        if let Some(plan) = self.plans.find(&statement, &tables)? {
            return Ok((physical(&self.base, &plan).await?, self.task()));
        }
        let environment = runtime::for_query(&self.environment, &self.memory);
        let context = session::context(&self.base, environment, &tables)?;
        let Statement { text, params, has_catalogue } = &statement;
        let session = (context, &tables);
        let (context, read) = read(text, &self.config, session, *has_catalogue)?;
        let plan = sql::plan(&context, read, params.clone()).await?;
        let is_lasting = plans::is_lasting(&plan)?;
        let state = context.state();
        let plan = state.optimize(&plan)?;
        if is_lasting {
            self.plans.put(statement, &plan, &tables)?;
        }
        Ok((physical(&state, &plan).await?, state.task_ctx()))
    }
}

/// What an optimised plan does.
async fn physical(state: &SessionState, plan: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(state.query_planner().create_physical_plan(plan, state).await?)
}

/// What became of queries.
#[derive(Debug, Default)]
struct Counts {
    queries: Counter,
    failed: Counter,
    refused: Counter,
    timed_out: Counter,
    planning_nano: Counter,
}

impl Counts {
    /// Adds the time that a statement took to be parsed and planned, which began at `begun`.
    fn planned(&self, begun: Instant) {
        self.planning_nano.add(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }

    /// The same in seconds, of all statements.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
    fn planning(&self) -> Metric {
        Metric {
            name: "spanlake_query_planning_seconds_total",
            help: "Time that SQL took to be parsed and planned.",
            shape: Shape::Counter,
            labels: Vec::new(),
            value: self.planning_nano.value() as f64 / 1e9,
        }
    }
}

/// The query runtime; ends in the background, because an engine may be dropped on another runtime.
struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

/// Rows to come, and what they could not know.
struct Started {
    rows: SendableRecordBatchStream,
    notes: Vec<(&'static str, String)>,
}

impl Engine {
    /// An engine over `store`. What views need of new files is read ahead, in the background.
    ///
    /// # Errors
    /// The query runtime could not start.
    pub fn new(store: Store, config: Config) -> Result<Self> {
        let changes = store.changes();
        let engine = Self::over(move || store.snapshot(), config, Arc::new(SystemClock))?;
        engine.threads()?.spawn(warm::keep(Arc::downgrade(&engine.shared), changes));
        engine.threads()?.spawn(renew::keep(Arc::downgrade(&engine.shared)));
        Ok(engine)
    }

    /// An engine over whatever `snapshots` returns at the start of each query; `clock` says what `now` means.
    ///
    /// # Errors
    /// The query runtime could not start.
    pub fn over(
        snapshots: impl Fn() -> Arc<Snapshot> + Send + Sync + 'static,
        config: Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let first = snapshots();
        let environment = runtime::environment(&config, Arc::clone(&first.object_store))?;
        let mut last = Tables::new(first, clock.now_unix_nano())?;
        if !config.rollups {
            last.rollups = None;
        }
        if let Some(cache) = &last.rollups {
            cache.recent.allow(config.view_lag_max);
            cache.each(&mut |account, _| account.allow(config.cache_bytes));
        }
        last.known.each(&mut |account, _| account.allow(config.cache_bytes));
        let last = Mutex::new(last);
        let base = session::base(&config, Arc::clone(&environment));
        let runtime = Builder::new_multi_thread()
            .worker_threads(config.threads.max(1))
            .thread_stack_size(STACK_BYTES)
            .thread_name("query")
            .on_thread_start(|| {
                // On Linux this is the calling thread's alone. Elsewhere, or where it is forbidden, all are equal.
                if cfg!(target_os = "linux") {
                    let _ = rustix::process::nice(NICER);
                }
            })
            .enable_all()
            .build()
            .map_err(|error| Error {
                kind: Kind::Unavailable,
                message: "the threads for queries could not be started".into(),
                source: Some(Box::new(error)),
            })?;
        let shared = Shared {
            snapshots: Box::new(snapshots),
            clock,
            base,
            last,
            environment,
            memory: Arc::new(Memory::new(&config)),
            permits: Permits::new(config.running_max, config.waiting_max),
            runtime: Threads(Some(runtime)),
            counts: Counts::default(),
            plans: Plans::default(),
            damage: Arc::default(),
            config,
        };
        Ok(Self { shared: Arc::new(shared), has_catalogue: false })
    }

    /// The same engine for PostgreSQL's clients: statements that ask for `pg_catalog` or `information_schema` only are
    /// answered from tables of that shape ([`crate::catalogue`]).
    #[must_use]
    pub fn for_postgres(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), has_catalogue: true }
    }

    /// Runs one read-only statement. `params` fill `$1`, `$2`, ... Ends after `rows_max` rows; a note says so.
    ///
    /// # Errors
    /// The statement is not allowed, cannot be planned, or a limit was hit; the message is for the user.
    pub async fn sql(&self, sql: &str, params: Vec<ScalarValue>) -> Result<Answer> {
        let (text, has_catalogue) = (sql.to_owned(), self.has_catalogue);
        let statement = Statement { text, params, has_catalogue };
        let plan = |shared: Arc<Shared>| async move {
            Ok(Started { rows: shared.rows(statement).await?, notes: Vec::new() })
        };
        self.run(plan, Some(self.shared.config.rows_max)).await
    }

    /// What `sql` will give and which parameters it takes; `hints` are the types of `$1`, `$2`, ... that the caller
    /// knows. Nothing is run.
    ///
    /// # Errors
    /// As [`Engine::sql`].
    pub async fn describe(&self, sql: &str, hints: Vec<Option<DataType>>) -> Result<Description> {
        let text = sql.to_owned();
        let limits = Limits::from_now(self.shared.config.time_max, None);
        let permit = limits.within(self.shared.permits.acquire()).await??;
        let (shared, has_catalogue) = (Arc::clone(&self.shared), self.has_catalogue);
        let work = async move {
            let _permit = permit;
            let (context, tables) = shared.session()?;
            let session = (context, &tables);
            let (context, statement) = read(&text, &shared.config, session, has_catalogue)?;
            sql::describe::describe(&context, statement, &hints).await
        };
        answer::on(self.threads()?, work, limits).await
    }

    /// Answers a view. The same code as the SQL table function of that name.
    ///
    /// # Errors
    /// As [`Engine::sql`].
    pub async fn view(&self, request: ViewRequest) -> Result<Answer> {
        self.ask(request.sql()).await
    }

    /// Answers a question with arguments of its own. The same code as the SQL table function of that name.
    ///
    /// # Errors
    /// As [`Engine::sql`].
    pub async fn call(&self, call: Call) -> Result<Answer> {
        self.ask(call.sql()).await
    }

    /// Tests `checks` on the spans that start within `range`; one row a check, in their order: `name, passed, tested,
    /// failed, expected, examples`.
    ///
    /// # Errors
    /// As [`Engine::sql`].
    pub async fn check(&self, checks: Vec<Check>, range: TimeRange) -> Result<Answer> {
        let plan = move |shared: Arc<Shared>| async move {
            let (context, tables) = shared.session()?;
            let rows = views::check(context.clone(), tables, (&checks, range)).await?;
            let rows = context.read_batch(rows)?.execute_stream().await?;
            Ok(Started { rows, notes: Vec::new() })
        };
        self.run(plan, None).await
    }

    async fn ask(&self, sql: String) -> Result<Answer> {
        let plan = move |shared: Arc<Shared>| async move {
            let (context, tables) = shared.session()?;
            let planned = views::plan(&context, &tables, &sql).await?;
            Ok(Started { rows: planned.rows.execute_stream().await?, notes: planned.notes })
        };
        self.run(plan, None).await
    }

    /// All spans of one trace in the columns of `spans`, ordered by start; no rows where it is unknown.
    /// Only files whose filter admits the id are opened.
    ///
    /// # Errors
    /// As [`Engine::sql`].
    pub async fn trace(&self, trace: TraceId) -> Result<Answer> {
        let plan = move |shared: Arc<Shared>| async move {
            let (tables, session) = (shared.tables()?, (&shared.base, shared.task()));
            let rows = by_id::stream(session, &tables, trace).await?;
            Ok(Started { rows, notes: Vec::new() })
        };
        self.run(plan, None).await
    }

    /// Figures for `/metrics`.
    pub fn metrics(&self) -> Vec<Metric> {
        let Shared { counts, memory, permits, plans, .. } = self.shared.as_ref();
        let gauge = |name, help, value: usize| {
            #[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
            let value = value as f64;
            Metric { name, help, shape: Shape::Gauge, labels: Vec::new(), value }
        };
        let ended = |why: &str, counter: &Counter| {
            let mut metric = counter
                .metric("spanlake_query_failures_total", "Queries that gave no answer, by reason.");
            metric.labels.push(("reason", why.to_owned()));
            metric
        };
        let [known, new] = plans.metrics();
        let mut metrics = vec![
            counts.queries.metric("spanlake_queries_total", "Queries asked."),
            ended("failed", &counts.failed),
            ended("busy", &counts.refused),
            ended("timeout", &counts.timed_out),
            known,
            new,
            gauge("spanlake_queries_running", "Queries at work.", permits.running()),
            gauge("spanlake_queries_waiting", "Queries that wait.", permits.waiting()),
            gauge("spanlake_query_memory_bytes", "Memory of all queries.", memory.used_bytes()),
        ];
        metrics.push(counts.planning());
        metrics.extend(self.shared.caches());
        metrics
    }

    /// Waits for a permit, plans and starts on the query runtime, all within the time limit.
    async fn run<P, F>(&self, plan: P, rows_max: Option<usize>) -> Result<Answer>
    where
        P: FnOnce(Arc<Shared>) -> F + Send + 'static,
        F: Future<Output = Result<Started>> + Send + 'static,
    {
        let Counts { queries, failed, refused, timed_out, .. } = &self.shared.counts;
        queries.add(1);
        let answer = self.answer(plan, rows_max).await;
        if let Err(error) = &answer {
            match error.kind {
                Kind::Busy => refused.add(1),
                Kind::TimedOut => timed_out.add(1),
                _ => failed.add(1),
            }
        }
        answer
    }

    async fn answer<P, F>(&self, plan: P, rows_max: Option<usize>) -> Result<Answer>
    where
        P: FnOnce(Arc<Shared>) -> F + Send + 'static,
        F: Future<Output = Result<Started>> + Send + 'static,
    {
        let limits = Limits::from_now(self.shared.config.time_max, rows_max);
        let permit = limits.within(self.shared.permits.acquire()).await??;
        let shared = Arc::clone(&self.shared);
        let begin = async move { plan(shared).await };
        let snapshot = (self.shared.snapshots)();
        let about = (snapshot, Arc::clone(&self.shared.damage));
        Running::start(self.threads()?, about, begin, permit, limits).answer().await
    }

    fn threads(&self) -> Result<&Handle> {
        match &self.shared.runtime.0 {
            Some(threads) => Ok(threads.handle()),
            None => Err(Error::new(Kind::Unavailable, "the server is shutting down")),
        }
    }
}

/// The statement `sql` after the guard, and the session that it is for.
fn read(
    sql: &str,
    config: &Config,
    (context, tables): (SessionContext, &Tables),
    has_catalogue: bool,
) -> Result<(SessionContext, Read)> {
    if has_catalogue && let Some(statement) = catalogue::question(sql, config)? {
        let context = catalogue::context(context.state(), tables)?;
        return Ok((context, Read { statement, is_of_catalogue: true }));
    }
    let statement = guard::check(sql, config)?.into_statement();
    Ok((context, Read { statement, is_of_catalogue: false }))
}

#[cfg(test)]
mod tests;
