//! Settings: defaults, then the TOML file, then the environment, then flags; the later wins.
//!
//! The only reader of the environment and of the configuration file. Every setting is one row of
//! [`settings::SETTINGS`].
pub(crate) mod retention;
mod rules;
mod settings;
#[cfg(test)]
mod tests;
pub(crate) mod value;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use storage::config::{Durability, Location};

use settings::{SETTINGS, find};

/// The doors; `None` is closed.
#[derive(Debug, Clone)]
pub(crate) struct Listen {
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
    /// PostgreSQL's wire protocol; closed unless asked for.
    pub postgres: Option<SocketAddr>,
    /// Arrow Flight SQL; closed unless asked for.
    pub flight: Option<SocketAddr>,
}

impl Listen {
    fn doors(&mut self) -> [(&'static str, &mut Option<SocketAddr>); 7] {
        [
            ("listen.grpc", &mut self.grpc),
            ("listen.http", &mut self.http),
            ("listen.zipkin", &mut self.zipkin),
            ("listen.ui", &mut self.ui),
            ("listen.sampling", &mut self.sampling),
            ("listen.postgres", &mut self.postgres),
            ("listen.flight", &mut self.flight),
        ]
    }

    /// True where other machines reach some door.
    fn is_public(&self) -> bool {
        let Self { grpc, http, zipkin, ui, sampling, postgres, flight } = self;
        [grpc, http, zipkin, ui, sampling, postgres, flight]
            .into_iter()
            .flatten()
            .any(|address| !address.ip().is_loopback())
    }
}

/// Limits of the listeners.
#[derive(Debug, Clone)]
pub(crate) struct HttpLimits {
    /// Header must be complete.
    pub header_time_max: Duration,
    /// Pause inside a body.
    pub body_idle_max: Duration,
    /// Until the answer's header.
    pub request_time_max: Duration,
    /// Idle connection.
    pub keep_alive: Duration,
    /// Then a connection is asked to close.
    pub connection_age_max: Duration,
    /// All doors.
    pub connections_max: usize,
    /// One address.
    pub connections_per_address_max: usize,
    /// Headers of one request.
    pub header_bytes_max: usize,
    /// HTTP/2 streams of a connection.
    pub streams_max: usize,
    /// At the end.
    pub drain_time_max: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            header_time_max: Duration::from_secs(10),
            body_idle_max: Duration::from_secs(15),
            request_time_max: Duration::from_secs(60),
            keep_alive: Duration::from_secs(75),
            connection_age_max: Duration::from_secs(3_600),
            connections_max: 10_000,
            connections_per_address_max: 256,
            header_bytes_max: 16 << 10,
            streams_max: 128,
            drain_time_max: Duration::from_secs(10),
        }
    }
}

/// All settings of a process.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Folder or URL, as written.
    pub data: String,
    /// Log folder of remote tables.
    pub wal: PathBuf,
    /// Addresses beyond this machine are allowed.
    pub insecure: bool,
    /// Log filter.
    pub log: String,
    /// `text` or `json`.
    pub log_format: String,
    /// `fsync` or `os`.
    pub durability: String,
    /// Doors.
    pub listen: Listen,
    /// Host names that the page answers for, beside this machine's own.
    pub hosts: Vec<String>,
    /// Listener limits.
    pub http: HttpLimits,
    /// Door limits.
    pub ingest: ingest::Config,
    /// Table settings; `location`, `wal_dir` and `durability` are filled in by [`Config::table`].
    pub storage: storage::Config,
    /// Query limits.
    pub query: query::Config,
    /// Limits of the live tail.
    pub tail: web::TailConfig,
    /// Credentials and endpoint for object stores: `[storage.options]`, and `AWS_*`, `GOOGLE_*`, `AZURE_*`.
    pub store_options: BTreeMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        let at = |port| Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
        Self {
            data: "./spanlake-data".into(),
            wal: "./spanlake-wal".into(),
            insecure: false,
            log: "info".into(),
            log_format: "text".into(),
            durability: "fsync".into(),
            listen: Listen {
                grpc: at(4317),
                http: at(4318),
                zipkin: at(9411),
                ui: at(8080),
                sampling: at(5778),
                postgres: None,
                flight: None,
            },
            hosts: Vec::new(),
            http: HttpLimits::default(),
            ingest: ingest::Config::default(),
            storage: storage::Config::in_folder("./spanlake-data"),
            query: query::Config::default(),
            tail: web::TailConfig::default(),
            store_options: BTreeMap::new(),
        }
    }
}

