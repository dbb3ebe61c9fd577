//! Sends one corpus many times as different spans: ids and times of every request are changed in place, so that a
//! hundred million spans cost the sender no more than two.
use anyhow::{Context, Result, bail};

/// A request, and where in its bytes the ids and times of its spans lie.
#[derive(Debug)]
pub struct Request {
    /// OTLP protobuf.
    pub body: Vec<u8>,
    /// Spans in it.
    pub spans: u64,
    /// Offsets of trace ids (16 bytes).
    traces: Vec<u32>,
    /// Offsets of span ids (8 bytes).
    spans_at: Vec<u32>,
    /// Offsets of times (8 bytes, little endian, Unix nanoseconds).
    times: Vec<u32>,
}

/// How a round differs from the corpus as it was made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Round {
    /// 0 leaves the ids as they are.
    pub number: u64,
    /// Added to every time.
    pub shift_nano: i64,
}

impl Request {
    /// Finds the places in `body`.
    ///
    /// # Errors
    /// It is no OTLP trace request.
    pub fn new(body: Vec<u8>) -> Result<Self> {
        let mut request =
            Self { body: Vec::new(), spans: 0, traces: vec![], spans_at: vec![], times: vec![] };
        let end = body.len();
        request.walk(&body, 0..end, Message::Request).context("a request is no OTLP protobuf")?;
        request.body = body;
        Ok(request)
    }

    /// The bytes of this request in `round`.
    pub fn of_round(&self, round: Round) -> Vec<u8> {
        let mut body = self.body.clone();
        // An odd multiplier spreads the round over all bits; XOR keeps parents and links with their spans.
        let mask = round.number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        if round.number != 0 {
            for at in self.traces.iter().map(|at| *at as usize) {
                xor(&mut body[at..at + 8], mask);
                xor(&mut body[at + 8..at + 16], mask);
            }
            for at in self.spans_at.iter().map(|at| *at as usize) {
                xor(&mut body[at..at + 8], mask);
            }
        }
        if round.shift_nano != 0 {
            for at in self.times.iter().map(|at| *at as usize) {
                let time = read(&body, at).wrapping_add_signed(round.shift_nano);
                body[at..at + 8].copy_from_slice(&time.to_le_bytes());
            }
        }
        body
    }

    /// First and last time in it, Unix nanoseconds; `None` without spans.
    pub fn times(&self) -> Option<(u64, u64)> {
        let times = || self.times.iter().map(|at| read(&self.body, *at as usize));
        Some((times().min()?, times().max()?))
    }

    fn walk(&mut self, body: &[u8], range: std::ops::Range<usize>, message: Message) -> Result<()> {
        let mut at = range.start;
        while at < range.end {
            let key = varint(body, &mut at)?;
            let (field, wire) = (key >> 3, key & 7);
            let start = at;
            let length = match wire {
                0 => {
                    varint(body, &mut at)?;
                    continue;
                }
                1 => 8,
                2 => {
                    let length = usize::try_from(varint(body, &mut at)?)?;
                    if length > range.end - at {
                        bail!("a field ends outside of its message");
                    }
                    length
                }
                5 => 4,
                _ => bail!("wire type {wire}"),
            };
            let content = if wire == 2 { at } else { start };
            at = content + length;
            self.field(body, (message, field, wire), content..at)?;
        }
        Ok(())
    }

    fn field(
        &mut self,
        body: &[u8],
        (message, field, wire): (Message, u64, u64),
        content: std::ops::Range<usize>,
    ) -> Result<()> {
        let at = u32::try_from(content.start)?;
        match (message, field, wire) {
            (Message::Request, 1, 2) => self.walk(body, content, Message::ResourceSpans)?,
            (Message::ResourceSpans, 2, 2) => self.walk(body, content, Message::ScopeSpans)?,
            (Message::ScopeSpans, 2, 2) => {
                self.spans += 1;
                self.walk(body, content, Message::Span)?;
            }
            (Message::Span, 11, 2) => self.walk(body, content, Message::Event)?,
            (Message::Span, 13, 2) => self.walk(body, content, Message::Link)?,
            (Message::Span | Message::Link, 1, 2) if content.len() == 16 => self.traces.push(at),
            (Message::Span, 2 | 4, 2) | (Message::Link, 2, 2) if content.len() == 8 => {
                self.spans_at.push(at);
            }
            (Message::Span, 7 | 8, 1) | (Message::Event, 1, 1) => self.times.push(at),
            _ => {}
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
enum Message {
    Request,
    ResourceSpans,
    ScopeSpans,
    Span,
    Event,
    Link,
}

fn xor(bytes: &mut [u8], mask: [u8; 8]) {
    bytes.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
}

fn read(body: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&body[at..at + 8]);
    u64::from_le_bytes(bytes)
}

fn varint(body: &[u8], at: &mut usize) -> Result<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *body.get(*at).context("the message ends inside a number")?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    bail!("a number is too long")
}

#[cfg(test)]
mod tests;
