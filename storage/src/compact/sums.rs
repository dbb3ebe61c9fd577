//! The rollups of files that become one, added up.
use std::sync::Arc;

use bytes::Bytes;

use super::split::{Hashes, Split, hash};
use crate::error::Result;
use crate::flush;
use crate::id::TraceId;
use crate::rollup::{Content, Joining, Rollup, Slots};
use crate::snapshot::DataFile;
use crate::table::Table;

/// See the module. Nothing where one of the files has no rollup: then the new one has none either.
pub(super) struct Sums(Option<Known>);

struct Known {
    joining: Joining,
    slot_nano: i64,
    rollups: Arc<[Arc<Rollup>]>,
}

impl Sums {
    /// Adds up, without the open and linked traces that are among `split`: those come with [`Self::mend`].
    pub(super) async fn of(table: &Table, files: &[Arc<DataFile>], split: &Split) -> Self {
        let mut loaded = Vec::with_capacity(files.len());
        for file in files {
            let whole = table.rollups().whole(file).await;
            let slots = table.rollups().slots(file).await;
            let Some((whole, slots)) = whole.zip(slots) else { return Self(None) };
            let rows = table.rollups().traces(file).await;
            if whole.has_traces() && rows.is_none() {
                return Self(None);
            }
            loaded.push((whole, slots, rows));
        }
        let slot_nano = loaded.iter().map(|(_, slots, _)| slots.slot_nano()).max().unwrap_or(1);
        let traces: Hashes = split.traces.iter().copied().collect();
        let mut joining = Joining::new(slot_nano);
        for (file, (whole, slots, rows)) in files.iter().zip(&loaded) {
            let is_split = |trace: &TraceId| traces.contains(&hash(trace));
            joining.add(file.rows, (whole, slots, rows.as_deref()), &is_split);
        }
        let rollups = loaded.into_iter().map(|(whole, ..)| whole).collect();
        Self(Some(Known { joining, slot_nano, rollups }))
    }

    /// Length of a slot, and by file its rollup.
    pub(super) fn counted(&self) -> Option<(i64, Arc<[Arc<Rollup>]>)> {
        let known = self.0.as_ref()?;
        Some((known.slot_nano, Arc::clone(&known.rollups)))
    }

    /// Corrects what is counted of split traces.
    pub(super) fn mend(&mut self, plus: Content, minus: &Slots) {
        if let Some(known) = &mut self.0 {
            known.joining.mend(plus, minus);
        }
    }

    /// The object.
    ///
    /// # Errors
    /// It cannot be compressed.
    pub(super) fn finish(self) -> Result<Option<Bytes>> {
        let Some(Known { joining, .. }) = self.0 else { return Ok(None) };
        let Some(content) = joining.finish() else {
            tracing::warn!("rollups of files to join do not fit their spans: joined without");
            return Ok(None);
        };
        flush::fitted(content).to_bytes().map(Some)
    }
}
