//! Hot buffer: batches that are durable in the log and not yet in a file, already visible to readers.
//!
//! Owns what a read sees: hot batches and table version change together, in one swap, so that no reader ever sees a span
//! twice or not at all.
mod departed;
mod promote;
mod publisher;
pub(crate) mod tail;

#[cfg(test)]
pub(crate) mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::datatypes::{Field, Schema, SchemaRef};
use object_store::ObjectStore;
use tokio::sync::{Notify, watch};

use crate::batch::SpanBatch;
use crate::id::WalSeq;
use crate::ledger::Ledger;
use crate::rollup::Rollups;
use crate::schema::{AttributeColumns, read_type};
use crate::snapshot::Snapshot;
use crate::table::TableState;

pub use departed::Departure;
use departed::Departures;
use promote::Promotion;
pub(crate) use publisher::Publisher;
use tail::{Arrival, Kept, Tail};

/// What a flush takes: everything visible at one moment.
#[derive(Debug)]
pub(crate) struct Sealed {
    /// The batches, oldest first.
    pub(crate) batches: Vec<Arc<SpanBatch>>,
    /// Every attribute column that one of them may have.
    pub(crate) columns: Arc<AttributeColumns>,
    /// Position of the last log entry that is in them, or before them.
    pub(crate) through: WalSeq,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Hot {
    state: Mutex<State>,
    object_store: Arc<dyn ObjectStore>,
    folder: Option<Arc<Path>>,
    rollups: Arc<Rollups>,
    ledger: Arc<Ledger>,
    changes: watch::Sender<u64>,
    flush_bytes: usize,
    full: Notify,
}

#[derive(Debug)]
struct State {
    table: Arc<TableState>,
    /// Oldest first.
    batches: Vec<Arrival>,
    kept: Kept,
    departed: Departures,
    /// Number of the next span to come.
    next: u64,
    bytes: usize,
    rows: u64,
    through: WalSeq,
    columns: Arc<AttributeColumns>,
    schema: SchemaRef,
    promotion: Promotion,
    /// The snapshot of this state, once somebody asked for it: hundreds of groups a second come in, few are read.
    snapshot: Option<Arc<Snapshot>>,
    ledger: Arc<Ledger>,
}

impl Hot {
    /// An empty buffer over `table`. Asks for a flush whenever it holds `flush_bytes`.
    pub(crate) fn new(
        table: Arc<TableState>,
        (object_store, rollups): (Arc<dyn ObjectStore>, Arc<Rollups>),
        flush_bytes: usize,
    ) -> Self {
        let columns = Arc::new(first_columns(&table));
        let ledger = Arc::<Ledger>::default();
        let state = State {
            through: table.wal_through,
            schema: read_schema(&columns),
            columns,
            table,
            batches: Vec::new(),
            kept: Kept::default(),
            departed: Departures::default(),
            next: 0,
            bytes: 0,
            rows: 0,
            promotion: Promotion::default(),
            snapshot: None,
            ledger: Arc::clone(&ledger),
        };
        Self {
            state: Mutex::new(state),
            object_store,
            folder: None,
            rollups,
            ledger,
            changes: watch::channel(0).0,
            flush_bytes,
            full: Notify::new(),
        }
    }

    /// The same over files in a folder of this machine.
    pub(crate) fn in_folder(self, folder: Option<Arc<Path>>) -> Self {
        Self { folder, ..self }
    }

    /// Makes the batches of one group visible. `through` is the position of the group's last entry.
    pub(crate) fn push(&self, through: WalSeq, batches: Vec<SpanBatch>) {
        let batches: Vec<Arc<SpanBatch>> =
            batches.into_iter().filter(|batch| batch.rows() > 0).map(Arc::new).collect();
        let bytes = self.lock().push(through, &batches);
        if batches.is_empty() {
            return;
        }
        if bytes >= self.flush_bytes {
            self.full.notify_one();
        }
        self.changed();
    }

    /// Everything visible now, for a flush. Attributes that were frequent in it have columns from here on.
    pub(crate) fn seal(&self) -> Sealed {
        let mut state = self.lock();
        let frequent = state.promotion.finish();
        state.promote(&frequent);
        Sealed {
            batches: state.batches(),
            columns: Arc::clone(&state.columns),
            through: state.through,
        }
    }

    /// One swap: `table`'s files appear, the hot batches that they contain go. Which ones those are, the log position
    /// says that was committed with the files: also a flush whose answer was lost is found by it.
    pub(crate) fn replace(&self, table: Arc<TableState>) {
        let flushed = self.lock().replace(table);
        self.depart(flushed);
        self.changed();
    }

    /// Notes which requests `gone` came with, and frees it: here and not under the lock, there may be hundreds of MiB.
    fn depart(&self, gone: impl IntoIterator<Item = Arrival>) {
        let requests: Vec<Departure> =
            gone.into_iter().flat_map(|arrival| departed::requests(&arrival)).collect();
        if !requests.is_empty() {
            self.lock().departed.add(requests);
        }
    }

