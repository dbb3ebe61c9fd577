//! A lean sender of OTLP over gRPC: HTTP/2 frames over plain sockets, several calls at once on each, as SDKs and
//! collectors send. Of HTTP/2 it knows what one unary method needs: <https://www.rfc-editor.org/rfc/rfc9113>.
mod frames;

use std::io::BufReader;
use std::net::TcpStream;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::send::{Clock, Plan, Sent, Turn};
use frames::{Frame, call_head, data_heads, opening, status, write_pieces};

/// Before the server says otherwise.
const WINDOW: i64 = 65_535;
const FRAME_BYTES_MAX: usize = 16 << 10;

/// Sends over one connection with up to `calls_max` calls on their way.
pub(crate) fn worker(
    port: u16,
    (plan, clock): (&Plan<'_>, &Clock),
    calls_max: usize,
) -> Result<Sent> {
    let mut connection = Connection::open(port)?;
    let mut sent = Sent::default();
    let mut again: Vec<Call> = Vec::new();
    loop {
        while connection.open.len() < calls_max {
            let next = again.pop().or_else(|| clock.turn(plan).map(|turn| Call::new(plan, turn)));
            let Some(call) = next else { break };
            connection.begin(call)?;
        }
        if connection.open.is_empty() && connection.answered.is_empty() {
            return Ok(sent);
        }
        while connection.answered.is_empty() {
            connection.read()?;
        }
        for (call, is_stored) in std::mem::take(&mut connection.answered) {
            if is_stored {
                sent.answers_milli.push(call.due.elapsed().as_secs_f64() * 1e3);
                sent.spans += call.spans;
            } else {
                sent.again += 1;
                thread::sleep(Duration::from_millis(50));
                again.push(call);
            }
        }
    }
}

/// One request.
struct Call {
    /// Its stream.
    number: u32,
    /// The message behind its gRPC prefix.
    body: Rc<Vec<u8>>,
    spans: u64,
    /// The moment from which its answer is timed.
    due: Instant,
    /// What the server still lets it send.
    window: i64,
}

impl Call {
    fn new(plan: &Plan<'_>, turn: Turn) -> Self {
        let message = plan.body(&turn);
        // Corpora are made of requests far below 4 GiB.
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let mut body = Vec::with_capacity(message.len() + 5);
        body.push(0);
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(&message);
        let spans = plan.spans(&turn);
        Self { number: 0, body: Rc::new(body), spans, due: turn.due, window: 0 }
    }
}

struct Connection {
    output: TcpStream,
    input: BufReader<TcpStream>,
    payload: Vec<u8>,
    /// What the server still lets this connection send; and each new stream.
    window: i64,
    stream_window: i64,
    frame_bytes_max: usize,
    number_next: u32,
    open: Vec<Call>,
    /// Whether their spans are stored, or to be sent again.
    answered: Vec<(Call, bool)>,
}

impl Connection {
    fn open(port: u16) -> Result<Self> {
        let mut output = TcpStream::connect(("127.0.0.1", port)).context("connect")?;
        output.set_nodelay(true)?;
        write_pieces(&mut output, &[&opening()])?;
        let mut connection = Self {
            input: BufReader::new(output.try_clone()?),
            output,
            payload: Vec::new(),
            window: WINDOW,
            stream_window: WINDOW,
            frame_bytes_max: FRAME_BYTES_MAX,
            number_next: 1,
            open: Vec::new(),
            answered: Vec::new(),
        };
        // The server's settings come first.
        connection.read()?;
        Ok(connection)
    }

    /// Sends one call to its end, reading meanwhile where the server lets no more in.
    fn begin(&mut self, mut call: Call) -> Result<()> {
        let (number, body) = (self.number_next, Rc::clone(&call.body));
        let mut head = call_head(number);
        call.number = number;
        call.window = self.stream_window;
        self.number_next += 2;
        self.open.push(call);
        let mut from = 0;
        while from < body.len() {
            // Answered before its end where it is not open any more.
            let Some(room) = self.room(number) else { return Ok(()) };
            if room == 0 {
                write_pieces(&mut self.output, &[&std::mem::take(&mut head)])?;
                self.read()?;
                continue;
            }
            let end = body.len().min(from + room);
            let part = &body[from..end];
            let heads = data_heads(number, part.len(), self.frame_bytes_max, end == body.len());
            let mut pieces: Vec<&[u8]> = vec![&head];
            for (head, data) in heads.iter().zip(part.chunks(self.frame_bytes_max)) {
                pieces.extend([head.as_slice(), data]);
            }
            write_pieces(&mut self.output, &pieces)?;
            head.clear();
            self.spend(number, part.len())?;
            from = end;
        }
        Ok(())
    }

    /// Bytes that a stream may send now; `None` where it is not open.
    fn room(&self, number: u32) -> Option<usize> {
        let call = self.open.iter().find(|call| call.number == number)?;
        Some(usize::try_from(self.window.min(call.window)).unwrap_or(0))
    }

    fn spend(&mut self, number: u32, bytes: usize) -> Result<()> {
        let bytes = i64::try_from(bytes)?;
        self.window -= bytes;
        if let Some(call) = self.open.iter_mut().find(|call| call.number == number) {
            call.window -= bytes;
        }
        Ok(())
    }

    /// Waits for one frame and does what it says.
    fn read(&mut self) -> Result<()> {
        match Frame::read(&mut self.input, &mut self.payload)? {
            Frame::Settings { stream_window, frame_bytes_max } => {
                if let Some(window) = stream_window {
                    let change = window - self.stream_window;
                    self.open.iter_mut().for_each(|call| call.window += change);
                    self.stream_window = window;
                }
                self.frame_bytes_max = frame_bytes_max.unwrap_or(self.frame_bytes_max);
                write_pieces(&mut self.output, &[&frames::SETTINGS_ANSWER])?;
            }
            Frame::Ping => write_pieces(&mut self.output, &[&frames::pong(&self.payload)])?,
            Frame::Window { stream: 0, more } => self.window += more,
            Frame::Window { stream, more } => {
                if let Some(call) = self.open.iter_mut().find(|call| call.number == stream) {
                    call.window += more;
                }
            }
            Frame::Headers { stream } => self.answer(stream)?,
            // What was refused early is not read to its end.
            Frame::Reset { stream } if self.room(stream).is_some() => {
                bail!("the server ended a call without an answer")
            }
            Frame::Reset { .. } | Frame::Other => {}
        }
        Ok(())
    }

    /// Headers have come: an answer, where they say how the call ended.
    fn answer(&mut self, stream: u32) -> Result<()> {
        let is_stored = match status(&self.payload) {
            None => return Ok(()),
            Some(b"0") => true,
            Some(b"8" | b"14") => false,
            Some(other) => bail!("the server answered {}", String::from_utf8_lossy(other)),
        };
        let index = self.open.iter().position(|call| call.number == stream);
        let index = index.context("an answer to a call that was not made")?;
        self.answered.push((self.open.swap_remove(index), is_stored));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
