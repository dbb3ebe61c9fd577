//! Decodes group after group into batches that share their strings.
use std::sync::Arc;

use storage::batch::Interner;
use storage::schema::AttributeColumns;
use storage::{DecodeSession, Entry, SpanBatch};

use super::builder::{Builder, State};
use super::{Decoder, Format};

/// See the module.
#[derive(Debug)]
pub(super) struct Session {
    decoder: Decoder,
    interner: Interner,
    state: State,
}

impl Session {
    pub(super) fn new(decoder: Decoder) -> Self {
        let mut interner = Interner::default();
        let state = State::new(&mut interner);
        Self { decoder, interner, state }
    }

    /// Decodes all entries; `Err` is the position of the first that cannot be read.
    fn build(
        &mut self,
        entries: &[&Entry],
        columns: &Arc<AttributeColumns>,
    ) -> Result<SpanBatch, usize> {
        let config = &self.decoder.config;
        self.state.begin(columns);
        let mut builder = Builder::new(config, &mut self.interner, &mut self.state);
        for (position, entry) in entries.iter().enumerate() {
            let first = builder.rows();
            let format = Format::from_code(entry.format).ok_or(position)?;
            format.walk(&entry.body, config, entry.accept, &mut builder).map_err(|_| position)?;
            builder.received_since(first, entry.received_unix_nano);
        }
        let rows = builder.rows();
        self.decoder.cuts.add(builder.cut_counts());
        self.decoder.invalid_weights.add(builder.invalid_weights());
        drop(builder);
        Ok(self.state.finish(rows, &mut self.interner))
    }
}

impl DecodeSession for Session {
    fn decode(&mut self, entries: &[Entry], columns: &Arc<AttributeColumns>) -> SpanBatch {
        let mut readable: Vec<&Entry> = entries.iter().collect();
        loop {
            match self.build(&readable, columns) {
                Ok(batch) => return batch,
                // The door checked every entry, so this is one that came another way; the others stay.
                Err(position) => {
                    let entry = readable.remove(position);
                    tracing::error!(format = entry.format, "an entry cannot be decoded");
                }
            }
        }
    }

    fn bytes(&self) -> usize {
        self.interner.bytes() + self.state.bytes()
    }
}
