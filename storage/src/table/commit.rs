//! The committer: one new version of the table by one put-if-absent.
//!
//! A change is decided on a known version and written as exactly the next one; where another writer was faster, its
//! commits are read and the change is decided anew. So no change is ever based on a version it did not see.
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::NaiveDate;
use deltalake::kernel::transaction::TransactionError;
use deltalake::kernel::{Action, Add, Remove};
use deltalake::logstore::CommitOrBytes;
use futures::{StreamExt, TryStreamExt};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::maintain::Tombstone;
use super::{Ledger, Table, TableState, load, policy, schema};
use crate::compact::Merged;
use crate::error::{Error, Result};
use crate::file::footer::Footer;
use crate::file::sidecar::Known;
use crate::file::{FilePaths, stats};
use crate::id::{TableVersion, WalSeq};
use crate::retain::receipt;
use crate::schema::AttributeColumns;
use crate::snapshot::{DataFile, REARRANGEMENTS_MAX, Rearrangement};

/// Tag of an add action: path of the sidecar.
const TAG_SIDECAR: &str = "spanlake.sidecar";
/// Tag of an add action: path of the rollup, where there is one.
const TAG_ROLLUP: &str = "spanlake.rollup";
/// Tag of an add action: XXH3-128 of the data file, 32 hex digits.
const TAG_CHECKSUM: &str = "spanlake.xxh3_128";
/// Tag of an add action: length and checksum of page index and footer.
const TAG_FOOTER: &str = "spanlake.footer";
/// Tag of an add action: retention class, where it is not the default one.
const TAG_CLASS: &str = "spanlake.class";
/// Tag of an add action: distinct traces in the data file.
const TAG_TRACES: &str = "spanlake.traces";
/// Key in `commitInfo`: tells our entry from another writer's after a lost answer.
const COMMIT_ID: &str = "spanlakeCommit";
/// Maintenance of all processes carries this application id, so that the library refuses the second of two.
const MAINTENANCE_APP: &str = "spanlake/maintenance";
/// Versions lost to other writers in one commit before we give up.
const ATTEMPTS_MAX: u32 = 100;
/// Sidecars read at a time.
pub(super) const PARALLEL_READS: usize = 16;

/// A file written but not yet part of the table.
#[derive(Debug, Clone)]
pub(crate) struct NewFile {
    pub(crate) paths: FilePaths,
    pub(crate) date: NaiveDate,
    /// Retention class; `None` for the default one.
    pub(crate) class: Option<Arc<str>>,
    pub(crate) bytes: u64,
    pub(crate) checksum: u128,
    pub(crate) footer: Option<Footer>,
    pub(crate) traces: u64,
    /// The `stats` of the add action.
    pub(crate) stats: String,
    pub(crate) known: Known,
    /// A rollup was written.
    pub(crate) has_rollup: bool,
}

/// What a commit does.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// Name of the operation in `commitInfo`: `WRITE`, `DELETE`, ...
    pub(crate) operation: &'static str,
    pub(crate) parameters: Map<String, Value>,
    pub(crate) add: Vec<NewFile>,
    pub(crate) remove: Vec<Arc<DataFile>>,
    /// A new `metaData` action.
    pub(crate) metadata: Option<Value>,
    /// Application id and its number.
    pub(crate) transaction: Option<(String, i64)>,
    /// Further fields of `commitInfo`.
    pub(crate) info: Map<String, Value>,
    /// The added files hold the spans of the removed ones and no others (`dataChange` is false): who follows the table
    /// for new spans finds none here.
    pub(crate) rearranges: bool,
}

