//! What a client sends: messages of bounded size, read without trust.
use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::refusal::Refusal;

/// A message before the login; PostgreSQL's own limit.
pub(super) const STARTUP_BYTES_MAX: usize = 10_000;
/// A message after it. The engine bounds the statement's text further.
pub(super) const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Values and formats of one Bind.
const VALUES_MAX: usize = 1_000;

/// The first message of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum First {
    /// Asks for TLS.
    Ssl,
    /// Asks for GSSAPI encryption.
    Gss,
    /// Wants the running statement of another session stopped.
    Cancel { process: u32, secret: u32 },
    /// Begins a session: minor version and parameters.
    Startup { minor: u16, parameters: Vec<(String, String)> },
    /// Speaks another version.
    Unknown { major: u16, minor: u16 },
}

/// A message of a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    Query(String),
    Parse {
        name: String,
        sql: String,
        types: Vec<u32>,
    },
    Bind(Bind),
    Describe(Target),
    Close(Target),
    Execute {
        portal: String,
        rows_max: usize,
    },
    Sync,
    Flush,
    Terminate,
    /// Login data.
    Password(Bytes),
    /// Data of a COPY that is not running; to be ignored.
    Copy,
    /// What we do not speak.
    Unknown(u8),
}

/// Values for a prepared statement.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bind {
    pub(super) portal: String,
    pub(super) statement: String,
    pub(super) formats: Vec<i16>,
    pub(super) values: Vec<Option<Bytes>>,
    pub(super) result_formats: Vec<i16>,
}

/// What Describe and Close name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Statement(String),
    Portal(String),
}

/// The receiving half of a connection.
#[derive(Debug)]
pub(super) struct Input<R> {
    reader: R,
    buffer: BytesMut,
}

/// A message that cannot be understood; the stream is lost with it.
fn broken(words: &str) -> Refusal {
    Refusal::fatal("08P01", format!("invalid message: {words}"))
}

