//! The extended protocol: statements are prepared, bound to values, and run in portions.
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use query::ScalarValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::answering::{Answering, Portion, heads};
use super::{Result, Session, show_head};
use crate::postgres::command::{Command, command, statements};
use crate::postgres::input::{Bind, Target};
use crate::postgres::refusal::Refusal;
use crate::postgres::{parameter, types};

/// Prepared statements, and separately portals, of one session.
const NAMES_MAX: usize = 256;

/// A statement that was read once; its values come later. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    command: Command,
    sql: Arc<str>,
    /// Types of the values, as the client and we call them.
    oids: Vec<u32>,
    parameters: Vec<DataType>,
    schema: Option<SchemaRef>,
}

/// A statement with its values.
pub(super) struct Portal {
    statement: Prepared,
    values: Vec<ScalarValue>,
    formats: Vec<i16>,
    state: State,
}

enum State {
    New,
    /// Rows are left; since when it waits.
    Suspended(Box<Answering>, Instant),
    Done,
}

impl Portal {
    /// Since when it keeps a place among the running queries without being asked.
    pub(super) fn suspended_since(&self) -> Option<Instant> {
        match &self.state {
            State::Suspended(_, since) => Some(*since),
            State::New | State::Done => None,
        }
    }
}

fn unknown_statement(name: &str) -> Refusal {
    Refusal::new("26000", format!("prepared statement {name:?} does not exist"))
}

fn unknown_portal(name: &str) -> Refusal {
    Refusal::new("34000", format!("portal {name:?} does not exist, or waited too long"))
}

impl<R, W> Session<'_, R, W>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    pub(super) async fn parse(&mut self, name: String, sql: String, oids: Vec<u32>) -> Result<()> {
        if !name.is_empty() && self.statements.contains_key(&name) {
            let words = format!("prepared statement {name:?} already exists");
            return Err(Refusal::new("42P05", words).into());
        }
        if self.statements.len() >= NAMES_MAX {
            let words = format!("{NAMES_MAX} statements are prepared; DEALLOCATE some");
            return Err(Refusal::new("53400", words).into());
        }
        let [sql] = statements(&sql)[..] else {
            let words = "cannot insert multiple commands into a prepared statement";
            return Err(Refusal::new("42601", words).into());
        };
        let prepared = self.prepare(sql, oids).await?;
        self.statements.insert(name, prepared);
        self.output.bare(b'1');
        Ok(())
    }

    async fn prepare(&mut self, sql: &str, mut oids: Vec<u32>) -> Result<Prepared> {
        let command = command(sql)?;
        let mut prepared = Prepared {
            command,
            sql: Arc::from(sql),
            oids: Vec::new(),
            parameters: Vec::new(),
            schema: None,
        };
        if prepared.command != Command::Query {
            return Ok(prepared);
        }
        self.begin_statement(&prepared.command)?;
        let hints = oids.iter().map(|oid| types::of_parameter(*oid)).collect();
        let description = self.shared.engine.describe(sql, hints);
        let description = self.attended(description).await??;
        oids.resize(description.parameters.len(), 0);
        for (oid, wanted) in oids.iter_mut().zip(&description.parameters) {
            if types::of_parameter(*oid).is_none() {
                *oid = types::of(wanted);
            }
        }
        prepared.oids = oids;
        prepared.parameters = description.parameters;
        prepared.schema = Some(description.schema);
        Ok(prepared)
    }

    pub(super) fn bind(&mut self, bind: Bind) -> Result<()> {
        let Bind { portal, statement, formats, values, result_formats } = bind;
        let found = self.statements.get(&statement);
        let statement = found.ok_or_else(|| unknown_statement(&statement))?.clone();
        if self.portals.len() >= NAMES_MAX {
            return Err(Refusal::new("53400", format!("{NAMES_MAX} portals are open")).into());
        }
        let (needed, given) = (statement.parameters.len(), values.len());
        if needed != given {
            let words = format!("the statement has {needed} parameters, {given} were given");
            return Err(Refusal::new("08P01", words).into());
        }
        let format = |index: usize| match formats[..] {
            [] => 0,
            [all] => all,
            _ => formats.get(index).copied().unwrap_or(0),
        };
        let types = statement.oids.iter().zip(&statement.parameters);
        let values = values.iter().zip(types).enumerate().map(|(index, (value, (oid, wanted)))| {
            parameter::read(value.as_deref(), format(index), *oid, wanted)
        });
        let values = values.collect::<std::result::Result<_, _>>()?;
        let bound = Portal { statement, values, formats: result_formats, state: State::New };
        self.portals.insert(portal, bound);
        self.output.bare(b'2');
        Ok(())
    }

    pub(super) fn describe(&mut self, target: &Target) -> Result<()> {
        let (statement, formats) = match target {
            Target::Statement(name) => {
                let statement = self.statements.get(name).ok_or_else(|| unknown_statement(name))?;
                self.output.parameter_description(&statement.oids);
                (statement, &[][..])
            }
            Target::Portal(name) => {
                let portal = self.portals.get(name).ok_or_else(|| unknown_portal(name))?;
                (&portal.statement, &portal.formats[..])
            }
        };
        match (&statement.schema, &statement.command) {
            (Some(schema), _) => self.output.row_description(&heads(schema, formats)),
            (None, Command::Show(name)) => self.output.row_description(&[show_head(name)]),
            (None, _) => self.output.bare(b'n'),
        }
        Ok(())
    }

    pub(super) async fn execute(&mut self, name: String, rows_max: usize) -> Result<()> {
        let mut portal = self.portals.remove(&name).ok_or_else(|| unknown_portal(&name))?;
        self.begin_statement(&portal.statement.command)?;
        if portal.statement.command != Command::Query {
            return self.run_command(portal.statement.command, false);
        }
        let mut answering = match std::mem::replace(&mut portal.state, State::Done) {
            State::New => Box::new(self.start(&mut portal).await?),
            State::Suspended(answering, _) => answering,
            State::Done => {
                self.output.complete("SELECT 0");
                self.portals.insert(name, portal);
                return Ok(());
            }
        };
        if self.send_rows(&mut answering, rows_max).await? == Portion::Full {
            portal.state = State::Suspended(answering, Instant::now());
        }
        self.portals.insert(name, portal);
        Ok(())
    }

    /// Runs a bound statement.
    async fn start(&mut self, portal: &mut Portal) -> Result<Answering> {
        let Portal { statement, values, formats, .. } = portal;
        let answer = self.shared.engine.sql(&statement.sql, std::mem::take(values));
        let answer = self.attended(answer).await??;
        let answering = Answering::new(answer, &statement.sql, formats);
        // The client was told the columns when it prepared the statement; a new attribute may have got one since.
        let told = statement.schema.as_ref().map(|schema| heads(schema, formats));
        let types = |heads: &[crate::postgres::output::ColumnHead]| {
            heads.iter().map(|head| head.oid).collect::<Vec<_>>()
        };
        if told.as_deref().map(types) != Some(types(&answering.heads)) {
            let words =
                "the columns of the answer have changed since it was prepared; prepare it again";
            return Err(Refusal::new("0A000", words).into());
        }
        Ok(answering)
    }

    pub(super) fn close(&mut self, target: &Target) {
        match target {
            Target::Statement(name) => drop(self.statements.remove(name)),
            Target::Portal(name) => drop(self.portals.remove(name)),
        }
        self.output.bare(b'3');
    }
}
