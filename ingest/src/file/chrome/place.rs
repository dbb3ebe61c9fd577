//! Events in the order of time: slices get their parents, and what happens inside them.
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use crate::file::otlp::{Event, Span, Value};

const KIND_INTERNAL: u64 = 1;
/// Flows under way; further ones are left out.
const FLOWS_MAX: usize = 1 << 20;

/// Something that happened on a thread.
pub(super) struct Mark {
    pub(super) time: i64,
    pub(super) thread: u32,
    /// The event's number in the file.
    pub(super) number: u64,
    pub(super) what: What,
}

pub(super) enum What {
    /// A slice; its end is not known where it has not ended yet.
    Slice {
        end: Option<i64>,
        span: Span,
        unclosed: bool,
    },
    AsyncBegin {
        key: u64,
        name: String,
        span: Span,
    },
    AsyncEnd {
        key: u64,
        name: String,
        span: Span,
    },
    /// An instant of a slice, or (with a key) of an asynchronous operation; `alone` where there is none around it.
    Instant {
        key: Option<u64>,
        event: Event,
        alone: Span,
    },
    Flow {
        key: u64,
        name: String,
        step: Step,
    },
}

/// A flow's event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Start,
    Middle,
    /// Binds to the slice around it.
    End,
    /// Binds to the next slice of the thread.
    EndAtNext,
}

impl Mark {
    /// Roughly what it takes.
    pub(super) fn bytes(&self) -> usize {
        let inner = match &self.what {
            What::Slice { span, .. } => span.bytes(),
            What::AsyncBegin { name, span, .. } | What::AsyncEnd { name, span, .. } => {
                span.bytes() + name.len()
            }
            What::Instant { event, alone, .. } => event.bytes() + alone.bytes(),
            What::Flow { name, .. } => name.len(),
        };
        inner + size_of::<Self>()
    }

    /// By time; slices before what happens in them, the longest first; else as in the file.
    pub(super) fn order(&self) -> (i64, bool, Reverse<i64>, u64) {
        match &self.what {
            What::Slice { end, .. } => {
                (self.time, false, Reverse(end.unwrap_or(i64::MAX)), self.number)
            }
            _ => (self.time, true, Reverse(0), self.number),
        }
    }

    /// Takes the end of this slice where it has come.
    pub(super) fn meet(&mut self, ends: &mut HashMap<u64, (i64, Span)>) {
        if let What::Slice { end: end @ None, span, .. } = &mut self.what
            && let Some((time, more)) = ends.remove(&self.number)
        {
            *end = Some(time.max(self.time));
            span.extend(&more);
        }
    }

    /// Ends the slice at `last` if nothing else did.
    pub(super) fn close(&mut self, last: i64) {
        if let What::Slice { end: end @ None, unclosed, .. } = &mut self.what {
            *end = Some(last.max(self.time));
            *unclosed = true;
        }
    }
}

/// Words for events that have no place among spans.
pub(super) fn left_out(phase: &str) -> &'static str {
    match phase {
        "C" => "counters (C)",
        "N" | "D" | "O" => "objects (N, D, O)",
        "P" => "samples (P)",
        "v" | "V" => "memory dumps (v, V)",
        "c" => "clock synchronisations (c)",
        "(" | ")" | "=" => "contexts and identities",
        _ => "events of unknown phases",
    }
}

/// A span under way.
struct Open {
    id: u64,
    parent: Option<u64>,
    start: i64,
    end: Option<i64>,
    thread: u32,
    name: String,
    span: Span,
    unclosed: bool,
}

impl Open {
    /// Roughly what it takes.
    fn bytes(&self) -> usize {
        self.span.bytes() + self.name.len() + size_of::<Self>()
    }
}

/// A span that is complete.
pub(super) struct Done {
    pub(super) thread: u32,
    pub(super) span: Vec<u8>,
}

