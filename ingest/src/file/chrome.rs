//! Chrome's trace events as OTLP (<https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>).
//! The mapping is in docs/operating.md.
//!
//! ```text
//! event -> waiting (begin and end paired as they come) -> [settle: by time] -> a stack a thread -> span, closed
//! ```
//! Events of a file are in no order, so they wait: all of them in files of ordinary size, else the newest half.
mod event;
mod place;

use std::collections::{BTreeMap, HashMap, VecDeque};

use xxhash_rust::xxh3::Xxh3;

use self::event::Event;
use self::place::{Mark, Placing, Step, What};
use super::Piece;
use super::otlp::{Requests, Span};
use crate::{Error, Result};

/// Events that wait take this much; then those of the older half are placed.
const WAITING_BYTES_MAX: usize = 256 << 20;
/// What one event takes beside its encoded span.
const MARK_BYTES: usize = size_of::<Mark>();

/// Events of one trace.
pub(super) struct Chrome {
    /// Of all events so far, until the first span is handed over.
    hash: Xxh3,
    /// Events so far; an event's number is its span's id.
    events: u64,
    threads: Threads,
    waiting: Vec<Mark>,
    waiting_bytes: usize,
    waiting_bytes_max: usize,
    /// Slices that began and have not ended, in the order of the file: a stack a thread.
    begun: HashMap<u32, Vec<u64>>,
    /// Ends of slices, by the slice's number, until both meet.
    ends: HashMap<u64, (i64, Span)>,
    /// The newest time: there ends what does not end.
    last: i64,
    placing: Placing,
    left_out: BTreeMap<&'static str, u64>,
}

/// Threads in the order of their first event, and what they are called.
#[derive(Default)]
pub(super) struct Threads {
    index: HashMap<(String, String), u32>,
    ids: Vec<(String, String)>,
    processes: HashMap<String, String>,
    names: HashMap<(String, String), String>,
}

impl Default for Chrome {
    fn default() -> Self {
        Self {
            hash: Xxh3::new(),
            events: 0,
            threads: Threads::default(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            waiting_bytes_max: WAITING_BYTES_MAX,
            begun: HashMap::new(),
            ends: HashMap::new(),
            last: 0,
            placing: Placing::default(),
            left_out: BTreeMap::new(),
        }
    }
}

impl Chrome {
    /// Takes one event.
    ///
    /// # Errors
    /// It is none, or more slices are open at once than memory is for.
    pub(super) fn event(
        &mut self,
        json: &[u8],
        requests: &mut Requests,
        (offset, ready): (u64, &mut VecDeque<Piece>),
    ) -> Result<()> {
        let at = |words: String| {
            Error::Malformed(format!(
                "the trace event that ends at byte {offset} of the file: {words}"
            ))
        };
        let event = Event::parse(json).map_err(at)?;
        self.hash.update(json);
        self.events += 1;
        self.take(&event).map_err(at)?;
        if self.waiting_bytes > self.waiting_bytes_max {
            let cut = median(&self.waiting);
            self.settle(cut, requests, (offset, ready))?;
            if self.waiting_bytes + self.placing.open_bytes() > 2 * self.waiting_bytes_max {
                let limit = 2 * (self.waiting_bytes_max >> 20);
                return Err(at(format!("slices of more than {limit} MiB are open at once")));
            }
        }
        Ok(())
    }

    fn take(&mut self, event: &Event) -> Result<(), String> {
        let (phase, time, duration) = (event.phase(), event.time()?, event.duration()?);
        let end = time.map(|time| time.saturating_add(duration));
        self.last = self.last.max(end.unwrap_or(0));
        if phase == "M" {
            self.metadata(event);
            return Ok(());
        }
        let Some(time) = time else {
            self.leave_out("events without a time");
            return Ok(());
        };
        let thread = self.threads.number(event);
        match phase {
            "X" => {
                self.wait(time, thread, What::Slice { end, span: event.span(), unclosed: false });
            }
            "B" => {
                self.begun.entry(thread).or_default().push(self.events);
                let span = event.span();
                self.wait(time, thread, What::Slice { end: None, span, unclosed: false });
            }
            "E" => self.end_of_slice(event, thread, time),
            "b" | "S" => {
                let (key, name) = (event.key(phase == "S"), event.name().into_owned());
                self.wait(time, thread, What::AsyncBegin { key, name, span: event.span() });
            }
            "e" | "F" => {
                let mut span = Span::default();
                event.arguments(&mut |key, value| span.attribute(key, value));
                let (key, name) = (event.key(phase == "F"), event.name().into_owned());
                self.wait(time, thread, What::AsyncEnd { key, name, span });
            }
            "n" | "T" | "p" => {
                let (event_of, alone) = (event.event(time), event.span());
                let key = Some(event.key(phase != "n"));
                self.wait(time, thread, What::Instant { key, event: event_of, alone });
            }
            "i" | "I" | "R" => {
                let (event_of, alone) = (event.event(time), event.span());
                self.wait(time, thread, What::Instant { key: None, event: event_of, alone });
            }
            "s" | "t" | "f" => {
                let step = match phase {
                    "s" => Step::Start,
                    "t" => Step::Middle,
                    _ if event.binds_to_enclosing() => Step::End,
                    _ => Step::EndAtNext,
                };
                let (key, name) = (event.key(true), event.name().into_owned());
                self.wait(time, thread, What::Flow { key, name, step });
            }
            _ => self.leave_out(place::left_out(phase)),
        }
        Ok(())
    }

