//! What we send: messages appended to a buffer, written when it is full or the client waits.
use std::io;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::refusal::Refusal;

/// The buffer is written when it holds this much.
const BUFFER_BYTES: usize = 64 << 10;

/// Whether a block of statements is open, as ReadyForQuery says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transaction {
    None,
    Open,
    Failed,
}

/// A column as RowDescription tells it.
#[derive(Debug, Clone)]
pub(super) struct ColumnHead {
    pub(super) name: String,
    pub(super) oid: u32,
    /// Bytes of a value; -1 where they differ.
    pub(super) size: i16,
    pub(super) format: i16,
}

/// The sending half of a connection.
#[derive(Debug)]
pub(super) struct Output<W> {
    writer: W,
    buffer: Vec<u8>,
    stalled_max: Duration,
}

impl<W: AsyncWrite + Unpin> Output<W> {
    pub(super) fn new(writer: W, stalled_max: Duration) -> Self {
        Self { writer, buffer: Vec::with_capacity(8 << 10), stalled_max }
    }

    /// Appends one message; `body` writes what follows its length.
    pub(super) fn message(&mut self, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
        self.buffer.push(kind);
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 4]);
        body(&mut self.buffer);
        let length = u32::try_from(self.buffer.len() - start).unwrap_or(u32::MAX);
        self.buffer[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// A message without a body.
    pub(super) fn bare(&mut self, kind: u8) {
        self.message(kind, |_| ());
    }

    /// One byte outside of any message: the answer to a request for encryption.
    pub(super) fn byte(&mut self, byte: u8) {
        self.buffer.push(byte);
    }

    pub(super) fn authentication(&mut self, code: u32, data: &[u8]) {
        self.message(b'R', |out| {
            out.extend_from_slice(&code.to_be_bytes());
            out.extend_from_slice(data);
        });
    }

    pub(super) fn parameter_status(&mut self, name: &str, value: &str) {
        self.message(b'S', |out| {
            text(out, name);
            text(out, value);
        });
    }

    pub(super) fn ready(&mut self, transaction: Transaction) {
        self.message(b'Z', |out| {
            out.push(match transaction {
                Transaction::None => b'I',
                Transaction::Open => b'T',
                Transaction::Failed => b'E',
            });
        });
    }

    pub(super) fn complete(&mut self, tag: &str) {
        self.message(b'C', |out| text(out, tag));
    }

    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        let severity = if refusal.is_fatal { "FATAL" } else { "ERROR" };
        self.report(b'E', severity, refusal.code, &refusal.message);
    }

    pub(super) fn notice(&mut self, message: &str) {
        self.report(b'N', "NOTICE", "00000", message);
    }

    fn report(&mut self, kind: u8, severity: &str, code: &str, message: &str) {
        self.message(kind, |out| {
            for (field, value) in
                [(b'S', severity), (b'V', severity), (b'C', code), (b'M', message)]
            {
                out.push(field);
                text(out, value);
            }
            out.push(0);
        });
    }

    pub(super) fn row_description(&mut self, columns: &[ColumnHead]) {
        self.message(b'T', |out| {
            count(out, columns.len());
            for column in columns {
                text(out, &column.name);
                // Neither a table nor a column of one is named.
                out.extend_from_slice(&[0; 6]);
                out.extend_from_slice(&column.oid.to_be_bytes());
                out.extend_from_slice(&column.size.to_be_bytes());
                out.extend_from_slice(&(-1_i32).to_be_bytes());
                out.extend_from_slice(&column.format.to_be_bytes());
            }
        });
    }

    pub(super) fn parameter_description(&mut self, oids: &[u32]) {
        self.message(b't', |out| {
            count(out, oids.len());
            oids.iter().for_each(|oid| out.extend_from_slice(&oid.to_be_bytes()));
        });
    }

    /// Writes the buffer where it has grown large.
    pub(super) async fn relieve(&mut self) -> io::Result<()> {
        if self.buffer.len() >= BUFFER_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Writes all there is.
    ///
    /// # Errors
    /// The client left, or takes nothing.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        let mut from = 0;
        while from < self.buffer.len() {
            let write = self.writer.write(&self.buffer[from..]);
            match tokio::time::timeout(self.stalled_max, write).await {
                Ok(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => from += written?,
                Err(_) => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "client takes nothing"));
                }
            }
        }
        self.buffer.clear();
        self.writer.flush().await
    }
}

/// A text and its end; a NUL inside would end it early.
fn text(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().filter(|byte| *byte != 0));
    out.push(0);
}

/// The number of things that follow, as the protocol counts them.
pub(super) fn count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
}