impl<R: AsyncRead + Unpin> Input<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, buffer: BytesMut::with_capacity(8 << 10) }
    }

    /// The first message, or the next one after an answered request for encryption. `None`: the client left.
    pub(super) async fn first(&mut self) -> io::Result<Option<Result<First, Refusal>>> {
        if !self.fill(4).await? {
            return Ok(None);
        }
        let length = (&self.buffer[..4]).get_u32() as usize;
        if !(8..=STARTUP_BYTES_MAX).contains(&length) {
            return Ok(Some(Err(broken("a startup message has 8 to 10000 bytes"))));
        }
        if !self.fill(length).await? {
            return Ok(None);
        }
        let mut body = self.buffer.split_to(length).freeze();
        body.advance(4);
        Ok(Some(first(body)))
    }

    /// The next message of at most `bytes_max`. `None`: the client left.
    pub(super) async fn next(
        &mut self,
        bytes_max: usize,
    ) -> io::Result<Option<Result<Message, Refusal>>> {
        if !self.fill(5).await? {
            return Ok(None);
        }
        let kind = self.buffer[0];
        let length = (&self.buffer[1..5]).get_u32() as usize;
        if length < 4 || length > bytes_max {
            let words = format!("a message of {length} bytes; 4 to {bytes_max} are taken");
            return Ok(Some(Err(broken(&words))));
        }
        if !self.fill(length + 1).await? {
            return Ok(None);
        }
        let mut body = self.buffer.split_to(length + 1).freeze();
        body.advance(5);
        Ok(Some(message(kind, body)))
    }

    /// Returns when the client has left; until then keeps what it sends, up to one message's worth.
    pub(super) async fn gone(&mut self) {
        while self.buffer.len() < MESSAGE_BYTES_MAX {
            match self.reader.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        std::future::pending().await
    }

    /// True where more bytes wait: the client does not need our answers yet.
    pub(super) fn has_more(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Reads until `bytes` are there; false where the client left before.
    async fn fill(&mut self, bytes: usize) -> io::Result<bool> {
        while self.buffer.len() < bytes {
            self.buffer.reserve(bytes - self.buffer.len());
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn first(mut body: Bytes) -> Result<First, Refusal> {
    let (major, minor) = (body.get_u16(), body.get_u16());
    match (major, minor) {
        (1234, 5679) => Ok(First::Ssl),
        (1234, 5680) => Ok(First::Gss),
        (1234, 5678) if body.len() == 8 => {
            Ok(First::Cancel { process: body.get_u32(), secret: body.get_u32() })
        }
        (3, minor) => Ok(First::Startup { minor, parameters: parameters(Fields(body))? }),
        (major, minor) => Ok(First::Unknown { major, minor }),
    }
}

/// Pairs of texts until an empty name.
fn parameters(mut fields: Fields) -> Result<Vec<(String, String)>, Refusal> {
    let mut pairs = Vec::new();
    loop {
        let name = fields.text()?;
        if name.is_empty() {
            return Ok(pairs);
        }
        pairs.push((name, fields.text()?));
    }
}

fn message(kind: u8, body: Bytes) -> Result<Message, Refusal> {
    let mut fields = Fields(body);
    let message = match kind {
        b'Q' => Message::Query(fields.text()?),
        b'P' => {
            Message::Parse { name: fields.text()?, sql: fields.text()?, types: fields.types()? }
        }
        b'B' => Message::Bind(bind(&mut fields)?),
        b'D' => Message::Describe(fields.target()?),
        b'C' => Message::Close(fields.target()?),
        b'E' => {
            let portal = fields.text()?;
            // Zero and negative numbers mean: all rows.
            let rows_max = usize::try_from(fields.i32()?).unwrap_or(0);
            Message::Execute { portal, rows_max }
        }
        b'S' => Message::Sync,
        b'H' => Message::Flush,
        b'X' => Message::Terminate,
        b'p' => return Ok(Message::Password(fields.0)),
        b'd' | b'c' | b'f' => return Ok(Message::Copy),
        other => return Ok(Message::Unknown(other)),
    };
    if fields.0.has_remaining() {
        return Err(broken("bytes after its end"));
    }
    Ok(message)
}

fn bind(fields: &mut Fields) -> Result<Bind, Refusal> {
    let (portal, statement) = (fields.text()?, fields.text()?);
    let formats = fields.formats()?;
    let count = fields.count()?;
    let values = (0..count).map(|_| fields.value()).collect::<Result<_, _>>()?;
    let result_formats = fields.formats()?;
    Ok(Bind { portal, statement, formats, values, result_formats })
}

/// The fields of a message, taken from the front.
struct Fields(Bytes);

impl Fields {
    fn text(&mut self) -> Result<String, Refusal> {
        let end = memchr(&self.0).ok_or_else(|| broken("a text without its end"))?;
        let bytes = self.0.split_to(end);
        self.0.advance(1);
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(Refusal::fatal("22021", "a text is not UTF-8")),
        }
    }

    fn i16(&mut self) -> Result<i16, Refusal> {
        self.0.try_get_i16().map_err(|_| broken("it is too short"))
    }

    fn i32(&mut self) -> Result<i32, Refusal> {
        self.0.try_get_i32().map_err(|_| broken("it is too short"))
    }

    fn count(&mut self) -> Result<usize, Refusal> {
        match usize::try_from(self.i16()?) {
            Ok(count) if count <= VALUES_MAX => Ok(count),
            _ => Err(broken("more than 1000 values")),
        }
    }

    fn formats(&mut self) -> Result<Vec<i16>, Refusal> {
        (0..self.count()?).map(|_| self.i16()).collect()
    }

    fn types(&mut self) -> Result<Vec<u32>, Refusal> {
        (0..self.count()?).map(|_| Ok(self.i32()?.cast_unsigned())).collect()
    }

    /// A length and as many bytes; -1 is null.
    fn value(&mut self) -> Result<Option<Bytes>, Refusal> {
        match self.i32()? {
            -1 => Ok(None),
            length => match usize::try_from(length) {
                Ok(length) if length <= self.0.len() => Ok(Some(self.0.split_to(length))),
                _ => Err(broken("a value longer than the message")),
            },
        }
    }

    fn target(&mut self) -> Result<Target, Refusal> {
        let kind = self.0.try_get_u8().map_err(|_| broken("it is too short"))?;
        let name = self.text()?;
        match kind {
            b'S' => Ok(Target::Statement(name)),
            b'P' => Ok(Target::Portal(name)),
            _ => Err(broken("neither a statement nor a portal")),
        }
    }
}

fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == 0)
}
