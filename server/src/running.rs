//! A running server: the table, the doors, the query engine, the page, and their order of start and end.
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use ingest::sample::Sampler;
use ingest::{Decoder, Ingest};
use query::Engine;
use storage::metrics::{Metric, Shape};
use storage::{Clock, Decode, Store, SystemClock};
use tokio::runtime::Handle;
use tokio::sync::watch;
use web::{Auth, Postgres, Role, Tail, Web};

use crate::config::Config;
use crate::config::value::show_duration;
use crate::http::{Listeners, Speaks, Stop};
use crate::page::Page;
use crate::sampling::Sampling;

/// Where the doors are; `None` is closed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    /// OTLP over gRPC.
    pub grpc: Option<SocketAddr>,
    /// OTLP over HTTP.
    pub http: Option<SocketAddr>,
    /// Zipkin v2.
    pub zipkin: Option<SocketAddr>,
    /// Page and API.
    pub ui: Option<SocketAddr>,
    /// Jaeger's remote sampling.
    pub sampling: Option<SocketAddr>,
    /// PostgreSQL's wire protocol.
    pub postgres: Option<SocketAddr>,
    /// Arrow Flight SQL.
    pub flight: Option<SocketAddr>,
}

/// A started server.
pub(crate) struct Running {
    /// Where it listens.
    pub addresses: Addresses,
    /// The first admin token, at the very first start.
    pub first_token: Option<String>,
    store: Store,
    listeners: Listeners,
    tail: Tail,
    sampling: Sampling,
    _page: Page,
}

/// The file of tokens that belongs to a table.
pub(crate) fn tokens_file(config: &Config) -> PathBuf {
    config.private_dir().join("tokens.json")
}

/// Opens the table that `config` names.
///
/// # Errors
/// As [`Store::open`]: above all, another process holds it.
pub(crate) async fn open_store(config: &Config) -> anyhow::Result<Store> {
    open_with(config, Arc::new(Decoder::new(config.ingest.clone()))).await
}

async fn open_with(config: &Config, decoder: Arc<dyn Decode>) -> anyhow::Result<Store> {
    private_folder(&config.private_dir())?;
    let store = Store::open(config.table(), decoder, Arc::new(SystemClock)).await;
    store.with_context(|| format!("open the table in {}", config.data))
}

/// A question to a folder must not make a table there.
///
/// # Errors
/// There is no table in the local folder that `config` names.
pub(crate) fn must_exist(config: &Config) -> anyhow::Result<()> {
    let tenant = Path::new(&config.data).join(&config.storage.tenant);
    anyhow::ensure!(
        !config.is_local() || tenant.is_dir(),
        "there is no table in {}; import something there first, or name another with --data",
        config.data
    );
    Ok(())
}

/// A new data folder is its owner's alone.
fn private_folder(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = std::fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("create the folder {}", folder.display()))
}

/// Under the name that Prometheus' own clients give it.
#[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
fn resident_memory() -> Option<Metric> {
    Some(Metric {
        name: "process_resident_memory_bytes",
        help: "Resident memory of the process.",
        shape: Shape::Gauge,
        labels: Vec::new(),
        value: crate::memory::resident_bytes()? as f64,
    })
}

