//! A protobuf request, OTLP or Zipkin, without the spans that are left out.
use super::decide::Verdict;
use crate::decode::wire::{Field, Fields, Malformed};

/// Number of a span's trace state in OTLP.
const OTLP_TRACE_STATE: u8 = 3;
/// The same in a Zipkin span, which has none of its own: see [`crate::decode::zipkin::protobuf::TRACE_STATE`].
const ZIPKIN_TRACE_STATE: u8 = 15;

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

    /// The same for Zipkin's `ListOfSpans`.
    pub(super) fn of_zipkin(body: &[u8], verdicts: V) -> Result<Vec<u8>, Malformed> {
        let (resource, scope, span) = (Vec::new(), Vec::new(), Vec::new());
        let mut splice = Self { verdicts, resource, scope, span };
        let mut request = Vec::new();
        each(body, |field, raw| match field {
            (1, Field::Bytes(span)) => {
                splice.span((ZIPKIN_TRACE_STATE, span), (1, raw), &mut request).map(|_| ())
            }
            _ => {
                request.extend_from_slice(raw);
                Ok(())
            }
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
            let mut scope = std::mem::take(&mut self.scope);
            kept |= self.span((OTLP_TRACE_STATE, span), (2, raw), &mut scope)?;
            self.scope = scope;
            Ok(())
        })?;
        Ok(kept)
    }

    /// Writes a span, `raw` with its tag, as the next verdict says; true where it stays. Its trace state is, and the
    /// span itself in its message, the field of that number.
    fn span(
        &mut self,
        (trace_state_number, span): (u8, &[u8]),
        (number, raw): (u8, &[u8]),
        out: &mut Vec<u8>,
    ) -> Result<bool, Malformed> {
        match self.verdicts.next() {
            Some(Verdict::Drop) => return Ok(false),
            Some(Verdict::Rewrite(trace_state)) => {
                self.span_with(span, trace_state_number, &trace_state)?;
                put(out, number, &self.span);
            }
            Some(Verdict::Keep) | None => out.extend_from_slice(raw),
        }
        Ok(true)
    }

    fn span_with(
        &mut self,
        message: &[u8],
        trace_state_number: u8,
        trace_state: &[u8],
    ) -> Result<(), Malformed> {
        self.span.clear();
        each(message, |(number, _), raw| {
            if number != u32::from(trace_state_number) {
                self.span.extend_from_slice(raw);
            }
            Ok(())
        })?;
        put(&mut self.span, trace_state_number, trace_state);
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
