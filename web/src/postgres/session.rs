//! A session after the login: one message after the other.
mod answering;
mod extended;

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::time::Duration;

use arrow::datatypes::{DataType, Field};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};

use self::answering::Answering;
use self::extended::{Portal, Prepared};
use super::cancel::Entered;
use super::command::{Command, Settings, command, statements};
use super::input::{Input, MESSAGE_BYTES_MAX, Message};
use super::output::{ColumnHead, Output, Transaction};
use super::refusal::Refusal;
use super::startup::Client;
use super::{Shared, cells};

/// A portal that waits for its client keeps a place among the running queries; not for longer than this.
const SUSPENDED_MAX: Duration = Duration::from_secs(60);

/// Why a message was not answered as hoped.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection is no more.
    Gone(io::Error),
    /// The client is told; the session goes on.
    Refused(Refusal),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<query::Error> for Failure {
    fn from(error: query::Error) -> Self {
        Self::Refused(error.into())
    }
}

type Result<T, E = Failure> = std::result::Result<T, E>;

/// One client's session.
pub(super) struct Session<'a, R, W> {
    shared: &'a Shared,
    input: Input<R>,
    output: Output<W>,
    settings: Settings,
    entered: Entered,
    transaction: Transaction,
    /// After an error in the extended protocol everything up to Sync is passed over.
    is_skipping: bool,
    /// When the running statement ends, if the client set `statement_timeout`.
    deadline: Option<Instant>,
    statements: HashMap<String, Prepared>,
    portals: HashMap<String, Portal>,
}