/// What is open at the current time.
#[derive(Default)]
pub(super) struct Placing {
    trace_id: Option<[u8; 16]>,
    stacks: HashMap<u32, Vec<Open>>,
    /// Flows (the span that each comes from, its name) that end at the next slice of a thread.
    arriving: HashMap<u32, Vec<(u64, String)>>,
    asynchronous: HashMap<u64, Vec<Open>>,
    /// The last span of each flow.
    flows: HashMap<u64, u64>,
    open_bytes: usize,
    /// Complete spans, to be taken.
    pub(super) done: Vec<Done>,
}

impl Placing {
    /// Names the trace; the first name stays.
    pub(super) fn begin(&mut self, trace_id: [u8; 16]) {
        self.trace_id.get_or_insert(trace_id);
    }

    /// Roughly what the open spans take.
    pub(super) fn open_bytes(&self) -> usize {
        self.open_bytes
    }

    /// Takes ends for slices that were placed before they ended.
    pub(super) fn meet(&mut self, ends: &mut HashMap<u64, (i64, Span)>) {
        for open in self.stacks.values_mut().flatten().filter(|open| open.end.is_none()) {
            if let Some((end, more)) = ends.remove(&open.id) {
                open.end = Some(end.max(open.start));
                open.span.extend(&more);
            }
        }
    }

    /// Places the next event in the order of time.
    pub(super) fn place(&mut self, mark: Mark, left_out: &mut BTreeMap<&'static str, u64>) {
        let Mark { time, thread, number, what } = mark;
        let open = |end, name: String, span, unclosed| Open {
            id: number,
            parent: None,
            start: time,
            end,
            thread,
            name,
            span,
            unclosed,
        };
        match what {
            What::Slice { end, span, unclosed } => {
                self.slice(open(end, String::new(), span, unclosed));
            }
            What::AsyncBegin { key, name, mut span } => {
                span.attribute("chrome.phase", Value::Text("async"));
                self.async_begin(key, open(None, name, span, false));
            }
            What::AsyncEnd { key, name, span } => {
                if !self.async_end((key, &name), time, &span) {
                    *left_out
                        .entry("ends of asynchronous operations that did not begin")
                        .or_default() += 1;
                }
            }
            What::Instant { key, event, mut alone } => {
                let around = match key {
                    Some(key) => self.asynchronous.get_mut(&key).and_then(|open| open.last_mut()),
                    None => self.around(thread, time),
                };
                if let Some(around) = around {
                    around.span.event(&event);
                    self.open_bytes += event.bytes();
                } else {
                    alone.attribute("chrome.phase", Value::Text("instant"));
                    self.close(open(Some(time), String::new(), alone, false));
                }
            }
            What::Flow { key, name, step } => {
                if let Err(words) = self.flow((key, name), step, (thread, time)) {
                    *left_out.entry(words).or_default() += 1;
                }
            }
        }
    }

    fn slice(&mut self, mut slice: Open) {
        self.pop_before(slice.thread, slice.end.unwrap_or(i64::MAX));
        let stack = self.stacks.entry(slice.thread).or_default();
        slice.parent = stack.last().map(|open| open.id);
        for (from, name) in self.arriving.remove(&slice.thread).unwrap_or_default() {
            slice.span.flow(self.trace_id.unwrap_or_default(), from.to_be_bytes(), &name);
        }
        self.open_bytes += slice.bytes();
        stack.push(slice);
    }

    /// Closes the innermost slices of a thread that ended before `time`. What ends at it may still hold what has no
    /// length, or ends with it.
    fn pop_before(&mut self, thread: u32, time: i64) {
        while let Some(stack) = self.stacks.get_mut(&thread)
            && stack.last().is_some_and(|open| open.end.is_some_and(|end| end < time))
            && let Some(ended) = stack.pop()
        {
            self.open_bytes = self.open_bytes.saturating_sub(ended.bytes());
            self.close(ended);
        }
    }