impl Running {
    /// Opens the table, replays its log, then opens the doors.
    ///
    /// # Errors
    /// The step that failed, in the order above.
    pub(crate) async fn start(config: &Config) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let decoder = Decoder::new(config.ingest.clone());
        let sampling = Sampling::load(config, Arc::clone(&clock));
        let store = open_with(config, sampling.watched(decoder.clone())).await?;
        let auth = Auth::open(tokens_file(config), config.tokens_required(), Arc::clone(&clock))?;
        let first_token = auth.first_token()?.map(|secret| secret.expose().to_owned());
        // A span that the table would drop at once is refused at the door.
        let limits = ingest::Config { age_max: store.policy().longest(), ..config.ingest.clone() };
        let ingest = Ingest::new(store.clone(), limits, Arc::clone(&clock));
        let engine = Engine::new(store.clone(), config.query.clone())?;
        let listeners = Listeners::new(config.http.clone());
        let tail = Tail::new(store.clone(), config.tail.clone(), &*clock);
        let version = env!("CARGO_PKG_VERSION");
        let limits = web::postgres::Config::default();
        let postgres = Postgres::new(engine.clone(), auth.clone(), limits, version);
        let flight = web::flight::router(engine.clone(), auth.clone(), version);
        let web = web::router(Web {
            engine,
            store: store.clone(),
            tail: tail.clone(),
            auth: auth.clone(),
            clock,
            version,
            hosts: config.hosts.clone(),
            figures: {
                let (ingest, listeners) = (ingest.clone(), listeners.figures());
                let (sampler, postgres) = (sampling.sampler.clone(), postgres.clone());
                Arc::new(move || {
                    let doors = [listeners(), postgres.metrics()].concat();
                    let ours = [Some(crate::telemetry::panics()), resident_memory()];
                    let ours = ours.into_iter().flatten().collect();
                    [ingest.metrics(), decoder.metrics(), sampler.metrics(), doors, ours].concat()
                })
            },
        });
        let page = Page::start().context("start threads")?;
        let (sampler, page_handle) = (&sampling.sampler, page.handle());
        let sql = SqlDoors { postgres, flight };
        let doors = Doors { ingest: &ingest, auth: &auth, web, sampler, sql, page: page_handle };
        match doors.open(&listeners, config).await {
            Ok(addresses) => {
                let sampling = sampling.start();
                Ok(Self { addresses, first_token, store, listeners, tail, sampling, _page: page })
            }
            Err(error) => {
                listeners.close().await;
                store.close().await?;
                Err(error)
            }
        }
    }

    /// Start of the newest span that the table holds.
    pub(crate) fn newest_unix_nano(&self) -> Option<i64> {
        let snapshot = self.store.snapshot();
        let files = snapshot.files.iter().map(|file| file.start);
        let ranges = files.chain(snapshot.hot.iter().map(|batch| batch.start()));
        ranges.map(|range| range.until - 1).max()
    }

    /// Ends all connections at once when told [`Stop::Now`].
    pub(crate) fn stopper(&self) -> watch::Sender<Stop> {
        self.listeners.stopper()
    }

    /// Returns the name of a task of the table once it has panicked; else never. Then the server has to end: whoever
    /// starts it again gets everything acknowledged back.
    pub(crate) async fn failed(&self) -> &'static str {
        self.store.failed().await
    }

    /// Ends the live tail, stops accepting, lets requests in flight finish, flushes, gives up the table.
    ///
    /// # Errors
    /// The last flush failed; everything acknowledged is still in the log.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        // First: its streams would keep their connections open.
        self.tail.close().await;
        self.listeners.close().await;
        self.sampling.stop().await;
        self.store.close().await.context("close the table")
    }

    /// The calm words after a start.
    pub(crate) fn summary(&self, config: &Config) -> String {
        let snapshot = self.store.snapshot();
        let ttl = self.store.ttl().duration.map_or_else(
            || "kept for ever".to_owned(),
            |ttl| format!("kept {}", show_duration(ttl)),
        );
        let Addresses { grpc, http, zipkin, ui, sampling, postgres, flight } = self.addresses;
        let url = |path: &'static str| move |at: SocketAddr| format!("http://{at}{path}");
        let rows = [
            ("page and API", ui.map(url("/"))),
            ("OTLP/gRPC", grpc.map(url(""))),
            ("OTLP/HTTP", http.map(url("/v1/traces"))),
            ("Zipkin", zipkin.map(url("/api/v2/spans"))),
            ("sampling", sampling.map(url("/sampling?service=NAME"))),
            ("Flight SQL", flight.map(|at| format!("grpc://{at}"))),
            ("PostgreSQL", postgres.map(|at| format!("postgresql://spanlake@{at}/spanlake"))),
            (
                "table",
                Some(format!(
                    "{}, version {}, {} spans, {ttl}",
                    config.data,
                    snapshot.version,
                    crate::words::count(snapshot.rows())
                )),
            ),
            ("admin token", self.first_token.as_ref().map(|token| format!("{token} (only shown now)"))),
            (
                "try",
                ui.map(|at| {
                    format!("curl -s http://{at}/api/v1/sql -d 'SELECT service, count(*) AS spans FROM spans GROUP BY 1 ORDER BY 2 DESC'")
                }),
            ),
        ];
        let mut text = format!("Spanlake {} is ready\n", env!("CARGO_PKG_VERSION"));
        for (name, value) in rows {
            if let Some(value) = value {
                text.push_str(&format!("  {name:<14}{value}\n"));
            }
        }
        text
    }

    /// The same for scripts: one JSON object.
    pub(crate) fn summary_json(&self, config: &Config) -> serde_json::Value {
        let Addresses { grpc, http, zipkin, ui, sampling, postgres, flight } = self.addresses;
        let snapshot = self.store.snapshot();
        serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "grpc": grpc, "http": http, "zipkin": zipkin, "ui": ui, "sampling": sampling,
            "postgres": postgres, "flight": flight,
            "data": config.data,
            "table_version": snapshot.version.0,
            "spans": snapshot.rows(),
            "admin_token": self.first_token,
        })
    }
}

