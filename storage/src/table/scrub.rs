//! Looks at the Delta log itself: is every commit and every checkpoint whole, and none missing?
use std::collections::BTreeMap;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use super::{Table, load};
use crate::error::{Error, Result};

/// What lies in the folder of the Delta log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFindings {
    /// Commits read.
    pub commits: u64,
    /// Checkpoints read.
    pub checkpoints: u64,
    /// What is wrong, one sentence each; empty for a healthy log.
    pub problems: Vec<String>,
}

/// Objects of the log, by version.
#[derive(Debug, Default)]
struct Found {
    commits: BTreeMap<u64, Path>,
    checkpoints: BTreeMap<u64, Vec<Path>>,
}

impl Table {
    /// Reads every commit and checkpoint.
    ///
    /// # Errors
    /// The folder could not be listed.
    pub(crate) async fn check_log(&self) -> Result<LogFindings> {
        let found = self.list_log().await?;
        let mut findings = LogFindings::default();
        let through = self.state().version.0;
        // Without a checkpoint the table is its commits from the first one on.
        let from = found.checkpoints.keys().next_back().map_or(0, |version| version + 1);
        for version in from..=through {
            if !found.commits.contains_key(&version) {
                findings.problems.push(format!("commit {version} of the log is not there"));
            }
        }
        for path in found.commits.values() {
            findings.commits += 1;
            self.note(&mut findings, path, check_commit).await;
        }
        for path in found.checkpoints.values().flatten() {
            findings.checkpoints += 1;
            self.note(&mut findings, path, check_checkpoint).await;
        }
        match load::last_checkpoint(&self.place).await {
            Some(version) if !found.checkpoints.contains_key(&version) => {
                let problem = format!("_last_checkpoint names {version}, which is not there");
                findings.problems.push(problem);
            }
            None if !found.checkpoints.is_empty() => {
                findings.problems.push("_last_checkpoint is missing or damaged".into());
            }
            _ => {}
        }
        Ok(findings)
    }

    async fn list_log(&self) -> Result<Found> {
        let folder = Path::from("_delta_log");
        let failed = |source| Error::ObjectStore { step: "list", path: folder.to_string(), source };
        let objects: Vec<_> =
            self.place.table.list(Some(&folder)).try_collect().await.map_err(failed)?;
        let mut found = Found::default();
        for object in objects {
            let name = object.location.filename().unwrap_or_default();
            let Some((version, rest)) = name.split_once('.') else { continue };
            let Ok(version) = version.parse::<u64>() else { continue };
            if rest == "json" {
                found.commits.insert(version, object.location);
            } else if rest.starts_with("checkpoint.") && rest.ends_with("parquet") {
                found.checkpoints.entry(version).or_default().push(object.location);
            }
        }
        Ok(found)
    }

    async fn note(
        &self,
        findings: &mut LogFindings,
        path: &Path,
        check: fn(Bytes) -> std::result::Result<(), String>,
    ) {
        let read = async { self.place.table.get(path).await?.bytes().await };
        let checked = match read.await {
            Ok(bytes) => check(bytes),
            Err(error) => Err(format!("cannot be read: {error}")),
        };
        findings.problems.extend(checked.err().map(|problem| format!("{path}: {problem}")));
    }
}

/// Lines of JSON, each one action that Delta knows.
fn check_commit(bytes: Bytes) -> std::result::Result<(), String> {
    const ACTIONS: [&str; 7] =
        ["add", "remove", "metaData", "protocol", "txn", "commitInfo", "domainMetadata"];
    let text = std::str::from_utf8(&bytes).map_err(|_| "not text".to_owned())?;
    if text.trim().is_empty() {
        return Err("empty".into());
    }
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |what: &str| format!("line {}: {what}", number + 1);
        let action: Value = serde_json::from_str(line).map_err(|_| wrong("not JSON"))?;
        let known = |object: &serde_json::Map<String, Value>| {
            object.len() == 1 && object.keys().all(|key| ACTIONS.contains(&key.as_str()))
        };
        if !action.as_object().is_some_and(known) {
            return Err(wrong("not an action that is known here"));
        }
    }
    Ok(())
}

/// A Parquet file that can be read to its last row.
fn check_checkpoint(bytes: Bytes) -> std::result::Result<(), String> {
    let damaged = |error: &dyn std::error::Error| format!("damaged: {error}");
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| damaged(&error))?;
    for batch in reader.build().map_err(|error| damaged(&error))? {
        batch.map_err(|error| damaged(&error))?;
    }
    Ok(())
}
