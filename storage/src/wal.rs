//! Write-ahead log: makes a request durable before its spans are in a Parquet file.
//!
//! Owns the files of one folder: segments (`*.log`), the log's id (`ID`) and recently stored requests (`*.recent`).
//! Layout: docs/format.md#wal. Knows the table only as a position up to which entries are in files.
//!
//! ```text
//! append -> Message -> writer thread: gather a group -> write -> [decode beside it] fsync -> Group -> publisher
//! ```
mod folder;
pub(crate) mod image;
mod layout;
mod read;
mod recent;
mod replay;
mod segment;
mod status;
mod writer;

#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use uuid::Uuid;

use crate::config::BODY_BYTES_MAX;
use crate::entry::{Appended, Compressed, Decoded, Entry, FORMAT_MAX};
use crate::error::{Error, Result};
use crate::id::WalSeq;

#[cfg(test)]
pub(crate) use folder::Append;
pub(crate) use folder::{Disk, Folder, write_whole};
pub(crate) use layout::Logged;
pub(crate) use recent::{Fingerprint, Recent};
pub(crate) use replay::{Recovery, Replay, ReplayGroup};
pub(crate) use status::Status;
pub(crate) use writer::{Parts, Settings, Writer};

const ID_FILE: &str = "ID";
/// Bodies on their way through the log at one time. Two of the largest fit, or one beside its compressed form; a hundred clients with requests of 1 MiB
/// do not wait for each other.
const IN_FLIGHT_BYTES: usize = 2 * BODY_BYTES_MAX;
/// What a request counts at least, so that the number of small ones is bounded too (32,768).
const REQUEST_BYTES_MIN: usize = 4096;

/// One request on its way into the log.
#[derive(Debug)]
pub(crate) struct Request {
    logged: Logged,
    /// Held until the answer is sent: bounds the bytes in flight.
    permit: OwnedSemaphorePermit,
    answer: oneshot::Sender<Result<Appended>>,
}

/// What the writer can be asked.
#[derive(Debug)]
pub(crate) enum Message {
    Append(Request),
    /// Everything up to here is in files: segments may go.
    Trim {
        through: WalSeq,
        done: oneshot::Sender<Result<()>>,
    },
    /// Everything up to here is in files: no byte of it may stay in the folder.
    Purge {
        through: WalSeq,
        done: oneshot::Sender<Result<()>>,
    },
    /// Answered when everything sent before is visible.
    Drain {
        done: oneshot::Sender<()>,
    },
    /// Ends the writer, although handles may still exist.
    End,
}

/// A group that is being decoded; `None` where the runtime is shutting down.
pub(crate) type Decoding = tokio::task::JoinHandle<Option<Decoded>>;

/// Entries that are durable, on their way to being visible, in the order of their positions.
#[derive(Debug)]
pub(crate) struct Group {
    /// Position of the last entry so far, this group included.
    pub(crate) through: WalSeq,
    /// Position of this group's first entry.
    pub(crate) first: WalSeq,
    /// The batches, made beside the fsync; `None` where the group has no entries.
    pub(crate) decoding: Option<Decoding>,
    /// Who waits for it.
    pub(crate) answers: Vec<(oneshot::Sender<Result<Appended>>, Appended)>,
    /// Who waits for everything before it.
    pub(crate) drained: Option<oneshot::Sender<()>>,
    /// Given back when the group is visible.
    pub(crate) permits: Option<OwnedSemaphorePermit>,
}

/// The way to the writer; cheap to clone. The writer ends when the last handle is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Wal {
    messages: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    status: Arc<Status>,
}

impl Wal {
    /// Starts the writer on a thread of its own (it waits for the disk most of the time).
    ///
    /// # Errors
    /// The system gave no thread.
    pub(crate) fn start(parts: Parts, recovery: Recovery) -> Result<(Self, JoinHandle<()>)> {
        // The channel itself has no bound: every message holds a permit of the semaphore, which has.
        let (sender, receiver) = mpsc::channel();
        let status = Arc::clone(&parts.status);
        let panicked = Arc::clone(&status);
        let path = parts.folder.path("");
        let writer = Writer::new(parts, recovery, receiver);
        let thread = std::thread::Builder::new()
            .name("wal".into())
            .spawn(move || {
                // The writer is gone afterwards, so nothing that it left half done is seen again.
                if std::panic::catch_unwind(AssertUnwindSafe(|| writer.run())).is_err() {
                    panicked.panicked.store(true, Ordering::Release);
                }
            })
            .map_err(|source| Error::File { step: "start the writer of", path, source })?;
        let room = Arc::new(Semaphore::new(IN_FLIGHT_BYTES));
        Ok((Self { messages: sender, room, status }, thread))
    }

