//! `spanlake query`: one read-only statement, at a server or on a table.
use std::io::{IsTerminal, Read, Write};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use http::Method;

use super::block_on;
use crate::source::{Expiry, Source, SourceFlags};

/// Run one read-only SQL statement.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spanlake query \"SELECT service, count(*) FROM spans GROUP BY 1 ORDER BY 2 DESC\"
  spanlake query --server http://127.0.0.1:8080 \"SELECT * FROM dependencies('-1h', 'now')\"
  spanlake query --data ./old --format parquet \"SELECT * FROM latency()\" > latency.parquet
  spanlake query - < question.sql")]
pub(crate) struct Query {
    /// The statement; - reads it from standard input
    #[arg(value_name = "SQL")]
    sql: String,
    /// How rows are written [default: table on a terminal, json otherwise]
    #[arg(long, value_enum)]
    format: Option<Rows>,
    #[command(flatten)]
    source: SourceFlags,
}

/// Formats of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rows {
    Table,
    Csv,
    Json,
    Ndjson,
    Arrow,
    Parquet,
}

impl Rows {
    /// The name in `?format=`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
        }
    }

    /// What suits whoever reads standard output.
    pub(super) fn fitting() -> Self {
        if std::io::stdout().is_terminal() { Self::Table } else { Self::Json }
    }
}

impl Query {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let mut sql = self.sql;
        if sql == "-" {
            sql.clear();
            std::io::stdin().read_to_string(&mut sql)?;
        }
        let format = self.format.unwrap_or_else(Rows::fitting);
        // As text a statement never begins with a brace.
        let sql = format!("{}\n", sql.trim());
        block_on(async {
            let source = Source::open(&self.source, Expiry::Hold).await?;
            let path = format!("/api/v1/sql?format={}", format.name());
            let asked = ask(&source, Method::POST, &path, Some(sql), format == Rows::Json).await;
            source.close().await?;
            asked
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Copies an answer to standard output; JSON ends with a new line.
///
/// # Errors
/// The source refused, or standard output is closed.
pub(super) async fn ask(
    source: &Source,
    method: Method,
    path: &str,
    body: Option<String>,
    ends_open: bool,
) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout());
    source.copy(method, path, body, &mut out).await?;
    if ends_open {
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(())
}
