//! Carrying out: setting the TTL, planning, and dropping whole partitions in one commit.
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use chrono::NaiveDate;
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use parquet::arrow::ProjectionMask;
#[expect(deprecated, reason = "see read_traces")]
use parquet::arrow::async_reader::ParquetObjectReader;
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use parquet::errors::ParquetError;
use serde_json::{Value, json};

use super::{Loss, Receipt, expired, receipt};
use crate::error::{Error, Result};
use crate::schema::column;
use crate::snapshot::DataFile;
use crate::table::{Change, Table};

impl Table {
    /// What `ttl` would remove now. May run beside other calls.
    pub(crate) async fn plan_ttl(&self, ttl: Option<Duration>) -> Result<Loss> {
        let state = self.state();
        let dates = expired(&state.files, ttl, self.clock().now_unix_nano());
        self.loss(&files_of(&state.files, &dates)).await
    }

    /// Removes whole partitions in one commit. Their files are deleted after the grace.
    pub(crate) async fn drop_partitions(
        &self,
        dates: &[NaiveDate],
        reason: &str,
    ) -> Result<Receipt> {
        let loss = self.loss(&files_of(&self.state().files, dates)).await?;
        let mut receipt = Receipt {
            at_unix_nano: self.clock().now_unix_nano(),
            reason: reason.into(),
            version: None,
            loss,
        };
        let version = self
            .commit_change(|state, _| {
                let remove = files_of(&state.files, dates);
                Ok((!remove.is_empty()).then(|| drop_change(dates, remove, &receipt)))
            })
            .await?;
        let Some(version) = version else { return Ok(receipt) };
        receipt.version = Some(version.0);
        if let Err(error) = receipt::write(&self.place().tenant, &receipt).await {
            // The commit carries it too: the next open writes it again.
            tracing::warn!(error = &error as &dyn std::error::Error, "receipt not written");
        }
        Ok(receipt)
    }

    /// Applies the TTL in force. `None` where nothing was due, or where the clock has just jumped ahead.
    pub(crate) async fn apply_ttl(&self) -> Result<Option<Receipt>> {
        let now = self.clock().now_unix_nano();
        if !self.clock_is_confirmed(now).await {
            tracing::warn!(
                "the clock jumped ahead by more than an hour; nothing expires until it is confirmed"
            );
            return Ok(None);
        }
        let state = self.state();
        let dates = expired(&state.files, state.ttl.duration, now);
        if dates.is_empty() {
            return Ok(None);
        }
        self.drop_partitions(&dates, "ttl").await.map(Some)
    }

    /// All receipts, oldest first. May run beside other calls.
    pub(crate) async fn receipts(&self) -> Result<Vec<Receipt>> {
        receipt::read_all(&self.place().tenant).await
    }

    /// Rows, bytes and distinct traces of `files`.
    async fn loss(&self, files: &[Arc<DataFile>]) -> Result<Loss> {
        let mut dates: Vec<NaiveDate> = files.iter().map(|file| file.date).collect();
        dates.sort_unstable();
        dates.dedup();
        let mut traces = HashSet::with_hasher(foldhash::fast::RandomState::default());
        for file in files {
            if let Err(source) = read_traces(self.object_store(), file, &mut traces).await {
                // A damaged file must still be able to leave; its traces are not counted.
                let error =
                    Error::Parquet { step: "read trace ids of", path: file.path.clone(), source };
                tracing::error!(error = &error as &dyn std::error::Error, "file not readable");
            }
        }
        Ok(Loss {
            dates,
            rows: files.iter().map(|file| file.rows).sum(),
            traces: traces.len() as u64,
            files: files.len() as u64,
            bytes: files.iter().map(|file| file.bytes).sum(),
        })
    }
}

fn files_of(files: &[Arc<DataFile>], dates: &[NaiveDate]) -> Vec<Arc<DataFile>> {
    files.iter().filter(|file| dates.contains(&file.date)).map(Arc::clone).collect()
}

fn drop_change(dates: &[NaiveDate], remove: Vec<Arc<DataFile>>, receipt: &Receipt) -> Change {
    let dates: Vec<String> = dates.iter().map(|date| format!("date = '{date}'")).collect();
    let predicate = json!([format!("({})", dates.join(" OR "))]).to_string();
    Change {
        operation: "DELETE",
        parameters: [("predicate".to_owned(), Value::from(predicate))].into_iter().collect(),
        remove,
        transaction: Some(crate::table::maintenance_transaction(receipt.at_unix_nano)),
        info: receipt::to_info(receipt),
        ..Change::default()
    }
}

async fn read_traces(
    store: Arc<dyn ObjectStore>,
    file: &DataFile,
    traces: &mut HashSet<[u8; 16], foldhash::fast::RandomState>,
) -> std::result::Result<(), ParquetError> {
    #[expect(
        deprecated,
        reason = "its successor is an example to be copied; this one is maintained until then"
    )]
    let reader = ParquetObjectReader::new(store, Path::from(file.path.as_str()));
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await?;
    let schema = builder.parquet_schema();
    let fields = schema.root_schema().get_fields();
    let Some(place) = fields.iter().position(|field| field.name() == column::TRACE_ID) else {
        return Err(ParquetError::General("no trace ids".into()));
    };
    let mask = ProjectionMask::roots(schema, [place]);
    let mut batches = builder.with_projection(mask).with_batch_size(65_536).build()?;
    while let Some(batch) = batches.try_next().await? {
        let ids = batch.column(0).as_fixed_size_binary_opt();
        let ids = ids.ok_or_else(|| ParquetError::General("trace ids are not 16 bytes".into()))?;
        traces.extend(ids.iter().flatten().filter_map(|id| <[u8; 16]>::try_from(id).ok()));
    }
    Ok(())
}
