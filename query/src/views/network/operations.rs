//! `network_operations`: bytes by the service, operation and kind of the spans that carried them.
//!
//! Only kinds that call or are called are here: no other span moves bytes.
use std::cmp::Reverse;

use arrow::array::RecordBatch;
use datafusion::common::Result;
use hashbrown::HashMap;
use storage::TimeRange;
use storage::schema::column;

use super::{Traffic, each_batch, share_note};
use crate::views::Notes;
use crate::views::attribute::Attributes;
use crate::views::forest::{Kind, Texts};
use crate::views::load::Source;
use crate::views::operations::Key;
use crate::views::read::{Last, texts};
use crate::views::rows::{Columns, share};

pub(crate) type Row = (Key, Traffic);

/// The answer, heaviest operation first.
pub(crate) async fn answer(
    source: &Source,
    range: TimeRange,
    notes: &mut Notes,
) -> Result<Vec<RecordBatch>> {
    let mut words = Texts::default();
    let mut operations: HashMap<Key, Traffic> = HashMap::new();
    let add = |batch: &RecordBatch, attributes: &Attributes| {
        let service = texts(batch, column::SERVICE)?;
        let name = texts(batch, column::NAME)?;
        let kind = texts(batch, column::KIND)?;
        let (mut last_service, mut last_name) = (Last::default(), Last::default());
        let mut last_kind = Last::default();
        for row in 0..batch.num_rows() {
            let (moves, word) = last_kind.of(&kind, row, |text| (Kind::of(text), words.id(text)));
            if !moves.calls() && !moves.is_called() {
                continue;
            }
            let service = last_service.of(&service, row, |text| words.id(text));
            let name = last_name.of(&name, row, |text| words.id(text));
            let traffic = operations.entry((service, name, word)).or_default();
            traffic.add(moves, attributes.sizes(row));
        }
        source.hold(operations.capacity() * (size_of::<Row>() + 1))
    };
    each_batch(source, range, &[column::SERVICE, column::NAME, column::KIND], add).await?;
    sorted(&words, operations.into_iter().collect(), notes)
}

/// The answer in its order, with its note.
pub(crate) fn sorted(
    words: &Texts,
    mut rows: Vec<Row>,
    notes: &mut Notes,
) -> Result<Vec<RecordBatch>> {
    let names = |(service, name, kind): Key| [service, name, kind].map(|id| words.text(id));
    rows.sort_unstable_by(|(a, x), (b, y)| {
        (Reverse(x.bytes()), names(*a)).cmp(&(Reverse(y.bytes()), names(*b)))
    });
    let eligible = rows.iter().map(|(_, traffic)| traffic.eligible).sum();
    let sized = rows.iter().map(|(_, traffic)| traffic.sized).sum();
    notes.push(("coverage", share_note(share(sized, eligible))));
    Ok(vec![batch(words, &rows)?])
}

/// The columns.
pub(crate) fn batch(words: &Texts, rows: &[Row]) -> Result<RecordBatch> {
    Columns::of(rows)
        .text("service", |(key, _)| words.text(key.0))
        .text("name", |(key, _)| words.text(key.1))
        .text("kind", |(key, _)| words.text(key.2))
        .big("server_in", |(_, traffic)| traffic.server_in)
        .big("server_out", |(_, traffic)| traffic.server_out)
        .big("client_out", |(_, traffic)| traffic.client_out)
        .big("client_in", |(_, traffic)| traffic.client_in)
        .big("bytes_in", |(_, traffic)| traffic.bytes_in())
        .big("bytes_out", |(_, traffic)| traffic.bytes_out())
        .big("spans", |(_, traffic)| traffic.spans)
        .float_or_null("coverage", |(_, traffic)| share(traffic.sized, traffic.eligible))
        .big("sized_spans", |(_, traffic)| traffic.sized)
        .finish()
}
