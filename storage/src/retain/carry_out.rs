//! Carrying out: what a drop costs, what of it stays as copies, and the one commit that does both.
//!
//! A removal is prepared beside everything else: it reads files of one version and writes the copies. Its commit is
//! refused where one of those files has left the table meanwhile; then it is prepared anew, and the copies are orphans
//! that nobody sees.
use std::collections::HashSet;
use std::sync::Arc;

use chrono::NaiveDate;
use parquet::errors::ParquetError;
use serde_json::{Value, json};

use super::plan::{self, Due};
use super::policy::{KEPT_CLASS, Policy};
use super::scan::{self, Traces};
use super::survive::Latest;
use super::{Loss, Plan, Receipt, pins, receipt};
use crate::compact::elsewhere::Elsewhere;
use crate::compact::split::{Hashes, hash};
use crate::error::{Error, Result};
use crate::flush;
use crate::snapshot::DataFile;
use crate::table::{Change, NewFile, Table};

/// Files that leave the table in one commit, and those that come in their place.
#[derive(Debug)]
pub(crate) struct Removal {
    pub(crate) inputs: Vec<Arc<DataFile>>,
    pub(crate) outputs: Vec<NewFile>,
    pub(crate) receipt: Receipt,
}

/// What becomes of some files.
struct Assessed {
    due: Vec<Due>,
    survivors: Traces,
    loss: Loss,
}

impl Table {
    /// What `policy` would do now. May run beside other calls.
    pub(crate) async fn plan(&self, policy: &Policy) -> Result<Plan> {
        let files = Arc::clone(&self.state().files);
        let due = plan::due(&files, policy, self.clock().now_unix_nano());
        if due.is_empty() {
            let stays = plan::staying(&files, &due, policy);
            return Ok(Plan { loss: Loss::default(), stays });
        }
        let Assessed { due, loss, .. } = self.assess(due, policy).await?;
        Ok(Plan { loss, stays: plan::staying(&files, &due, policy) })
    }

    /// The next removal by the policy in force: by age, then by size, then copies that nothing keeps any more (where
    /// `unpinned` says that there may be some). `None` where nothing is due, or where the clock has just jumped ahead.
    pub(crate) async fn next_removal(&self, unpinned: bool) -> Result<Option<Removal>> {
        let (now, state) = (self.clock().now_unix_nano(), self.state());
        if state.policy.hold {
            return Ok(None);
        }
        let next = plan::due(&state.files, &state.policy, now).into_iter().next();
        if next.is_none() && !unpinned {
            return Ok(None);
        }
        let reason = next.as_ref().map_or(UNPINNED, |due| due.reason);
        let removal = self.prepare(Vec::from_iter(next), reason).await?;
        Ok((!removal.inputs.is_empty()).then_some(removal))
    }

    /// Removes all files of `dates`, or only those of one class of them.
    pub(crate) async fn removal_of(
        &self,
        dates: &[NaiveDate],
        class: Option<&str>,
        reason: &'static str,
    ) -> Result<Removal> {
        let chosen = |file: &&Arc<DataFile>| {
            dates.contains(&file.date) && class.is_none_or(|class| file.class() == class)
        };
        let files = self.state().files.iter().filter(chosen).map(Arc::clone).collect();
        self.prepare(vec![Due { reason, files }], reason).await
    }

    /// Writes the copies of what stays.
    async fn prepare(&self, due: Vec<Due>, reason: &str) -> Result<Removal> {
        let policy = Arc::clone(&self.state().policy);
        let Assessed { due, survivors, loss } = self.assess(due, &policy).await?;
        let inputs: Vec<Arc<DataFile>> = due.into_iter().flat_map(|due| due.files).collect();
        let mut staying = Vec::new();
        let store = self.object_store();
        let columns = Arc::clone(&self.state().columns);
        for file in inputs.iter().filter(|file| scan::may_hold(file, &survivors)) {
            let spans =
                scan::spans(Arc::clone(&store), file, &columns, |id| survivors.contains(id));
            match spans.await {
                Ok(spans) => staying.extend(spans),
                Err(error) => tolerate(file, error)?,
            }
        }
        let outputs =
            self.write_in_class(staying, Some(KEPT_CLASS.into()), &inputs, &Arc::default()).await?;
        crate::fault::point("removal: copies written");
        let rollups = self.keep_rollups(&inputs, &survivors, &policy).await?;
        crate::fault::point("removal: figures written");
        let at_unix_nano = self.clock().now_unix_nano();
        let receipt = Receipt { at_unix_nano, reason: reason.into(), version: None, loss, rollups };
        Ok(Removal { inputs, outputs, receipt })
    }

    /// Encodes and writes spans of `inputs` as files of one class. Traces of `parted` are in several of the new files.
    pub(super) async fn write_in_class(
        &self,
        batches: Vec<Arc<crate::SpanBatch>>,
        class: Option<Arc<str>>,
        inputs: &[Arc<DataFile>],
        parted: &Arc<Hashes>,
    ) -> Result<Vec<NewFile>> {
        let columns = Arc::clone(&self.state().columns);
        let elsewhere = Elsewhere::of(self, inputs).await;
        let parted = Arc::clone(parted);
        let encode = move || {
            flush::encode(&batches, &columns, &|trace| {
                parted.contains(&hash(trace)) || elsewhere.may_hold(trace)
            })
        };
        let encoded = tokio::task::spawn_blocking(encode).await;
        let encoded =
            encoded.map_err(|error| Error::Table { step: "encode", source: error.into() })??;
        flush::write(self, flush::in_class(encoded.files, class.as_ref())).await
    }