    /// Stores one request, as `sent` where it was compressed; returns once it is durable and visible.
    pub(crate) async fn append(&self, entry: Entry, sent: Option<Compressed>) -> Result<Appended> {
        let sent_bytes = sent.as_ref().map_or(0, |sent| sent.body.len());
        let bytes = entry.body.len().max(sent_bytes);
        if bytes > BODY_BYTES_MAX {
            return Err(Error::BodyTooLarge { bytes, limit_bytes: BODY_BYTES_MAX });
        }
        if entry.format > FORMAT_MAX {
            return Err(Error::Invalid(format!("there is no format {}", entry.format)));
        }
        let fingerprint = entry.deduplicate.then(|| Fingerprint::of(entry.format, &entry.body));
        let held = (entry.body.len() + sent_bytes).max(REQUEST_BYTES_MIN);
        let room = Arc::clone(&self.room);
        let permit = room.acquire_many_owned(u32::try_from(held).unwrap_or(u32::MAX));
        let permit = permit.await.map_err(|_| Error::Closed)?;
        let (answer, answered) = oneshot::channel();
        // What compression has not made smaller is better read without undoing it.
        let sent = sent.filter(|sent| sent.body.len() < entry.body.len());
        let logged = Logged { entry, sent, fingerprint };
        self.send(Message::Append(Request { logged, permit, answer }))?;
        answered.await.map_err(|_| Error::Closed)?
    }

    /// Deletes segments that hold nothing beyond `through`, which files now contain.
    pub(crate) async fn trim(&self, through: WalSeq) -> Result<()> {
        let (done, finished) = oneshot::channel();
        self.send(Message::Trim { through, done })?;
        finished.await.map_err(|_| Error::Closed)?
    }

    /// As [`Wal::trim`], and deletes the files that wait to be used again. The segment being written is closed, and goes
    /// with the next call. Segments set aside as damaged stay.
    pub(crate) async fn purge(&self, through: WalSeq) -> Result<()> {
        let (done, finished) = oneshot::channel();
        self.send(Message::Purge { through, done })?;
        finished.await.map_err(|_| Error::Closed)?
    }

    /// Returns when everything sent before is visible.
    pub(crate) async fn drain(&self) -> Result<()> {
        let (done, finished) = oneshot::channel();
        self.send(Message::Drain { done })?;
        finished.await.map_err(|_| Error::Closed)
    }

    /// Ends the writer after everything sent before.
    pub(crate) fn end(&self) {
        // Already ended is as good.
        let _ = self.messages.send(Message::End);
    }

    /// Figures and flags.
    pub(crate) fn status(&self) -> &Status {
        &self.status
    }

    fn send(&self, message: Message) -> Result<()> {
        self.messages.send(message).map_err(|_| Error::Closed)
    }
}

/// The log's id: read from its folder, or made and stored there.
///
/// # Errors
/// The file could not be read or written, or holds no id.
pub(crate) fn open_id(folder: &dyn Folder) -> Result<Uuid> {
    let failed = |step| move |source| replay::failed(folder, step, ID_FILE, source);
    match folder.read(ID_FILE) {
        Ok(content) => std::str::from_utf8(&content)
            .ok()
            .and_then(|text| Uuid::parse_str(text.trim()).ok())
            .ok_or_else(|| Error::Corrupt {
                path: folder.path(ID_FILE).display().to_string(),
                detail: "not the id of a log".into(),
            }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let id = id_of_segments(folder).map_err(failed("list WAL folder"))?;
            let id = id.unwrap_or_else(Uuid::new_v4);
            folder::write_whole(folder, ID_FILE, format!("{id}\n").as_bytes())
                .map_err(failed("write the log's id"))?;
            Ok(id)
        }
        Err(error) => Err(failed("read the log's id")(error)),
    }
}

/// The id in the first readable segment header, for a log whose id file was lost.
fn id_of_segments(folder: &dyn Folder) -> std::io::Result<Option<Uuid>> {
    for name in folder.list()? {
        if segment::SegmentName::parse(&name).is_some()
            && let Some(header) = layout::SegmentHeader::decode(&folder.read(&name)?)
        {
            return Ok(Some(header.log));
        }
    }
    Ok(None)
}