impl<'a, R, W> Session<'a, R, W>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    pub(super) fn new(shared: &'a Shared, client: Client<R, W>) -> Self {
        let Client { input, output, settings, entered } = client;
        Self {
            shared,
            input,
            output,
            settings,
            entered,
            transaction: Transaction::None,
            is_skipping: false,
            deadline: None,
            statements: HashMap::new(),
            portals: HashMap::new(),
        }
    }

    /// Answers messages until the client leaves, or `ending` is ready and nothing runs.
    pub(super) async fn run(mut self, ending: impl Future<Output = ()> + Send) -> io::Result<()> {
        let mut ending = pin!(ending);
        loop {
            let message = tokio::select! {
                biased;
                () = &mut ending => Some(Err(Refusal::fatal("57P01", "the server is shutting down"))),
                message = self.next() => message?,
            };
            let message = match message {
                None | Some(Ok(Message::Terminate)) => return Ok(()),
                Some(Ok(message)) => message,
                Some(Err(refusal)) => {
                    self.output.refuse(&refusal);
                    return self.output.flush().await;
                }
            };
            let is_simple = matches!(message, Message::Query(_));
            match self.handle(message).await {
                Ok(()) => {}
                Err(Failure::Gone(error)) => return Err(error),
                Err(Failure::Refused(refusal)) if refusal.is_fatal => {
                    self.output.refuse(&refusal);
                    return self.output.flush().await;
                }
                Err(Failure::Refused(refusal)) => self.refuse(&refusal, is_simple),
            }
            if !self.input.has_more() {
                self.output.flush().await?;
            }
        }
    }

    /// The next message; on the way, portals that waited too long are given up.
    async fn next(&mut self) -> io::Result<Option<std::result::Result<Message, Refusal>>> {
        loop {
            let now = Instant::now();
            self.portals.retain(|_, portal| {
                portal.suspended_since().is_none_or(|since| since + SUSPENDED_MAX > now)
            });
            let is_suspended =
                self.portals.values().any(|portal| portal.suspended_since().is_some());
            let wait = if is_suspended { SUSPENDED_MAX } else { self.shared.config.idle_max };
            match timeout(wait, self.input.next(MESSAGE_BYTES_MAX)).await {
                Ok(message) => return message,
                Err(_) if is_suspended => {}
                Err(_) => {
                    let words = "terminating connection: nothing was asked for a long time";
                    return Ok(Some(Err(Refusal::fatal("57P05", words))));
                }
            }
        }
    }

    fn refuse(&mut self, refusal: &Refusal, is_simple: bool) {
        self.shared.counts.refused.add(1);
        self.output.refuse(refusal);
        self.portals.retain(|_, portal| portal.suspended_since().is_none());
        if self.transaction == Transaction::Open {
            self.transaction = Transaction::Failed;
        }
        if is_simple {
            self.output.ready(self.transaction);
        } else {
            self.is_skipping = true;
        }
    }

    async fn handle(&mut self, message: Message) -> Result<()> {
        match message {
            Message::Sync => {
                self.is_skipping = false;
                if self.transaction == Transaction::None {
                    self.portals.clear();
                }
                self.output.ready(self.transaction);
                Ok(())
            }
            Message::Unknown(kind) => {
                let words = format!("there is no message {:?}", char::from(kind));
                Err(Refusal::fatal("08P01", words).into())
            }
            Message::Password(_) => Err(Refusal::fatal("08P01", "nobody asked for a login").into()),
            _ if self.is_skipping => Ok(()),
            Message::Query(text) => self.simple(&text).await,
            Message::Parse { name, sql, types } => self.parse(name, sql, types).await,
            Message::Bind(bind) => self.bind(bind),
            Message::Describe(target) => self.describe(&target),
            Message::Execute { portal, rows_max } => self.execute(portal, rows_max).await,
            Message::Close(target) => {
                self.close(&target);
                Ok(())
            }
            Message::Flush => Ok(self.output.flush().await?),
            Message::Copy | Message::Terminate => Ok(()),
        }
    }

    /// The simple protocol: statements in one text, of which one may be a query.
    async fn simple(&mut self, text: &str) -> Result<()> {
        let texts = statements(text);
        let commands: Vec<Command> =
            texts.iter().map(|text| command(text)).collect::<std::result::Result<_, _>>()?;
        if commands.iter().filter(|command| **command == Command::Query).count() > 1 {
            return Err(Refusal::new("42601", "one statement at a time, please").into());
        }
        for (text, command) in texts.into_iter().zip(commands) {
            self.begin_statement(&command)?;
            match command {
                Command::Query => {
                    let answer = self.shared.engine.sql(text, Vec::new());
                    let answer = self.attended(answer).await??;
                    let mut answering = Answering::new(answer, text, &[]);
                    self.output.row_description(&answering.heads);
                    self.send_rows(&mut answering, 0).await?;
                }
                command => self.run_command(command, true)?,
            }
        }
        self.output.ready(self.transaction);
        Ok(())
    }

    /// What precedes every statement.
    fn begin_statement(&mut self, command: &Command) -> Result<()> {
        let ends = matches!(command, Command::Commit | Command::Rollback | Command::Empty);
        if self.transaction == Transaction::Failed && !ends {
            let words =
                "current transaction is aborted, commands ignored until end of transaction block";
            return Err(Refusal::new("25P02", words).into());
        }
        self.shared.counts.statements.add(1);
        self.entered.cancel.clear();
        self.deadline = self.settings.statement_timeout().map(|limit| Instant::now() + limit);
        Ok(())
    }

    /// Waits for `work`, for as long as the client is there and wants it.
    async fn attended<T>(&mut self, work: impl Future<Output = T>) -> Result<T> {
        let deadline = self.deadline;
        let late = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.entered.cancel.asked() => {
                self.shared.counts.cancelled.add(1);
                Err(Refusal::cancelled().into())
            }
            () = late => {
                Err(Refusal::new("57014", "canceling statement due to statement timeout").into())
            }
            () = self.input.gone() => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }

    /// Runs what is no query. In the extended protocol the row's description was asked for apart.
    fn run_command(&mut self, command: Command, with_description: bool) -> Result<()> {
        let tag = match command {
            Command::Empty | Command::Query => {
                self.output.bare(b'I');
                return Ok(());
            }
            Command::Begin => {
                if self.transaction == Transaction::None {
                    self.transaction = Transaction::Open;
                }
                "BEGIN"
            }
            Command::Commit => self.end_transaction("COMMIT"),
            Command::Rollback => {
                self.end_transaction("ROLLBACK");
                "ROLLBACK"
            }
            Command::Nothing(tag) => tag,
            Command::Deallocate(name) => {
                match name {
                    Some(name) => self.statements.retain(|known, _| *known != name),
                    None => self.statements.clear(),
                }
                "DEALLOCATE"
            }
            Command::Set { name, value } => {
                self.settings.set(&name, &value)?;
                if name == "application_name" {
                    self.output.parameter_status(&name, &value);
                }
                "SET"
            }
            Command::Reset(name) => {
                self.settings.reset(&name);
                "RESET"
            }
            Command::Show(name) => {
                let value = self.settings.show(&name)?;
                if with_description {
                    self.output.row_description(&[show_head(&name)]);
                }
                self.output.message(b'D', |out| {
                    super::output::count(out, 1);
                    let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
                    out.extend_from_slice(&length.to_be_bytes());
                    out.extend_from_slice(value.as_bytes());
                });
                "SHOW"
            }
        };
        self.output.complete(tag);
        Ok(())
    }

    /// A failed block can only be rolled back, whatever is said.
    fn end_transaction(&mut self, tag: &'static str) -> &'static str {
        let failed = self.transaction == Transaction::Failed;
        self.transaction = Transaction::None;
        self.portals.clear();
        if failed { "ROLLBACK" } else { tag }
    }
}

/// The one column of SHOW.
fn show_head(name: &str) -> ColumnHead {
    cells::head(&Field::new(name, DataType::Utf8, false), 0)
}