    fn metadata(&mut self, event: &Event) {
        let Some(name) = event.named() else { return };
        match event.name().as_ref() {
            "process_name" => drop(self.threads.processes.insert(event.pid().into_owned(), name)),
            "thread_name" => drop(self.threads.names.insert(thread_ids(event), name)),
            _ => {}
        }
    }

    fn end_of_slice(&mut self, event: &Event, thread: u32, time: i64) {
        let Some(slice) = self.begun.get_mut(&thread).and_then(Vec::pop) else {
            return self.leave_out("ends of slices (E) that did not begin");
        };
        let mut span = Span::default();
        event.arguments(&mut |key, value| span.attribute(key, value));
        self.waiting_bytes += span.bytes() + MARK_BYTES;
        self.ends.insert(slice, (time, span));
    }

    fn wait(&mut self, time: i64, thread: u32, what: What) {
        let mark = Mark { time, thread, number: self.events, what };
        self.waiting_bytes += mark.bytes();
        self.waiting.push(mark);
    }

    fn leave_out(&mut self, what: &'static str) {
        *self.left_out.entry(what).or_default() += 1;
    }

    /// Places all events before `cut`, in the order of time.
    fn settle(
        &mut self,
        cut: i64,
        requests: &mut Requests,
        (offset, ready): (u64, &mut VecDeque<Piece>),
    ) -> Result<()> {
        for mark in &mut self.waiting {
            mark.meet(&mut self.ends);
        }
        self.placing.meet(&mut self.ends);
        let (mut now, later): (Vec<Mark>, Vec<Mark>) =
            self.waiting.drain(..).partition(|mark| mark.time < cut);
        self.waiting = later;
        self.waiting_bytes = self.waiting.iter().map(Mark::bytes).sum();
        now.sort_unstable_by_key(Mark::order);
        let trace_id = self.hash.digest128().to_be_bytes();
        self.placing.begin(trace_id);
        for mark in now {
            self.placing.place(mark, &mut self.left_out);
            for done in self.placing.done.drain(..) {
                let resource = self.threads.resource(done.thread);
                requests.add(resource.bytes(), &done.span, (offset, ready))?;
            }
        }
        Ok(())
    }

    /// Places all that waits and closes all that is open. Returns what has no place among spans, with its count.
    ///
    /// # Errors
    /// A span is larger than any piece.
    pub(super) fn end(
        mut self,
        requests: &mut Requests,
        (offset, ready): (u64, &mut VecDeque<Piece>),
    ) -> Result<BTreeMap<&'static str, u64>> {
        let last = self.last;
        for mark in &mut self.waiting {
            mark.meet(&mut self.ends);
            mark.close(last);
        }
        self.settle(i64::MAX, requests, (offset, ready))?;
        self.placing.close_all(last, &mut self.left_out);
        for done in std::mem::take(&mut self.placing.done) {
            let resource = self.threads.resource(done.thread);
            requests.add(resource.bytes(), &done.span, (offset, ready))?;
        }
        Ok(self.left_out)
    }
}

/// The time in the middle, or the end of time where none lies between.
fn median(waiting: &[Mark]) -> i64 {
    let mut times: Vec<i64> = waiting.iter().map(|mark| mark.time).collect();
    let middle = times.len() / 2;
    let (before, &mut median, _) = times.select_nth_unstable(middle);
    if before.iter().any(|&time| time < median) { median } else { i64::MAX }
}

fn thread_ids(event: &Event) -> (String, String) {
    (event.pid().into_owned(), event.tid().into_owned())
}

impl Threads {
    fn number(&mut self, event: &Event) -> u32 {
        let ids = thread_ids(event);
        if let Some(&number) = self.index.get(&ids) {
            return number;
        }
        let number = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        self.ids.push(ids.clone());
        self.index.insert(ids, number);
        number
    }

    /// The resource of a thread, by the names known so far.
    fn resource(&self, thread: u32) -> super::otlp::Resource {
        use super::otlp::Value;
        let nobody = (String::new(), String::new());
        let ids = usize::try_from(thread).ok().and_then(|thread| self.ids.get(thread));
        let ids = ids.unwrap_or(&nobody);
        let mut resource = super::otlp::Resource::default();
        match self.processes.get(&ids.0) {
            Some(name) => resource.attribute("service.name", Value::Text(name)),
            None => resource.attribute("service.name", Value::Text(&format!("pid {}", ids.0))),
        }
        match ids.0.parse() {
            Ok(pid) => resource.attribute("process.pid", Value::Int(pid)),
            Err(_) => resource.attribute("process.pid", Value::Text(&ids.0)),
        }
        resource.attribute("thread.id", Value::Text(&ids.1));
        if let Some(name) = self.names.get(ids) {
            resource.attribute("thread.name", Value::Text(name));
        }
        resource
    }
}

#[cfg(test)]
mod tests;