/// Flags that every command with a table takes.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Flags {
    /// Configuration file [env: SPANLAKE_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the tables lie: a folder, or s3://bucket/prefix, gs://, az:// [default: ./spanlake-data]
    #[arg(long, global = true, value_name = "DIR|URL")]
    pub data: Option<String>,
    /// Local folder of the write-ahead log of a remote table [default: ./spanlake-wal]
    #[arg(long, global = true, value_name = "DIR")]
    pub wal: Option<PathBuf>,
    /// Any setting of the configuration file, e.g. --set query.time_max=60s (repeatable)
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// Flags of the commands that listen.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ListenFlags {
    /// Host of all doors, e.g. 0.0.0.0; with :0 on any free ports
    #[arg(long, value_name = "HOST[:0]")]
    pub listen: Option<String>,
    /// OTLP over gRPC, or off [default: 127.0.0.1:4317]
    #[arg(long, value_name = "ADDRESS")]
    pub grpc_listen: Option<String>,
    /// OTLP over HTTP, or off [default: 127.0.0.1:4318]
    #[arg(long, value_name = "ADDRESS")]
    pub http_listen: Option<String>,
    /// Zipkin v2, or off [default: 127.0.0.1:9411]
    #[arg(long, value_name = "ADDRESS")]
    pub zipkin_listen: Option<String>,
    /// Page and API, or off [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub ui_listen: Option<String>,
    /// Jaeger's remote sampling, or off [default: 127.0.0.1:5778]
    #[arg(long, value_name = "ADDRESS")]
    pub sampling_listen: Option<String>,
    /// PostgreSQL's wire protocol, e.g. 127.0.0.1:5432 [default: off]
    #[arg(long, value_name = "ADDRESS")]
    pub postgres_listen: Option<String>,
    /// Arrow Flight SQL, e.g. 127.0.0.1:31337 [default: off]
    #[arg(long, value_name = "ADDRESS")]
    pub flight_listen: Option<String>,
    /// Allow addresses that other machines reach, without TLS; tokens are then required everywhere
    #[arg(long)]
    pub insecure: bool,
    /// Age beyond which partitions leave the table, or never [default: 7d]
    #[arg(long, value_name = "DURATION")]
    pub ttl: Option<String>,
    /// Spans are in a file after this at the latest [default: 60s]
    #[arg(long, value_name = "DURATION")]
    pub flush_interval: Option<String>,
    /// Log as JSON lines
    #[arg(long)]
    pub log_json: bool,
}

/// The environment of this process.
pub(crate) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// For tests of a debug build: `SPANLAKE_KILL_AT` names the point at which the process ends (docs/reliability.md), after so
/// many passes where `*` and a number follow.
///
/// # Errors
/// There is no such point.
pub(crate) fn arm_kill_point(environment: &BTreeMap<String, String>) -> Result<(), String> {
    let Some(text) = environment.get("SPANLAKE_KILL_AT") else { return Ok(()) };
    let (point, times) = text.rsplit_once('*').unwrap_or((text, "0"));
    let times = times.parse().map_err(|_| format!("{times:?} is no number of passes"))?;
    storage::fault::arm(point, times)
}

impl Config {
    /// Settings from `flags`, `environment` and the file that either names.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key (the message names the nearest), a wrong value.
    pub(crate) fn load(
        flags: &Flags,
        environment: &BTreeMap<String, String>,
    ) -> anyhow::Result<Self> {
        let mut config = Self::default();
        let file = flags.config.clone();
        let file = file.or_else(|| environment.get("SPANLAKE_CONFIG").map(PathBuf::from));
        if let Some(file) = file {
            config.read_file(&file)?;
        }
        config.read_environment(environment)?;
        if let Some(data) = &flags.data {
            config.data.clone_from(data);
        }
        if let Some(wal) = &flags.wal {
            config.wal.clone_from(wal);
        }
        for pair in &flags.set {
            let (key, value) = pair.split_once('=').with_context(|| {
                format!("--set {pair:?} is not KEY=VALUE, e.g. query.time_max=60s")
            })?;
            config.assign(key.trim(), value.trim()).map_err(anyhow::Error::msg)?;
        }
        Ok(config)
    }

