//! What the targets have in common: the door and the store read the same bytes, and must agree on them.
use bytes::Bytes;
use ingest::{Config, Decoder, Format};
use storage::schema::AttributeColumns;
use storage::{Decode, Entry, SpanBatch, TimeRange};

/// Reads `body` as the door does, then as the store does.
///
/// # Panics
/// They disagree: a span would be acknowledged and not stored, or the other way round.
pub fn read(format: Format, body: &[u8]) -> SpanBatch {
    let decoder = Decoder::new(Config::default());
    let accepted = decoder.count(format, body, TimeRange::ALL);
    let entry = Entry {
        format: format.code(),
        received_unix_nano: 0,
        accept: TimeRange::ALL,
        body: Bytes::copy_from_slice(body),
        deduplicate: false,
    };
    let batch = decoder.decode(&[entry], &AttributeColumns::from_start());
    assert_eq!(batch.rows() as u64, accepted.unwrap_or(0), "door and store disagree");
    batch
}
