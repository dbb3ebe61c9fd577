//! An OTLP protobuf request without the spans that are left out.
use super::decide::Verdict;
use crate::decode::wire::{Field, Fields, Malformed};

/// Writes what stays of a request. Whatever is no span is copied byte by byte; a resource or scope without a span goes.
pub(super) struct Splice<V> {
    verdicts: V,
    resource: Vec<u8>,
    scope: Vec<u8>,
    span: Vec<u8>,
}

impl<V: Iterator<Item = Verdict>> Splice<V> {
    /// `body` as `verdicts` say, which are in the order of its spans.
    pub(super) fn of(body: &[u8], verdicts: V) -> Result<Vec<u8>, Malformed> {
        let (resource, scope, span) = (Vec::new(), Vec::new(), Vec::new());
        let mut splice = Self { verdicts, resource, scope, span };
        let mut request = Vec::new();
        each(body, |field, raw| {
            let (1, Field::Bytes(message)) = field else {
                request.extend_from_slice(raw);
                return Ok(());
            };
            if splice.resource_spans(message)? {
                put(&mut request, 1, &splice.resource);
            }
            Ok(())
        })?;
        Ok(request)
    }

    /// True where a span stays.
    fn resource_spans(&mut self, message: &[u8]) -> Result<bool, Malformed> {
        self.resource.clear();
        let mut kept = false;
        each(message, |field, raw| {
            let (2, Field::Bytes(message)) = field else {
                self.resource.extend_from_slice(raw);
                return Ok(());
            };
            if self.scope_spans(message)? {
                kept = true;
                put(&mut self.resource, 2, &self.scope);
            }
            Ok(())
        })?;
        Ok(kept)
    }

    fn scope_spans(&mut self, message: &[u8]) -> Result<bool, Malformed> {
        self.scope.clear();
        let mut kept = false;
        each(message, |field, raw| {
            let (2, Field::Bytes(span)) = field else {
                self.scope.extend_from_slice(raw);
                return Ok(());
            };
            match self.verdicts.next() {
                Some(Verdict::Drop) => return Ok(()),
                Some(Verdict::Rewrite(trace_state)) => {
                    self.span_with(span, &trace_state)?;
                    put(&mut self.scope, 2, &self.span);
                }
                Some(Verdict::Keep) | None => self.scope.extend_from_slice(raw),
            }
            kept = true;
            Ok(())
        })?;
        Ok(kept)
    }

    fn span_with(&mut self, message: &[u8], trace_state: &[u8]) -> Result<(), Malformed> {
        const TRACE_STATE: u32 = 3;
        self.span.clear();
        each(message, |(number, _), raw| {
            if number != TRACE_STATE {
                self.span.extend_from_slice(raw);
            }
            Ok(())
        })?;
        put(&mut self.span, 3, trace_state);
        Ok(())
    }
}

/// Calls `take` with each field of `message` and with the bytes of it, tag included.
fn each<'a>(
    message: &'a [u8],
    mut take: impl FnMut((u32, Field<'a>), &'a [u8]) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut fields = Fields::new(message);
    loop {
        let before = fields.rest();
        let Some(field) = fields.next()? else { return Ok(()) };
        take(field, &before[..before.len() - fields.rest().len()])?;
    }
}

/// Writes a length-delimited field.
pub(super) fn put(out: &mut Vec<u8>, number: u8, message: &[u8]) {
    out.push(number << 3 | 2);
    let mut length = message.len();
    while length >= 0x80 {
        out.push(length.to_le_bytes()[0] | 0x80);
        length >>= 7;
    }
    out.push(length.to_le_bytes()[0]);
    out.extend_from_slice(message);
}