    /// The state now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.lock().snapshot((&self.object_store, &self.folder, &self.rollups))
    }

    /// What was refused.
    pub(crate) fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.ledger)
    }

    /// Attributes with columns now.
    pub(crate) fn columns(&self) -> Arc<AttributeColumns> {
        Arc::clone(&self.lock().columns)
    }

    /// Memory held by the batches.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Spans held.
    pub(crate) fn rows(&self) -> u64 {
        self.lock().rows
    }

    /// True where a flush would have something to do.
    pub(crate) fn is_dirty(&self) -> bool {
        let state = self.lock();
        state.through > state.table.wal_through
    }

    /// A listener to what becomes visible.
    pub(crate) fn tail(self: &Arc<Self>) -> Tail {
        Tail::new(Arc::clone(self))
    }

    /// A new value at each change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Asks for a flush now.
    pub(crate) fn request_flush(&self) {
        self.full.notify_one();
    }

    /// Returns when a flush is due because of size, or was asked for.
    pub(crate) async fn flush_requested(&self) {
        self.full.notified().await;
    }

    fn changed(&self) {
        self.changes.send_modify(|change| *change += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No method of `State` leaves it half changed where it may panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where files and rollups are read.
type Readable<'a> = (&'a Arc<dyn ObjectStore>, &'a Option<Arc<Path>>, &'a Arc<Rollups>);

impl State {
    fn push(&mut self, through: WalSeq, batches: &[Arc<SpanBatch>]) -> usize {
        assert!(through >= self.through, "groups become visible in order");
        self.through = through;
        for batch in batches {
            self.batches.push(Arrival { through, first: self.next, batch: Arc::clone(batch) });
            self.next += batch.rows() as u64;
            self.bytes += batch.bytes();
            self.rows += batch.rows() as u64;
            let frequent = self.promotion.count(batch);
            self.promote(&frequent);
        }
        if !batches.is_empty() {
            self.snapshot = None;
        }
        self.bytes
    }

    fn promote(&mut self, frequent: &[promote::Frequent]) {
        if frequent.is_empty() {
            return;
        }
        let mut columns = (*self.columns).clone();
        let mut added = false;
        for attribute in frequent {
            // One that has a column already came often with values of another type: they stay in the JSON.
            if columns.add(attribute.scope, &attribute.key, attribute.kind) {
                tracing::info!(attribute = attribute.key, "attribute gets a column");
                added = true;
            }
        }
        if !added {
            return;
        }
        self.schema = read_schema(&columns);
        self.columns = Arc::new(columns);
        self.snapshot = None;
    }

    /// Returns the batches that went.
    fn replace(&mut self, table: Arc<TableState>) -> Vec<Arrival> {
        let in_files = self.batches.partition_point(|hot| hot.through <= table.wal_through);
        let gone: Vec<Arrival> = self.batches.drain(..in_files).collect();
        self.bytes -= gone.iter().map(|hot| hot.batch.bytes()).sum::<usize>();
        self.rows -= gone.iter().map(|hot| hot.batch.rows() as u64).sum::<u64>();
        self.table = table;
        self.snapshot = None;
        self.kept.take(gone)
    }

    fn batches(&self) -> Vec<Arc<SpanBatch>> {
        self.batches.iter().map(|hot| Arc::clone(&hot.batch)).collect()
    }

    fn snapshot(&mut self, (object_store, folder, rollups): Readable<'_>) -> Arc<Snapshot> {
        if let Some(snapshot) = &self.snapshot {
            return Arc::clone(snapshot);
        }
        let snapshot = Arc::new(Snapshot {
            version: self.table.version,
            files: Arc::clone(&self.table.files),
            hot: self.batches().into(),
            columns: Arc::clone(&self.columns),
            schema: Arc::clone(&self.schema),
            object_store: Arc::clone(object_store),
            folder: folder.clone(),
            receipts: Arc::clone(&self.table.receipts),
            rearranged: Arc::clone(&self.table.rearranged),
            rollups: Arc::clone(rollups),
            patches: Arc::clone(&self.table.patches),
            ledger: Arc::clone(&self.ledger),
        });
        self.snapshot = Some(Arc::clone(&snapshot));
        snapshot
    }
}

/// The table's own columns first, so that they keep their names; then those every table has.
fn first_columns(table: &TableState) -> AttributeColumns {
    let mut columns = (*table.columns).clone();
    for column in AttributeColumns::from_start().as_slice() {
        columns.add(column.scope, &column.key, column.kind);
    }
    columns
}

fn read_schema(columns: &AttributeColumns) -> SchemaRef {
    let stored = columns.schema();
    let fields: Vec<Field> = stored
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_data_type(read_type(field.data_type())))
        .collect();
    Arc::new(Schema::new(fields))
}