/// The doors of SQL beside HTTP.
struct SqlDoors {
    postgres: Postgres,
    flight: Router,
}

struct Doors<'a> {
    ingest: &'a Ingest,
    auth: &'a Auth,
    web: Router,
    sampler: &'a Sampler,
    sql: SqlDoors,
    /// Where the page, the API and the doors of SQL are served.
    page: &'a Handle,
}

impl Doors<'_> {
    async fn open(self, listeners: &Listeners, config: &Config) -> anyhow::Result<Addresses> {
        let ask = |router: Router| Speaks::Http(router.layer(self.auth.layer(Role::Ingest)));
        let (at, page) = (&config.listen, self.page);
        let SqlDoors { postgres, flight } = self.sql;
        let postgres = Speaks::Postgres(postgres);
        Ok(Addresses {
            grpc: open(listeners, "grpc", at.grpc, ask(self.ingest.otlp_grpc())).await?,
            http: open(listeners, "http", at.http, ask(self.ingest.otlp_http())).await?,
            zipkin: open(listeners, "zipkin", at.zipkin, ask(self.ingest.zipkin())).await?,
            sampling: open(listeners, "sampling", at.sampling, ask(self.sampler.router())).await?,
            postgres: open_on(page, listeners, ("postgres", at.postgres), postgres).await?,
            flight: open_on(page, listeners, ("flight", at.flight), Speaks::Http(flight)).await?,
            ui: open_on(page, listeners, ("ui", at.ui), Speaks::Http(self.web)).await?,
        })
    }
}

async fn open(
    listeners: &Listeners,
    door: &str,
    at: Option<SocketAddr>,
    speaks: Speaks,
) -> anyhow::Result<Option<SocketAddr>> {
    open_on(&Handle::current(), listeners, (door, at), speaks).await
}

async fn open_on(
    runtime: &Handle,
    listeners: &Listeners,
    (door, at): (&str, Option<SocketAddr>),
    speaks: Speaks,
) -> anyhow::Result<Option<SocketAddr>> {
    let Some(at) = at else { return Ok(None) };
    let bound = listeners.open(at, speaks, runtime).await.with_context(|| {
        format!("listen on {at} (another address: --{door}-listen 127.0.0.1:PORT, or off)")
    })?;
    Ok(Some(bound))
}