    /// The innermost slice of a thread at `time`.
    fn around(&mut self, thread: u32, time: i64) -> Option<&mut Open> {
        self.pop_before(thread, time);
        self.stacks.get_mut(&thread)?.last_mut()
    }

    fn async_begin(&mut self, key: u64, mut begun: Open) {
        let stack = self.asynchronous.entry(key).or_default();
        begun.parent = stack.last().map(|open| open.id);
        self.open_bytes += begun.bytes();
        stack.push(begun);
    }

    /// Ends the innermost operation of that name; false where there is none.
    fn async_end(&mut self, (key, name): (u64, &str), time: i64, more: &Span) -> bool {
        let Some(stack) = self.asynchronous.get_mut(&key) else { return false };
        let named = stack.iter().rposition(|open| name.is_empty() || open.name == name);
        let Some(position) = named else { return false };
        let mut ended = stack.remove(position);
        if stack.is_empty() {
            self.asynchronous.remove(&key);
        }
        self.open_bytes = self.open_bytes.saturating_sub(ended.bytes());
        ended.end = Some(time.max(ended.start));
        ended.span.extend(more);
        self.close(ended);
        true
    }

    /// Links the slice that a flow comes to with the one that it comes from.
    fn flow(
        &mut self,
        (key, name): (u64, String),
        step: Step,
        (thread, time): (u32, i64),
    ) -> Result<(), &'static str> {
        let from = match step {
            Step::Start => None,
            Step::Middle => self.flows.get(&key).copied(),
            Step::End | Step::EndAtNext => {
                Some(self.flows.remove(&key).ok_or("ends of flows that did not begin")?)
            }
        };
        let trace_id = self.trace_id.unwrap_or_default();
        let around = self.around(thread, time);
        let here = match around {
            Some(open) if step != Step::EndAtNext || open.start == time => open,
            _ if step == Step::EndAtNext => {
                let arriving = self.arriving.entry(thread).or_default();
                arriving.extend(from.map(|from| (from, name)));
                return Ok(());
            }
            _ => return Err("flow events outside of slices (s, t, f)"),
        };
        let id = here.id;
        if let Some(from) = from.filter(|&from| from != id) {
            here.span.flow(trace_id, from.to_be_bytes(), &name);
        }
        if matches!(step, Step::Start | Step::Middle) {
            if self.flows.len() >= FLOWS_MAX && !self.flows.contains_key(&key) {
                return Err("flows beyond the first million that are open at once");
            }
            self.flows.insert(key, id);
        }
        Ok(())
    }

    fn close(&mut self, open: Open) {
        let Open { id, parent, start, end, thread, mut span, unclosed, .. } = open;
        if unclosed {
            span.attribute("chrome.unclosed", Value::Bool(true));
        }
        let parent = parent.map(u64::to_be_bytes);
        span.ids(self.trace_id.unwrap_or_default(), id.to_be_bytes(), parent);
        span.kind(KIND_INTERNAL);
        span.times(start.cast_unsigned(), end.unwrap_or(start).cast_unsigned());
        self.done.push(Done { thread, span: span.into_bytes() });
    }

    /// Closes whatever is open, at `last` where it has no end.
    pub(super) fn close_all(&mut self, last: i64, left_out: &mut BTreeMap<&'static str, u64>) {
        let arriving: usize = self.arriving.values().map(Vec::len).sum();
        if arriving > 0 {
            *left_out.entry("ends of flows without a slice after them").or_default() +=
                arriving as u64;
        }
        let stacks = std::mem::take(&mut self.stacks).into_values();
        let mut open: Vec<Open> =
            stacks.chain(std::mem::take(&mut self.asynchronous).into_values()).flatten().collect();
        open.sort_unstable_by_key(|open| open.id);
        for mut open in open {
            if open.end.is_none() {
                open.end = Some(last.max(open.start));
                open.unclosed = true;
            }
            self.close(open);
        }
    }
}