impl Table {
    /// Commits what `decide` makes of the newest version, `None` where it makes nothing.
    ///
    /// # Errors
    /// The step that failed; then nothing was committed as far as can be known, and the next call finds out.
    pub(super) async fn commit(
        &self,
        ledger: &mut Ledger,
        decide: impl Fn(&TableState, &Value) -> Result<Option<Change>>,
    ) -> Result<Option<TableVersion>> {
        for _ in 0..ATTEMPTS_MAX {
            if ledger.behind {
                self.catch_up(ledger).await?;
            }
            let state = self.state();
            let Some(change) = decide(&state, &ledger.metadata)? else { return Ok(None) };
            let version = TableVersion(state.version.0 + 1);
            let id = Uuid::new_v4();
            let body = render(&change, version, id, self.clock.now_unix_nano() / 1_000_000)?;
            crate::fault::point("commit: decided");
            ledger.behind = true; // until the answer is known; also where this call is cancelled
            if self.write(version, &body, id).await? {
                crate::fault::point("commit: written");
                let known = change.add.iter().map(|new| (new.paths.data.as_str(), &new.known));
                self.apply(ledger, version, &body, &known.collect()).await?;
                crate::fault::point("commit: applied");
                ledger.behind = false;
                self.figures.commits.add(1);
                return Ok(Some(version));
            }
            self.figures.collisions.add(1);
        }
        let source = "other writers were faster a hundred times in a row".into();
        Err(Error::Table { step: "commit", source })
    }

    /// [`Self::commit`] for callers outside this module.
    pub(crate) async fn commit_change(
        &self,
        decide: impl Fn(&TableState, &Value) -> Result<Option<Change>>,
    ) -> Result<Option<TableVersion>> {
        let mut ledger = self.ledger.lock().await;
        self.commit(&mut ledger, decide).await
    }

    /// True where the log already holds everything up to `through`: a flush whose answer was lost.
    ///
    /// # Errors
    /// [`Error::Table`] where a lost flush turns out to hold a part of it: [`Table::state`] then says up to where.
    pub(crate) async fn has_committed(&self, through: WalSeq) -> Result<bool> {
        let before = self.state().wal_through;
        self.refresh().await?;
        let now = self.state().wal_through;
        covers(before, now, through)?;
        Ok(through.0 > 0 && now >= through)
    }

    /// Reads the log again where the answer to a commit was lost: afterwards [`Table::state`] holds it, if it was made.
    ///
    /// # Errors
    /// The log could not be read.
    pub(crate) async fn refresh(&self) -> Result<()> {
        let mut ledger = self.ledger.lock().await;
        if ledger.behind {
            self.catch_up(&mut ledger).await?;
        }
        Ok(())
    }

    /// Commits what a flush has written: files, new attribute columns, log position.
    pub(crate) async fn commit_flush(
        &self,
        files: Vec<NewFile>,
        columns: Arc<AttributeColumns>,
        through: WalSeq,
    ) -> Result<()> {
        let position = i64::try_from(through.0).unwrap_or(i64::MAX);
        let before = self.state().wal_through;
        let decide = |state: &TableState, metadata: &Value| {
            if covers(before, state.wal_through, through)?
                || (files.is_empty() && state.wal_through == through)
            {
                return Ok(None);
            }
            Ok(Some(Change {
                operation: "WRITE",
                parameters: [
                    ("mode".to_owned(), Value::from("Append")),
                    ("partitionBy".to_owned(), Value::from("[\"date\"]")),
                ]
                .into_iter()
                .collect(),
                add: files.clone(),
                metadata: with_columns(state, metadata, &columns),
                transaction: Some((self.log_app.clone(), position)),
                ..Change::default()
            }))
        };
        self.commit_change(decide).await.map(drop)
    }

    /// Puts the outputs of a compaction step in the place of its inputs. False where one of those is no longer live, as
    /// after a drop: then nothing was done, and the outputs are orphans.
    pub(crate) async fn commit_merged(&self, merged: &Merged) -> Result<bool> {
        let decide = |state: &TableState, _: &Value| {
            let live: HashSet<&str> = state.files.iter().map(|file| file.path.as_str()).collect();
            if !merged.inputs.iter().all(|file| live.contains(file.path.as_str())) {
                return Ok(None);
            }
            Ok(Some(Change {
                operation: "OPTIMIZE",
                parameters: [("predicate".to_owned(), Value::from("[]"))].into_iter().collect(),
                add: merged.outputs.clone(),
                remove: merged.inputs.clone(),
                transaction: Some(maintenance_transaction(self.clock.now_unix_nano())),
                rearranges: merged.duplicates == 0,
                ..Change::default()
            }))
        };
        Ok(self.commit_change(decide).await?.is_some())
    }

