//! Reading server-sent events: <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>.
use std::io::{BufRead, Error, ErrorKind, Result};

/// A line longer than this is none of ours.
const LINE_BYTES_MAX: usize = 16 << 20;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// `message` where it has no name.
    pub(crate) name: String,
    pub(crate) data: String,
}

/// A stream of events, and how far it was read.
#[derive(Debug)]
pub(crate) struct Events<R> {
    input: R,
    /// The place to name when the stream broke off; empty as long as the server gave none.
    last_id: String,
}

impl<R: BufRead> Events<R> {
    /// Goes on behind `last_id`.
    pub(crate) fn new(input: R, last_id: String) -> Self {
        Self { input, last_id }
    }

    /// The place behind everything read so far.
    pub(crate) fn last_id(&self) -> &str {
        &self.last_id
    }

    /// The next event; `None` at each sign of life without one (a comment, or a place alone).
    ///
    /// # Errors
    /// The stream ended ([`ErrorKind::UnexpectedEof`]) or broke. What came of an event by then is dropped, and its place
    /// is not kept, so that it comes again.
    pub(crate) fn next(&mut self) -> Result<Option<Event>> {
        let (mut name, mut data, mut id) = (String::new(), None::<String>, None);
        loop {
            let line = self.line()?;
            if line.is_empty() {
                if let Some(id) = id {
                    self.last_id = id;
                }
                let name = if name.is_empty() { "message".to_owned() } else { name };
                return Ok(data.map(|data| Event { name, data }));
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut name),
                "id" => id = Some(value.to_owned()),
                "data" => match &mut data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                    None => data = Some(value.to_owned()),
                },
                // A comment, `retry`, or what a later server may say.
                _ => {}
            }
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        let mut input = std::io::Read::take(&mut self.input, LINE_BYTES_MAX as u64);
        input.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            let long = line.len() + 1 >= LINE_BYTES_MAX;
            let kind = if long { ErrorKind::InvalidData } else { ErrorKind::UnexpectedEof };
            return Err(kind.into());
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        String::from_utf8(line).map_err(|_| Error::from(ErrorKind::InvalidData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<Option<Event>>, String, ErrorKind) {
        let mut events = Events::new(text.as_bytes(), "before".to_owned());
        let mut found = Vec::new();
        loop {
            match events.next() {
                Ok(event) => found.push(event),
                Err(error) => return (found, events.last_id().to_owned(), error.kind()),
            }
        }
    }

    fn event(name: &str, data: &str) -> Option<Event> {
        Some(Event { name: name.to_owned(), data: data.to_owned() })
    }

    #[test]
    fn events_places_and_signs_of_life_are_told_apart() {
        let text = "retry: 1000\nid: a-1-0\n\nevent: span\nid: a-1-1\ndata: {\"n\":1}\n\n: still here\nid: a-1-2\n\n\
                    data:x\r\ndata: y\r\n\r\n";
        let (found, last_id, end) = read(text);
        assert_eq!(found, [None, event("span", "{\"n\":1}"), None, event("message", "x\ny")]);
        assert_eq!((last_id.as_str(), end), ("a-1-2", ErrorKind::UnexpectedEof));
    }

    #[test]
    fn an_event_that_broke_off_is_dropped_and_so_is_its_place() {
        let (found, last_id, end) = read("id: 1\ndata: whole\n\nid: 2\ndata: bro");
        assert_eq!(found, [event("message", "whole")]);
        assert_eq!((last_id.as_str(), end), ("1", ErrorKind::UnexpectedEof));
        let (found, last_id, _) = read("id: 2\ndata: no empty line\n");
        assert_eq!((found, last_id.as_str()), (vec![], "before"));
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let mut events = Events::new(&b"data: \xff\n\n"[..], String::new());
        assert_eq!(events.next().map_err(|error| error.kind()), Err(ErrorKind::InvalidData));
    }
}