    /// Finds out what stays of `due`, adds kept copies that nothing keeps any more, and counts.
    async fn assess(&self, mut due: Vec<Due>, policy: &Policy) -> Result<Assessed> {
        let (state, store) = (self.state(), self.object_store());
        let leaving: HashSet<&str> =
            due.iter().flat_map(|due| &due.files).map(|file| file.path.as_str()).collect();
        let (candidates, staying): (Vec<Arc<DataFile>>, Vec<Arc<DataFile>>) =
            state.files.iter().map(Arc::clone).partition(|file| {
                leaving.contains(file.path.as_str()) || file.class() == KEPT_CLASS
            });
        let mut survivors = pins::traces(&self.place().tenant).await?;
        let latest = Latest::of(&store, policy.keep_latest, &candidates, &staying).await?;
        latest.add_to(&mut survivors);
        let copies: Vec<Arc<DataFile>> =
            candidates.into_iter().filter(|file| file.class() == KEPT_CLASS).collect();
        for due in &mut due {
            due.files.retain(|file| file.class() != KEPT_CLASS);
        }
        let mut stale = Vec::new();
        for file in copies {
            let mut traces = Traces::default();
            scan::traces(Arc::clone(&store), &file, &mut traces).await?;
            if !traces.is_subset(&survivors) {
                stale.push(file);
            }
        }
        due.push(Due { reason: UNPINNED, files: stale });
        due.retain(|due| !due.files.is_empty());
        let mut loss = self.count(&due, &survivors).await;
        let now = self.clock().now_unix_nano();
        for part in &mut loss.parts {
            let until = policy.rollups_of(&part.class);
            let until = until.map(|ttl| plan::expires_unix_nano(part.date, ttl));
            part.rollups_until_unix_nano = until.filter(|until| *until > now);
        }
        Ok(Assessed { due, survivors, loss })
    }

    /// What leaves with `due` and what stays, in spans and traces. A file that cannot be read must still be able to
    /// leave: its traces are not counted.
    async fn count(&self, due: &[Due], survivors: &Traces) -> Loss {
        let mut loss = plan::loss(due);
        let (mut gone, mut kept) = (Traces::default(), Traces::default());
        for file in due.iter().flat_map(|due| &due.files) {
            let read = scan::columns(self.object_store(), file, &TRACE_ID, |batch| {
                for id in scan::ids(batch)? {
                    if survivors.contains(&id) {
                        loss.kept.rows += 1;
                        kept.insert(id);
                    } else {
                        gone.insert(id);
                    }
                }
                Ok(())
            });
            if let Err(error) = read.await {
                report(file, &error);
            }
        }
        loss.rows = loss.rows.saturating_sub(loss.kept.rows);
        (loss.traces, loss.kept.traces) = (gone.len() as u64, kept.len() as u64);
        loss
    }

    /// Commits a removal. `None` where one of its files is no longer live: then nothing was done.
    pub(crate) async fn commit_removal(&self, removal: &Removal) -> Result<Option<Receipt>> {
        let decide = |state: &crate::table::TableState, _: &Value| {
            let live: HashSet<&str> = state.files.iter().map(|file| file.path.as_str()).collect();
            let all_live = removal.inputs.iter().all(|file| live.contains(file.path.as_str()));
            Ok(all_live.then(|| change(removal)))
        };
        let Some(version) = self.commit_change(decide).await? else { return Ok(None) };
        crate::fault::point("removal: committed");
        let receipt = Receipt { version: Some(version.0), ..removal.receipt.clone() };
        if let Err(error) = receipt::write(&self.place().tenant, &receipt).await {
            // The commit carries it too: the next open writes it again.
            tracing::warn!(error = &error as &dyn std::error::Error, "receipt not written");
        }
        crate::fault::point("removal: receipt written");
        Ok(Some(receipt))
    }
}

const UNPINNED: &str = "unpinned";
const TRACE_ID: [&str; 1] = [crate::schema::column::TRACE_ID];

fn change(removal: &Removal) -> Change {
    let dates = &removal.receipt.loss.dates;
    let dates: Vec<String> = dates.iter().map(|date| format!("date = '{date}'")).collect();
    let predicate = json!([format!("({})", dates.join(" OR "))]).to_string();
    Change {
        operation: "DELETE",
        parameters: [("predicate".to_owned(), Value::from(predicate))].into_iter().collect(),
        add: removal.outputs.clone(),
        remove: removal.inputs.clone(),
        transaction: Some(crate::table::maintenance_transaction(removal.receipt.at_unix_nano)),
        info: receipt::to_info(&removal.receipt),
        ..Change::default()
    }
}

fn report(file: &DataFile, error: &Error) {
    let error = error as &dyn std::error::Error;
    tracing::error!(path = file.path, error, "file not readable");
}

/// Passes over a file that is damaged for good, which must still be able to leave; what it held of traces to keep
/// cannot be saved. A failure that may pass by is an error: the removal waits.
pub(super) fn tolerate(file: &DataFile, error: Error) -> Result<()> {
    if !is_lasting(&error) {
        return Err(error);
    }
    report(file, &error);
    Ok(())
}

/// True where trying again would not help: the file is damaged, or gone.
pub(super) fn is_lasting(error: &Error) -> bool {
    let not_found =
        |error: &object_store::Error| matches!(error, object_store::Error::NotFound { .. });
    match error {
        Error::Corrupt { .. } => true,
        Error::Parquet { source: ParquetError::External(cause), .. } => {
            cause.downcast_ref::<object_store::Error>().is_some_and(not_found)
        }
        Error::Parquet { .. } => true,
        Error::ObjectStore { source, .. } => not_found(source),
        _ => false,
    }
}
