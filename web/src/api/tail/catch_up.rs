//! What a returning reader missed, read in pieces, as fast as it takes them: from memory, or from the table what left it.
use std::sync::Arc;

use arrow::buffer::BooleanBuffer;
use storage::Arrival;

use super::events::{Events, Lost, lagged, mark, skipped};
use super::hub::Seated;
use super::position::Position;
use super::select::{Sought, select};
use super::stored;
use crate::Result;

/// Spans of one piece: what a reader that does not read may cost.
const PIECE_SPANS: usize = 64;

/// A piece of what was missed.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    /// Number of the span to go on with.
    pub(super) next: u64,
    /// Events in it.
    pub(super) spans: usize,
    /// Wanted spans beyond the budget.
    pub(super) skipped: u64,
    /// Spans that are neither in memory nor found in the table.
    pub(super) missed: u64,
}

impl Piece {
    /// Its events, after what there is to say about it.
    pub(super) fn told(self) -> Vec<u8> {
        let mut told = Vec::new();
        if self.missed > 0 {
            lagged(Some(self.missed), Lost::Flushed, &mut told);
        }
        if self.skipped > 0 {
            skipped(self.skipped, &mut told);
        }
        told.extend(self.bytes);
        told
    }
}

/// What lies behind span number `at`: events of `budget` spans at most, beyond that only their number. Readers take
/// turns, one piece each. `None` where the server ends.
pub(super) async fn read_up(seated: Arc<Seated>, at: u64, budget: usize) -> Option<Piece> {
    let permit = Arc::clone(&seated.hub.reading_up).acquire_owned().await.ok()?;
    let gone = seated.tail.after(at).missed;
    if gone > 0 {
        let piece = stored::read(&seated, at..at + gone, budget).await;
        drop(permit);
        return Some(piece);
    }
    let work = move || {
        let piece = read(&seated, at, budget);
        drop(permit);
        piece
    };
    tokio::task::spawn_blocking(work).await.ok()
}

fn read(seated: &Seated, at: u64, budget: usize) -> Piece {
    let found = seated.tail.after(at);
    let mut piece = Piece { next: at, ..Piece::default() };
    if found.missed > 0 {
        // They left memory just now: the next piece has them.
        return piece;
    }
    for arrival in &found.batches {
        if let Err(error) = add(&mut piece, seated, arrival, budget) {
            tracing::error!(%error, "spans could not be shown to the live tail");
            piece.missed += arrival.end() - piece.next;
            piece.next = arrival.end();
        }
        if piece.next < arrival.end() || (budget > 0 && piece.spans == budget.min(PIECE_SPANS)) {
            break;
        }
    }
    piece
}

/// Adds the wanted spans of `arrival` from `piece.next` on, and moves it.
fn add(piece: &mut Piece, seated: &Seated, arrival: &Arrival, budget: usize) -> Result<()> {
    let rows = arrival.batch.rows();
    let from = usize::try_from(piece.next.saturating_sub(arrival.first)).unwrap_or(rows).min(rows);
    let wanted =
        select(&seated.channel.filter, &Sought::new(&arrival.batch)).slice(from, rows - from);
    if budget == 0 {
        piece.skipped += wanted.count_set_bits() as u64;
        piece.next = arrival.end();
        return Ok(());
    }
    let room = budget.min(PIECE_SPANS) - piece.spans;
    let mut indices = wanted.set_indices().map(|row| row + from);
    let taken: Vec<usize> = indices.by_ref().take(room).collect();
    let next = indices.next().map_or(arrival.end(), |row| arrival.first + row as u64);
    if !taken.is_empty() {
        let mut mask = vec![false; rows];
        for row in &taken {
            mask[*row] = true;
        }
        let (hub, presenter) = (&seated.hub, seated.hub.presenter()?);
        let events = Events::encode(&presenter, arrival, BooleanBuffer::from(mask), hub.run())?;
        for (_, event) in events.of(&taken) {
            piece.bytes.extend_from_slice(event);
        }
        let position = Position { run: hub.run(), through: arrival.through.0, next };
        mark(position, &mut piece.bytes);
    }
    piece.spans += taken.len();
    piece.next = next;
    Ok(())
}