    /// As [`Config::load`], with the flags of a listening command on top.
    ///
    /// # Errors
    /// As there; and where an address is reachable from other machines without `--insecure`.
    pub(crate) fn load_listening(
        flags: &Flags,
        listen: &ListenFlags,
        environment: &BTreeMap<String, String>,
    ) -> anyhow::Result<Self> {
        let mut config = Self::load(flags, environment)?;
        config.insecure |= listen.insecure;
        if listen.log_json {
            config.log_format = "json".into();
        }
        if let Some(host) = &listen.listen {
            config.listen_on(host).map_err(anyhow::Error::msg)?;
        }
        let flags = [
            ("listen.grpc", &listen.grpc_listen),
            ("listen.http", &listen.http_listen),
            ("listen.zipkin", &listen.zipkin_listen),
            ("listen.ui", &listen.ui_listen),
            ("listen.sampling", &listen.sampling_listen),
            ("listen.postgres", &listen.postgres_listen),
            ("listen.flight", &listen.flight_listen),
            ("ttl", &listen.ttl),
            ("storage.flush_interval", &listen.flush_interval),
        ];
        for (key, text) in flags {
            if let Some(text) = text {
                config.assign(key, text).map_err(anyhow::Error::msg)?;
            }
        }
        config.refuse_open_doors()?;
        Ok(config)
    }

    fn assign(&mut self, key: &str, text: &str) -> Result<(), String> {
        let setting = find(key)?;
        (setting.field)(self).assign(text).map_err(|wrong| format!("{key}: {wrong}"))?;
        self.check(key)
    }

    /// Values that are one of a few words, and shares.
    fn check(&self, key: &str) -> Result<(), String> {
        let sampling = &self.ingest.sampling;
        let share = match key {
            "sampling.rate" => Some(sampling.rate),
            "sampling.source_rate" => Some(sampling.source_rate),
            "sampling.rate_min" => Some(sampling.rate_min),
            _ => None,
        };
        if let Some(share) = share.filter(|share| *share <= 0.0 || *share > 1.0) {
            return Err(format!("{key}: {share} is no share; write more than 0, at most 1"));
        }
        if key == "sampling.interval" && sampling.interval < Duration::from_secs(1) {
            return Err(format!("{key}: a window takes a second at least"));
        }
        let (value, allowed) = match key {
            "log_format" => (&self.log_format, ["text", "json"]),
            "storage.durability" => (&self.durability, ["fsync", "os"]),
            _ => return Ok(()),
        };
        if allowed.contains(&value.as_str()) {
            return Ok(());
        }
        Err(format!("{key}: {value:?} is neither {} nor {}", allowed[0], allowed[1]))
    }

