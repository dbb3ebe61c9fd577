//! A running query and its answer: rows cross from the query runtime through a short queue, under the time limit.
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::stream::{self, BoxStream, StreamExt};
use storage::{Kind, Snapshot};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use crate::engine::Started;
use crate::engine::damage::Damage;
use crate::{Error, Result};

/// A running answer. Dropping it stops the work.
pub struct Answer {
    /// Columns.
    pub schema: SchemaRef,
    /// Rows as they come; ends with an error where a limit was hit or a file is damaged.
    pub batches: BoxStream<'static, Result<RecordBatch>>,
    /// What the answer could not know, as `(name, value)`: `spans_without_parent`, `coverage`, ... From SQL: `truncated`
    /// where rows were left out, `rows_max` where the answer is long and will end there.
    pub notes: Vec<(&'static str, String)>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// Batches between the query and its reader; a slow reader stops the query.
const BATCHES_QUEUED_MAX: usize = 2;
/// An answer is read ahead up to here, so that an early error becomes a status and a short answer knows its end.
const ROWS_AHEAD: usize = 10_000;
const BYTES_AHEAD: usize = 4 << 20;

/// When a query has to end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    deadline: Instant,
    time_max: Duration,
    rows_max: Option<usize>,
}

impl Limits {
    pub(crate) fn from_now(time_max: Duration, rows_max: Option<usize>) -> Self {
        Self { deadline: Instant::now() + time_max, time_max, rows_max }
    }

    /// What `work` gives, or that the time is over. Runs on the caller's threads, which a busy query cannot hold up.
    pub(crate) async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        timeout_at(self.deadline, work).await.map_err(|_| {
            let seconds = self.time_max.as_secs_f64();
            let message = format!(
                "the query was stopped after {seconds} s; narrow the time range or aggregate more"
            );
            Error::new(Kind::TimedOut, message)
        })
    }
}

/// Stops the work when nobody wants its rows any more.
#[derive(Debug)]
struct Stop(AbortHandle);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Header {
    schema: SchemaRef,
    notes: Vec<(&'static str, String)>,
}

enum Message {
    Batch(RecordBatch),
    End,
}

/// Runs `work` on `threads` within `limits`; it stops where nobody waits for it any more.
pub(crate) async fn on<T: Send + 'static>(
    threads: &Handle,
    work: impl Future<Output = Result<T>> + Send + 'static,
    limits: Limits,
) -> Result<T> {
    let task = threads.spawn(work);
    let _stop = Stop(task.abort_handle());
    limits.within(task).await?.map_err(|_| lost())?
}

/// A query on its way.
pub(crate) struct Running {
    header: oneshot::Receiver<Result<Header>>,
    rows: Rows,
}

impl Running {
    /// Plans by `begin` and runs the plan on `threads`; `permit` is kept until the work has ended. Where files of the
    /// snapshot turn out to be damaged, they are named in the log.
    pub(crate) fn start(
        threads: &Handle,
        (snapshot, damage): (Arc<Snapshot>, Arc<Damage>),
        begin: impl Future<Output = Result<Started>> + Send + 'static,
        permit: OwnedSemaphorePermit,
        limits: Limits,
    ) -> Self {
        let (header_sender, header) = oneshot::channel();
        let (sender, messages) = mpsc::channel(BATCHES_QUEUED_MAX);
        let task = threads.spawn(async move {
            let _permit = permit;
            pump(begin, header_sender, sender, (&snapshot, &damage)).await;
        });
        let left = limits.rows_max;
        let stop = Stop(task.abort_handle());
        Self { header, rows: Rows { messages, limits, left, state: State::Open, _stop: stop } }
    }

    /// The answer, once its columns and its first rows are known.
    pub(crate) async fn answer(mut self) -> Result<Answer> {
        let limits = self.rows.limits;
        let header = limits.within(self.header).await?;
        let Header { schema, mut notes } = header.map_err(|_| lost())??;
        let (mut ahead, mut rows, mut bytes) = (Vec::new(), 0, 0);
        while rows < ROWS_AHEAD && bytes < BYTES_AHEAD {
            let Some(batch) = self.rows.next().await? else { break };
            rows += batch.num_rows();
            bytes += batch.get_array_memory_size();
            ahead.push(Ok(batch));
        }
        match (self.rows.state, limits.rows_max) {
            (State::Cut, Some(max)) => {
                notes.push(("truncated", format!("only the first {max} rows are here")));
            }
            (State::Open, Some(max)) => notes.push(("rows_max", max.to_string())),
            _ => {}
        }
        let rest = stream::unfold(Some(self.rows), |rows| async {
            let mut rows = rows?;
            match rows.next().await {
                Ok(Some(batch)) => Some((Ok(batch), Some(rows))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        // Fused: an encoder may ask again after the end, as a chain of streams does.
        let batches = stream::iter(ahead).chain(rest.fuse()).fuse().boxed();
        Ok(Answer { schema, batches, notes })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// More may come.
    Open,
    /// All rows came.
    Complete,
    /// The row limit was reached and there were more.
    Cut,
}

struct Rows {
    messages: mpsc::Receiver<Result<Message>>,
    limits: Limits,
    left: Option<usize>,
    state: State,
    _stop: Stop,
}

impl Rows {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.state != State::Open {
            return Ok(None);
        }
        let batch = match self.limits.within(self.messages.recv()).await? {
            Some(Ok(Message::Batch(batch))) => batch,
            Some(Ok(Message::End)) => {
                self.state = State::Complete;
                return Ok(None);
            }
            Some(Err(error)) => return Err(error),
            None => return Err(lost()),
        };
        let Some(left) = &mut self.left else { return Ok(Some(batch)) };
        if batch.num_rows() > *left {
            self.state = State::Cut;
            let kept = batch.slice(0, *left);
            return Ok((kept.num_rows() > 0).then_some(kept));
        }
        *left -= batch.num_rows();
        Ok(Some(batch))
    }
}

/// The work ended without a word: it panicked, or the runtime is going down.
fn lost() -> Error {
    Error::new(Kind::Internal, "the query ended unexpectedly; please report it with the request id")
}

/// Runs on the query runtime: plans, then sends rows until they end or nobody listens.
async fn pump(
    begin: impl Future<Output = Result<Started>>,
    header: oneshot::Sender<Result<Header>>,
    messages: mpsc::Sender<Result<Message>>,
    (snapshot, damage): (&Snapshot, &Damage),
) {
    let mut rows = match begin.await {
        Ok(Started { rows, notes }) => {
            if header.send(Ok(Header { schema: rows.schema(), notes })).is_err() {
                return;
            }
            rows
        }
        Err(error) => {
            damage.name(&error, snapshot).await;
            // Nobody listening is fine: the question was withdrawn.
            let _ = header.send(Err(error));
            return;
        }
    };
    while let Some(batch) = rows.next().await {
        let failed = batch.is_err();
        let message = batch.map(Message::Batch).map_err(Error::from);
        if let Err(error) = &message {
            damage.name(error, snapshot).await;
        }
        if messages.send(message).await.is_err() || failed {
            return;
        }
    }
    let _ = messages.send(Ok(Message::End)).await;
}