    pub(crate) async fn clock_is_confirmed(&self, now: i64) -> bool {
        self.ledger.lock().await.guard.confirms(now)
    }

    pub(crate) fn count_file(&self, bytes: u64) {
        self.figures.files_written.add(1);
        self.figures.bytes_written.add(bytes);
    }

    /// Whether the entry is ours now; false where another writer's is there.
    async fn write(&self, version: TableVersion, body: &str, id: Uuid) -> Result<bool> {
        let bytes = CommitOrBytes::LogBytes(body.to_owned().into());
        let Err(failure) = self.place.log.write_commit_entry(version.0, bytes, id).await else {
            return Ok(true);
        };
        // "Exists" may be our own entry, written by a try whose answer was lost; any other failure may be a success.
        match self.read_entry(version).await {
            Ok(Some(entry)) => Ok(entry.contains(&id.to_string())),
            Ok(None) | Err(_) if !matches!(failure, TransactionError::VersionAlreadyExists(_)) => {
                Err(Error::Table { step: "write to the Delta log", source: failure.into() })
            }
            Ok(None) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn read_entry(&self, version: TableVersion) -> Result<Option<String>> {
        let failed = |source| Error::Table { step: "read the Delta log", source };
        let entry = self.place.log.read_commit_entry(version.0).await;
        let Some(bytes) = entry.map_err(|error| failed(error.into()))? else { return Ok(None) };
        String::from_utf8(bytes.to_vec()).map(Some).map_err(|error| failed(error.into()))
    }

    /// Reads all commits after the version known.
    pub(super) async fn catch_up(&self, ledger: &mut Ledger) -> Result<()> {
        loop {
            let version = TableVersion(self.state().version.0 + 1);
            let Some(entry) = self.read_entry(version).await? else { break };
            self.apply(ledger, version, &entry, &HashMap::new()).await?;
        }
        ledger.behind = false;
        Ok(())
    }

    /// Makes `version` the state: the entry's actions applied to the version before.
    async fn apply(
        &self,
        ledger: &mut Ledger,
        version: TableVersion,
        entry: &str,
        known: &HashMap<&str, &Known>,
    ) -> Result<()> {
        let mut state = TableState { version, ..(*self.state()).clone() };
        let (mut added, mut removed) = (Vec::new(), HashSet::new());
        let mut rearranges = true;
        for line in entry.lines() {
            let Some((kind, action)) = parse(line) else { continue };
            match (kind, action) {
                (_, Action::Add(add)) => {
                    rearranges &= !add.data_change;
                    added.push(add);
                }
                (_, Action::Remove(remove)) => {
                    rearranges &= !remove.data_change;
                    removed.insert(remove.path.clone());
                    ledger.tombstones.push(self.tombstone(&state, &remove));
                }
                (value, Action::Metadata(_)) => {
                    ledger.metadata = value;
                    let schema = load::schema_string(&ledger.metadata);
                    state.columns = Arc::new(schema::attribute_columns(schema)?);
                    state.policy = Arc::new(policy::read(&ledger.metadata, &self.policy_by_config));
                }
                (_, Action::Txn(txn)) if txn.app_id == self.log_app => {
                    state.wal_through = WalSeq(u64::try_from(txn.version).unwrap_or(0));
                }
                _ => {}
            }
        }
        if rearranges && !added.is_empty() && !removed.is_empty() {
            let outputs = added.iter().map(|add| add.path.clone()).collect();
            let inputs = removed.iter().cloned().collect();
            state.rearranged = with_last(&state.rearranged, Rearrangement { inputs, outputs });
        }
        if !added.is_empty() || !removed.is_empty() {
            let kept = state.files.iter().filter(|file| !removed.contains(&file.path));
            let mut files: Vec<Arc<DataFile>> = kept.map(Arc::clone).collect();
            files.extend(self.data_files(added, known).await?);
            state.files = files.into();
        }
        if let Some(receipt) = receipt::from_entry(version.0, entry) {
            state.receipts = state.receipts.iter().cloned().chain([receipt]).collect();
        }
        ledger.commits += 1;
        self.publish(state);
        Ok(())
    }

    async fn data_files(
        &self,
        added: Vec<Add>,
        known: &HashMap<&str, &Known>,
    ) -> Result<Vec<Arc<DataFile>>> {
        let files = futures::stream::iter(added).map(|add| async move {
            let mut file = data_file(&add)?;
            match known.get(file.path.as_str()) {
                Some(known) => known.fill(&mut file),
                None => load::sidecar(&self.place, file.sidecar.as_deref()).await.fill(&mut file),
            }
            Ok(Arc::new(file))
        });
        files.buffered(PARALLEL_READS).try_collect().await
    }

    fn tombstone(&self, state: &TableState, remove: &Remove) -> Tombstone {
        let file = state.files.iter().find(|file| file.path == remove.path);
        Tombstone {
            path: remove.path.clone(),
            beside: file.map(|file| file.beside()).unwrap_or_default(),
            removed_unix_milli: remove
                .deletion_timestamp
                .unwrap_or_else(|| self.clock.now_unix_nano() / 1_000_000),
        }
    }
}

/// `known` and one more; the oldest go where there are too many.
fn with_last(known: &[Arc<Rearrangement>], last: Rearrangement) -> Arc<[Arc<Rearrangement>]> {
    let first = (known.len() + 1).saturating_sub(REARRANGEMENTS_MAX);
    known[first..].iter().cloned().chain([Arc::new(last)]).collect()
}

/// True where `now` holds everything up to `through`; an error where a flush of ours has become known since
/// `before` that holds only a part, so that these files would store it twice.
fn covers(before: WalSeq, now: WalSeq, through: WalSeq) -> Result<bool> {
    if now > before && now < through {
        let source = format!("an earlier flush had committed up to {now} after all").into();
        return Err(Error::Table { step: "flush again", source });
    }
    Ok(now > before && now >= through)
}

/// A `metaData` action with the attribute columns of both, where `columns` has more than the table.
fn with_columns(state: &TableState, metadata: &Value, columns: &AttributeColumns) -> Option<Value> {
    let mut all = (*state.columns).clone();
    let mut grown = false;
    for column in columns.as_slice() {
        grown |= all.add(column.scope, &column.key, column.kind);
    }
    grown.then(|| {
        let mut metadata = metadata.clone();
        metadata["schemaString"] = schema::to_delta(&all).into();
        metadata
    })
}

/// The `txn` action of maintenance: all processes use one application id.
pub(crate) fn maintenance_transaction(now_unix_nano: i64) -> (String, i64) {
    (MAINTENANCE_APP.into(), now_unix_nano)
}

/// One line of an entry, as JSON below its key and as an action. Lines that this version does not know are skipped:
/// the protocol version says whether that is allowed, and the library checks it at open.
fn parse(line: &str) -> Option<(Value, Action)> {
    let action = serde_json::from_str(line).ok()?;
    let value: Value = serde_json::from_str(line).ok()?;
    let inner = value.as_object()?.values().next()?.clone();
    Some((inner, action))
}

/// What the log says about one file.
pub(super) fn data_file(add: &Add) -> Result<DataFile> {
    let damaged = |detail: &str| Error::Corrupt { path: add.path.clone(), detail: detail.into() };
    let date = add.partition_values.get(crate::schema::column::DATE).cloned().flatten();
    let date = date.and_then(|date| date.parse().ok()).ok_or_else(|| damaged("no date"))?;
    let stats = add.stats.as_deref().and_then(stats::parse);
    let stats = stats.ok_or_else(|| damaged("the Delta log does not say how many rows it has"))?;
    let day = crate::file::start_of(date);
    let whole_day =
        crate::TimeRange { from: day, until: day.saturating_add(crate::time::NANOS_PER_DAY) };
    let tag = |key| add.tags.as_ref().and_then(|tags| tags.get(key).cloned().flatten());
    Ok(DataFile {
        path: add.path.clone(),
        bytes: u64::try_from(add.size).unwrap_or(0),
        checksum: tag(TAG_CHECKSUM).and_then(|digits| u128::from_str_radix(&digits, 16).ok()),
        footer: tag(TAG_FOOTER).and_then(|footer| Footer::from_tag(&footer)),
        rows: stats.rows,
        date,
        class: tag(TAG_CLASS).map(Into::into),
        start: stats.start.unwrap_or(whole_day),
        modified_unix_milli: add.modification_time,
        services: stats.services,
        traces: None,
        rest: None,
        sidecar: tag(TAG_SIDECAR),
        rollup: tag(TAG_ROLLUP),
    })
}

/// The entry's lines: `commitInfo` first, as the protocol asks.
fn render(change: &Change, version: TableVersion, id: Uuid, now_milli: i64) -> Result<String> {
    let mut info = change.info.clone();
    info.insert("timestamp".into(), now_milli.into());
    info.insert("operation".into(), change.operation.into());
    info.insert("operationParameters".into(), Value::Object(change.parameters.clone()));
    info.insert("readVersion".into(), version.0.saturating_sub(1).into());
    info.insert("isBlindAppend".into(), change.remove.is_empty().into());
    info.insert("engineInfo".into(), concat!("spanlake/", env!("CARGO_PKG_VERSION")).into());
    info.insert(COMMIT_ID.into(), id.to_string().into());
    let mut lines = vec![json!({ "commitInfo": info }).to_string()];
    if let Some(metadata) = &change.metadata {
        lines.push(json!({ "metaData": metadata }).to_string());
    }
    if let Some((app, number)) = &change.transaction {
        let txn = json!({ "appId": app, "version": number, "lastUpdated": now_milli });
        lines.push(json!({ "txn": txn }).to_string());
    }
    for file in &change.remove {
        lines.push(action_line(&Action::Remove(remove_action(
            file,
            now_milli,
            !change.rearranges,
        )))?);
    }
    for file in &change.add {
        lines.push(action_line(&Action::Add(add_action(file, now_milli, !change.rearranges)))?);
    }
    Ok(lines.join("\n") + "\n")
}

fn action_line(action: &Action) -> Result<String> {
    serde_json::to_string(action)
        .map_err(|error| Error::Table { step: "write a Delta action", source: error.into() })
}

fn partition(date: NaiveDate) -> HashMap<String, Option<String>> {
    HashMap::from([(crate::schema::column::DATE.to_owned(), Some(date.to_string()))])
}

fn add_action(file: &NewFile, now_milli: i64, data_change: bool) -> Add {
    let mut tags = vec![
        (TAG_SIDECAR, file.paths.sidecar.clone()),
        (TAG_CHECKSUM, format!("{:032x}", file.checksum)),
        (TAG_TRACES, file.traces.to_string()),
    ];
    tags.extend(file.footer.map(|footer| (TAG_FOOTER, footer.to_tag())));
    tags.extend(file.class.as_ref().map(|class| (TAG_CLASS, class.to_string())));
    tags.extend(file.has_rollup.then(|| (TAG_ROLLUP, file.paths.rollup.clone())));
    let tags = tags.into_iter().map(|(key, value)| (key.to_owned(), Some(value)));
    Add {
        path: file.paths.data.clone(),
        partition_values: partition(file.date),
        size: i64::try_from(file.bytes).unwrap_or(i64::MAX),
        modification_time: now_milli,
        data_change,
        stats: Some(file.stats.clone()),
        tags: Some(tags.collect()),
        ..Add::default()
    }
}

fn remove_action(file: &DataFile, now_milli: i64, data_change: bool) -> Remove {
    Remove {
        path: file.path.clone(),
        data_change,
        deletion_timestamp: Some(now_milli),
        extended_file_metadata: Some(true),
        partition_values: Some(partition(file.date)),
        size: i64::try_from(file.bytes).ok(),
        ..Remove::default()
    }
}