    fn read_file(&mut self, file: &Path) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("read the configuration file {}", file.display()))?;
        self.read_toml(&text).with_context(|| format!("in {}", file.display()))
    }

    fn read_toml(&mut self, text: &str) -> anyhow::Result<()> {
        let table: toml::Table = text.parse()?;
        for (key, value) in &table {
            let toml::Value::Table(section) = value else {
                self.assign(key, &plain(value)?).map_err(anyhow::Error::msg)?;
                continue;
            };
            for (name, value) in section {
                if let ("storage", "options", toml::Value::Table(options)) =
                    (key.as_str(), name.as_str(), value)
                {
                    for (option, value) in options {
                        self.store_options.insert(option.to_lowercase(), plain(value)?);
                    }
                    continue;
                }
                let key = format!("{key}.{name}");
                let value = match value {
                    toml::Value::Array(_) if key == rules::KEY || key == retention::KEY => {
                        value.to_string()
                    }
                    _ => plain(value).with_context(|| key.clone())?,
                };
                self.assign(&key, &value).map_err(anyhow::Error::msg)?;
            }
        }
        Ok(())
    }

    fn read_environment(&mut self, environment: &BTreeMap<String, String>) -> anyhow::Result<()> {
        for (name, value) in environment {
            let option = name.to_lowercase();
            if is_store_option(&option) {
                self.store_options.entry(option).or_insert_with(|| value.clone());
            }
            match settings::of_variable(name) {
                Ok(Some(setting)) => self
                    .assign(setting.key, value)
                    .map_err(|wrong| anyhow::anyhow!("{name}: {wrong}"))?,
                Ok(None) => {}
                Err(unknown) => bail!(unknown),
            }
        }
        Ok(())
    }

    /// `HOST`, or `HOST:0`.
    fn listen_on(&mut self, text: &str) -> Result<(), String> {
        let wrong = || format!("--listen {text:?} is not an IP address, nor one with :0");
        let (host, port) = match text.parse::<SocketAddr>() {
            Ok(address) if address.port() == 0 => (address.ip(), Some(0)),
            Ok(_) => return Err(format!("{}; for one door use --ui-listen and the like", wrong())),
            Err(_) => (text.parse::<IpAddr>().map_err(|_| wrong())?, None),
        };
        for (_, field) in self.listen.doors() {
            if let Some(address) = field {
                *address = SocketAddr::new(host, port.unwrap_or(address.port()));
            }
        }
        Ok(())
    }

    fn refuse_open_doors(&mut self) -> anyhow::Result<()> {
        if self.insecure {
            return Ok(());
        }
        for (door, address) in self.listen.doors() {
            if let Some(address) = address.filter(|address| !address.ip().is_loopback()) {
                bail!(
                    "{door} would listen on {address}, which other machines can reach, without TLS. \
                     Either keep 127.0.0.1 and put a proxy with TLS in front, or pass --insecure: \
                     then every door asks for a token, and tokens and spans travel unencrypted."
                );
            }
        }
        Ok(())
    }

    /// True where some door is reachable from other machines: then every door asks for a token.
    pub(crate) fn tokens_required(&self) -> bool {
        self.listen.is_public()
    }

    /// True where the table is a local folder.
    pub(crate) fn is_local(&self) -> bool {
        !self.data.contains("://")
    }

    /// The store's settings.
    pub(crate) fn table(&self) -> storage::Config {
        let mut table = self.storage.clone();
        table.durability = if self.durability == "os" { Durability::Os } else { Durability::Fsync };
        if self.is_local() {
            table.location = Location::Folder(PathBuf::from(&self.data));
            return table;
        }
        table.location = Location::ObjectStore {
            url: self.data.clone(),
            options: self.store_options.clone().into_iter().collect(),
        };
        table.wal_dir = Some(self.wal.join(&table.tenant));
        table
    }

    /// Where tokens and the like are kept: the data folder, or the log's folder for a remote table.
    pub(crate) fn private_dir(&self) -> PathBuf {
        if self.is_local() { PathBuf::from(&self.data) } else { self.wal.clone() }
    }

    /// The configuration file that gives exactly these settings, with a comment for each.
    pub(crate) fn annotated(&mut self) -> String {
        let mut text = String::from(
            "# Spanlake's settings. Each may also be given as --set KEY=VALUE or as the environment\n\
             # variable SPANLAKE_KEY (capitals, _ for .). Flags win over the environment, which wins over this file.\n",
        );
        let mut section = "";
        for setting in SETTINGS {
            let (of, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
            if of != section {
                section = of;
                text.push_str(&format!("\n[{section}]\n"));
            }
            let shown = (setting.field)(self).show();
            let bare = setting.key == rules::KEY
                || shown.parse::<u64>().is_ok()
                || shown.parse::<bool>().is_ok()
                || is_plain_fraction(&shown);
            let shown = if bare { shown } else { toml::Value::String(shown).to_string() };
            text.push_str(&format!("# {}\n{name} = {shown}\n", setting.about));
        }
        text.push_str(
            "\n# Object stores: aws_endpoint, aws_region, aws_access_key_id, google_service_account, ...;\n\
             # the usual AWS_*, GOOGLE_* and AZURE_* environment variables are read too.\n\
             # [storage.options]\n# aws_endpoint = \"http://127.0.0.1:9000\"\n",
        );
        text
    }
}

fn plain(value: &toml::Value) -> anyhow::Result<String> {
    Ok(match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(yes) => yes.to_string(),
        other => bail!("a {} is not a value for a setting", other.type_str()),
    })
}

/// `0.25`, in the form in which TOML gives it back.
fn is_plain_fraction(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && text.contains('.')
        && text.parse::<f64>().is_ok_and(|number| number.to_string() == text)
}

/// True for the names that an object store's builder knows: `aws_endpoint`, not `aws_ca_bundle`, which other
/// programs read.
fn is_store_option(name: &str) -> bool {
    (name.starts_with("aws_") && name.parse::<object_store::aws::AmazonS3ConfigKey>().is_ok())
        || (name.starts_with("google_")
            && name.parse::<object_store::gcp::GoogleConfigKey>().is_ok())
        || (name.starts_with("azure_")
            && name.parse::<object_store::azure::AzureConfigKey>().is_ok())
}
