//! The mark that a cut leaves: the attributes `spanlake.truncated` and, where a holder has no count of its own,
//! `spanlake.dropped_attributes_count`. Layout: docs/format.md#attributes.
use super::keys::Slot;
use crate::decode::cut::{Cut, Cuts};
use crate::decode::sink::Value;

/// Key of the list of names.
pub(super) const TRUNCATED: &[u8] = b"spanlake.truncated";
/// So many names are listed; more are one `…`.
const NAMES_MAX: usize = 100;

/// What was cut from one holder of attributes: span, event, link, resource or scope.
#[derive(Debug, Default)]
pub(super) struct Mark {
    /// `"a","b"`: JSON strings.
    names: Vec<u8>,
    count: usize,
}

impl Mark {
    /// Forgets the holder before.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.count = 0;
    }

    /// Notes a field of the holder: `span.name`.
    #[cold]
    pub(super) fn field(&mut self, name: &str) {
        self.json(&[b"\"", name.as_bytes(), b"\""].concat());
    }

    /// Notes an attribute by its key as the slot has it: `"key":`.
    #[cold]
    pub(super) fn key(&mut self, with_colon: &[u8]) {
        self.json(with_colon.strip_suffix(b":").unwrap_or(with_colon));
    }

    fn json(&mut self, name: &[u8]) {
        self.count += 1;
        if self.count > NAMES_MAX + 1 {
            return;
        }
        if self.count > 1 {
            self.names.push(b',');
        }
        self.names.extend_from_slice(if self.count > NAMES_MAX {
            "\"…\"".as_bytes()
        } else {
            name
        });
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Writes `"spanlake.truncated":[...]`.
    pub(super) fn write(&self, json: &mut Vec<u8>) {
        json.extend_from_slice(b"\"spanlake.truncated\":[");
        json.extend_from_slice(&self.names);
        json.push(b']');
    }
}

/// What the limits took from one holder of attributes.
#[derive(Debug, Default)]
pub(super) struct Loss {
    pub(super) mark: Mark,
    pub(super) cuts: Cuts,
    /// Attributes left out; of a span, the sender's count too.
    pub(super) dropped: u32,
}

impl Loss {
    #[cold]
    pub(super) fn left_out(&mut self, cut: Cut) {
        self.dropped = self.dropped.saturating_add(1);
        self.cuts.add(cut);
    }

    /// Notes a field of the holder where its text exceeds `limit`.
    #[inline]
    pub(super) fn cut_field(&mut self, name: &str, text: &[u8], limit: usize, cut: Cut) {
        if text.len() > limit {
            self.mark.field(name);
            self.cuts.add(cut);
        }
    }

    pub(super) fn note(&mut self, slot: &Slot, value: Value<'_>, limit: usize) {
        if value.is_cut(limit) {
            self.mark.key(&slot.json);
            self.cuts.add(Cut::Value);
        }
    }

    /// Adds the marks to a JSON object that is not yet closed; the list not where the sender `sent` one.
    pub(super) fn write(&self, json: &mut Vec<u8>, sent: bool) {
        let separate = |json: &mut Vec<u8>| json.push(if json.is_empty() { b'{' } else { b',' });
        if !sent && !self.mark.is_empty() {
            separate(json);
            self.mark.write(json);
        }
        if self.dropped > 0 {
            separate(json);
            write_dropped(json, self.dropped);
        }
    }
}

/// Writes `"spanlake.dropped_attributes_count":N`.
fn write_dropped(json: &mut Vec<u8>, count: u32) {
    json.extend_from_slice(b"\"spanlake.dropped_attributes_count\":");
    json.extend_from_slice(itoa::Buffer::new().format(count).as_bytes());
}
