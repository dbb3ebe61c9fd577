//! The policy of retention in the table's properties, where commands set it; it outranks the config file.
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Change, Table, TableState, maintenance_transaction};
use crate::error::{Error, Result};
use crate::id::TableVersion;
use crate::retain::{Policy, PolicyChange, Rule, Ttl, receipt};

/// Seconds, or `never`.
const TTL: &str = "spanlake.ttl";
/// JSON: a list of [`Rule`].
const RULES: &str = "spanlake.retention.rules";
/// Bytes, or `off`.
const MAX_BYTES: &str = "spanlake.retention.max_bytes";
/// A number.
const KEEP_LATEST: &str = "spanlake.retention.keep_latest";
/// Seconds, or `off`.
const ROLLUPS: &str = "spanlake.retention.rollups";
const NEVER: &str = "never";
const OFF: &str = "off";

/// What a `metaData` action sets, else the configured values. What cannot be read never deletes.
pub(super) fn read(metadata: &Value, by_config: &Policy) -> Policy {
    let mut policy = by_config.clone();
    let properties = metadata.get("configuration");
    let property = |name: &str| properties.and_then(|all| all.get(name)).and_then(Value::as_str);
    if let Some(text) = property(TTL) {
        let seconds = text.parse().ok().map(Duration::from_secs);
        policy.ttl = Ttl { duration: seconds, by_command: true };
    }
    if let Some(text) = property(RULES) {
        policy.by_command = true;
        match serde_json::from_str::<Vec<Rule>>(text) {
            Ok(rules) => policy.rules = rules.into(),
            Err(_) => policy.unreadable = true,
        }
    }
    if let Some(text) = property(MAX_BYTES) {
        policy.by_command = true;
        policy.max_bytes = text.parse().ok();
        policy.unreadable |= policy.max_bytes.is_none() && text != OFF;
    }
    if let Some(text) = property(KEEP_LATEST) {
        policy.by_command = true;
        match text.parse() {
            Ok(number) => policy.keep_latest = number,
            Err(_) => policy.unreadable = true,
        }
    }
    if let Some(text) = property(ROLLUPS) {
        policy.by_command = true;
        policy.rollups = text.parse().ok().map(Duration::from_secs);
        policy.unreadable |= policy.rollups.is_none() && text != OFF;
    }
    policy
}

/// The properties that say `change`.
fn properties(change: &PolicyChange) -> Result<Map<String, Value>> {
    let mut properties = Map::new();
    if let Some(ttl) = change.ttl {
        let text = ttl.map_or(NEVER.to_owned(), |ttl| ttl.as_secs().to_string());
        properties.insert(TTL.into(), text.into());
    }
    if let Some(rules) = &change.rules {
        let text = serde_json::to_string(rules)
            .map_err(|error| Error::Table { step: "write rules", source: error.into() })?;
        properties.insert(RULES.into(), text.into());
    }
    if let Some(bytes) = change.max_bytes {
        let text = bytes.map_or(OFF.to_owned(), |bytes| bytes.to_string());
        properties.insert(MAX_BYTES.into(), text.into());
    }
    if let Some(number) = change.keep_latest {
        properties.insert(KEEP_LATEST.into(), number.to_string().into());
    }
    if let Some(rollups) = change.rollups {
        let text = rollups.map_or(OFF.to_owned(), |ttl| ttl.as_secs().to_string());
        properties.insert(ROLLUPS.into(), text.into());
    }
    Ok(properties)
}

impl Table {
    /// Sets parts of the policy in the table's properties.
    ///
    /// # Errors
    /// The rules cannot stand together, or the commit failed.
    pub(crate) async fn set_policy(&self, change: &PolicyChange) -> Result<()> {
        self.state().policy.with(change)?;
        let properties = properties(change)?;
        if properties.is_empty() {
            return Ok(());
        }
        let decide = |_: &TableState, metadata: &Value| {
            let mut metadata = metadata.clone();
            for (name, value) in &properties {
                metadata["configuration"][name] = value.clone();
            }
            let properties = Value::Object(properties.clone()).to_string();
            Ok(Some(Change {
                operation: "SET TBLPROPERTIES",
                parameters: [("properties".to_owned(), json!(properties))].into_iter().collect(),
                metadata: Some(metadata),
                transaction: Some(maintenance_transaction(self.clock.now_unix_nano())),
                ..Change::default()
            }))
        };
        self.commit_change(decide).await.map(drop)
    }

    /// Writes the receipts of removals after the last checkpoint again: a crash may have come between commit and
    /// receipt.
    pub(super) async fn restore_receipts(&self) {
        let (newest, commits) = (self.state().version.0, self.ledger.lock().await.commits);
        let mut state = (*self.state()).clone();
        let mut receipts = state.receipts.to_vec();
        for version in newest.saturating_sub(commits)..=newest {
            if receipts.iter().any(|receipt| receipt.version == Some(version)) {
                continue;
            }
            let Ok(Some(entry)) = self.read_entry(TableVersion(version)).await else { continue };
            let Some(receipt) = receipt::from_entry(version, &entry) else { continue };
            if let Err(error) = receipt::write(&self.place.tenant, &receipt).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "receipt not written");
            }
            receipts.push(receipt);
        }
        receipts.sort_by_key(|receipt| receipt.version);
        state.receipts = receipts.into();
        self.publish(state);
    }
}
