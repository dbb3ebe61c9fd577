//! Deletion of single traces, for data protection: the files that hold them are written anew without them.
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};

use super::carry_out::Removal;
use super::matching::{Wanted, mark_texts};
use super::plan::{self, Due};
use super::scan::{self, Traces};
use super::{Loss, Receipt};
use crate::compact::source::Source;
use crate::compact::split;
use crate::error::{Error, Result};
use crate::id::TraceId;
use crate::schema::{AttributeColumns, AttributeScope, column};
use crate::snapshot::DataFile;
use crate::table::{NewFile, Table};

/// Traces of one deletion at most.
const TRACES_MAX: usize = 100_000;

/// Which traces are deleted, always as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These.
    Traces(Vec<TraceId>),
    /// All with a span, resource, event, link or scope that has this attribute with this value (numbers and truths
    /// as JSON writes them).
    Attribute {
        /// Its name.
        key: String,
        /// Its value.
        value: String,
    },
}

/// What a deletion did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// What went; without version where nothing was found, or nothing was to be done yet.
    pub receipt: Receipt,
    /// True where the old files are gone from the folder, too; else they go after the grace.
    pub vacuumed: bool,
}

impl Table {
    /// What the deletion of `selection` would do: the files that hold it, and the traces found.
    ///
    /// # Errors
    /// A file cannot be read: then nobody can say that it holds none of it.
    pub(crate) async fn find(
        &self,
        selection: &Selection,
    ) -> Result<(Vec<Arc<DataFile>>, Traces, Loss)> {
        let state = self.state();
        let wanted = match selection {
            Selection::Traces(traces) => traces.iter().map(|trace| trace.0).collect(),
            Selection::Attribute { key, value } => {
                self.traces_with(&state.files, &state.columns, key, value).await?
            }
        };
        if wanted.len() > TRACES_MAX {
            let found = wanted.len();
            return Err(Error::Invalid(format!("{found} traces at once, more than {TRACES_MAX}")));
        }
        let (mut files, mut found, mut rows) = (Vec::new(), Traces::default(), 0);
        for file in state.files.iter().filter(|file| scan::may_hold(file, &wanted)) {
            let before = rows;
            scan::columns(self.object_store(), file, &[column::TRACE_ID], |batch| {
                for id in scan::ids(batch)?.filter(|id| wanted.contains(id)) {
                    rows += 1;
                    found.insert(id);
                }
                Ok(())
            })
            .await?;
            if rows > before {
                files.push(Arc::clone(file));
            }
        }
        let due = Due { reason: "deletion", files };
        let loss =
            Loss { rows, traces: found.len() as u64, ..plan::loss(std::slice::from_ref(&due)) };
        Ok((due.files, found, loss))
    }

    /// Writes the files of `selection` anew without it, ready to be committed.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub(crate) async fn deletion_of(&self, selection: &Selection) -> Result<(Removal, Traces)> {
        let (inputs, traces, mut loss) = self.find(selection).await?;
        let mut outputs = Vec::new();
        for file in &inputs {
            outputs.extend(self.without(file, &traces).await?);
        }
        loss.bytes = loss.bytes.saturating_sub(outputs.iter().map(|file| file.bytes).sum());
        let at_unix_nano = self.clock().now_unix_nano();
        let rollups = Vec::new(); // those of the files are made anew
        let reason = "deletion".into();
        let receipt = Receipt { at_unix_nano, reason, version: None, loss, rollups };
        Ok((Removal { inputs, outputs, receipt }, traces))
    }

    /// Writes `file` anew without `traces`: row group by row group, each into a file of its own, so that the memory that it
    /// takes does not depend on the size of the file. Compaction joins them again.
    async fn without(&self, file: &Arc<DataFile>, traces: &Traces) -> Result<Vec<NewFile>> {
        let columns = Arc::clone(&self.state().columns);
        let source = Source::open(self.object_store(), file).await?;
        let sources = [source];
        let rows = split::Rows::of(&sources, &columns).await?;
        let [source] = sources;
        let parted = Arc::new(rows.in_several_groups());
        let mut outputs = Vec::new();
        for group in 0..source.groups() {
            let wanted = |id: &[u8; 16]| !traces.contains(id);
            let spans = scan::spans_of(&source, group, &columns, wanted).await?;
            let (class, inputs) = (file.class.clone(), std::slice::from_ref(file));
            outputs.extend(self.write_in_class(spans, class, inputs, &parted).await?);
        }
        Ok(outputs)
    }

    async fn traces_with(
        &self,
        files: &[Arc<DataFile>],
        columns: &AttributeColumns,
        key: &str,
        value: &str,
    ) -> Result<Traces> {
        let scopes = [AttributeScope::Span, AttributeScope::Resource];
        let sought = scopes.map(|scope| Wanted { scope, key, value });
        let mut wanted =
            vec![column::TRACE_ID, column::EVENTS, column::LINKS, column::SCOPE_ATTRIBUTES];
        for (rest, own) in sought.each_ref().map(|sought| sought.columns(columns)) {
            wanted.push(rest);
            wanted.extend(own);
        }
        let mut traces = Traces::default();
        for file in files {
            scan::columns(self.object_store(), file, &wanted, |batch| {
                let mut rows = vec![false; batch.num_rows()];
                for sought in &sought {
                    sought.mark(batch, columns, &mut rows);
                }
                mark_texts(batch, column::SCOPE_ATTRIBUTES, &mut rows, &|json| {
                    sought[0].is_in(json)
                });
                for list in [column::EVENTS, column::LINKS] {
                    mark_lists(batch, list, &sought[0], &mut rows);
                }
                traces
                    .extend(scan::ids(batch)?.zip(rows).filter(|(_, row)| *row).map(|(id, _)| id));
                Ok(())
            })
            .await?;
        }
        Ok(traces)
    }
}

/// Sets the rows that have an event or link with the attribute.
fn mark_lists(batch: &RecordBatch, list: &str, wanted: &Wanted<'_>, rows: &mut [bool]) {
    let lists = batch.column_by_name(list).and_then(|lists| lists.as_list_opt::<i32>());
    let Some(lists) = lists else { return };
    for (place, row) in rows.iter_mut().enumerate().filter(|(place, _)| lists.is_valid(*place)) {
        let elements = lists.value(place);
        let texts =
            elements.as_struct_opt().and_then(|elements| elements.column_by_name("attributes"));
        let texts = texts.and_then(|texts| texts.as_string_opt::<i32>());
        *row |= texts.is_some_and(|texts| texts.iter().flatten().any(|json| wanted.is_in(json)));
    }
}
