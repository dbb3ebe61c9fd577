//! `spanlake token`: who may do what. Works beside a running server, which reads the file of tokens again.
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use storage::time::NANOS_PER_SECOND;
use storage::{Clock, SystemClock};
use web::{Auth, Role};

use super::{Format, Usage, columns, confirm, say, usage};
use crate::config::value::parse_duration;
use crate::config::{Config, Flags, environment};
use crate::running::tokens_file;

/// Create, list or revoke tokens of a data folder.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spanlake token create collector --role ingest --expires 365d
  spanlake token list
  spanlake token revoke collector --yes")]
pub(crate) struct Token {
    #[command(subcommand)]
    action: Action,
    /// How to print
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Format,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a token and print it, this once
    Create {
        /// A name for people
        name: String,
        /// ingest (send spans), query (ask) or admin (both, and change the table)
        #[arg(long)]
        role: String,
        /// Void after this, e.g. 90d [default: never]
        #[arg(long, value_name = "DURATION")]
        expires: Option<String>,
    },
    /// All tokens, without their texts
    List,
    /// Make a token void at once
    Revoke {
        /// Its name
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

impl Token {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(&self.flags, &environment()).context(Usage)?;
        let file = tokens_file(&config);
        if let Some(folder) = file.parent().filter(|folder| !folder.is_dir()) {
            bail!("there is no data folder {}; name it with --data", folder.display());
        }
        let auth = Auth::open(file, false, Arc::new(SystemClock))?;
        match &self.action {
            Action::Create { name, role, expires } => {
                let role: Role =
                    role.parse().map_err(|error: web::Error| usage(error.to_string()))?;
                let lifetime = expires.as_deref().map(parse_duration).transpose();
                let secret = auth.create(name, role, lifetime.map_err(usage)?)?;
                let text = secret.expose();
                match self.format {
                    Format::Text => say(&format!("{text}\n")),
                    Format::Json => say(&format!("{}\n", json!({"name": name, "token": text}))),
                }
            }
            Action::List => say(&list(&auth, self.format)?),
            Action::Revoke { name, yes } => {
                confirm(&format!("Clients with the token {name:?} will be refused."), *yes)?;
                if !auth.revoke(name)? {
                    bail!("there is no token {name:?}; see spanlake token list");
                }
                say(&format!("{name} is revoked\n"));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn date(unix_nano: i64) -> String {
    let time = chrono::DateTime::from_timestamp(unix_nano / NANOS_PER_SECOND, 0);
    time.map_or_else(String::new, |time| time.format("%Y-%m-%d %H:%M").to_string())
}

fn list(auth: &Auth, format: Format) -> anyhow::Result<String> {
    let now = SystemClock.now_unix_nano();
    let tokens = auth.list()?;
    if format == Format::Json {
        let rows = tokens.iter().map(|token| {
            json!({
                "name": token.name,
                "role": token.role.as_str(),
                "created_unix_nano": token.created_unix_nano,
                "expires_unix_nano": token.expires_unix_nano,
            })
        });
        return Ok(format!("{}\n", serde_json::Value::Array(rows.collect())));
    }
    let rows = tokens.iter().map(|token| {
        let expires = token.expires_unix_nano.map_or_else(
            || "never".to_owned(),
            |at| if at <= now { "expired".to_owned() } else { date(at) },
        );
        vec![
            token.name.clone(),
            token.role.as_str().to_owned(),
            date(token.created_unix_nano),
            expires,
        ]
    });
    Ok(columns(&["name", "role", "created (UTC)", "expires"], &rows.collect::<Vec<_>>()))
}
