//! An answer on its way to the client, in pieces.
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::stream::{BoxStream, StreamExt};
use query::Answer;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Result, Session};
use crate::postgres::cells::{self, Rows};
use crate::postgres::output::{ColumnHead, Output};
use crate::postgres::refusal::Refusal;

/// Cells that are encoded before the bytes go out.
const CELLS_A_PIECE: usize = 16 << 10;

/// Rows still to be sent.
pub(super) struct Answering {
    pub(super) heads: Vec<ColumnHead>,
    batches: BoxStream<'static, query::Result<RecordBatch>>,
    /// A batch, and its rows that were sent.
    current: Option<(RecordBatch, usize)>,
    sent: usize,
    notes: Vec<(&'static str, String)>,
    tag: &'static str,
}

/// What became of a portion.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Portion {
    /// All rows are sent.
    Complete,
    /// As many as wanted; there may be more.
    Full,
}

impl Answering {
    /// `formats` as Bind has them: none is text, one is for all columns.
    pub(super) fn new(answer: Answer, sql: &str, formats: &[i16]) -> Self {
        let Answer { schema, batches, notes } = answer;
        let heads = heads(&schema, formats);
        let tag = match sql.trim_start().get(..4).map(str::to_ascii_lowercase).as_deref() {
            Some("expl") => "EXPLAIN",
            Some("show") => "SHOW",
            _ => "SELECT",
        };
        Self { heads, batches, current: None, sent: 0, notes, tag }
    }

    /// Appends rows of the current batch, as many as make a piece; how many were wanted is in `left`.
    fn append<W: AsyncWrite + Unpin>(
        &mut self,
        output: &mut Output<W>,
        left: usize,
    ) -> Result<usize, Refusal> {
        let Some((batch, from)) = &mut self.current else { return Ok(0) };
        let rows_a_piece = (CELLS_A_PIECE / batch.num_columns().max(1)).max(64);
        let rows = rows_a_piece.min(left).min(batch.num_rows() - *from);
        let piece = batch.slice(*from, rows);
        let prepared = Rows::of(&piece, &self.heads)?;
        for row in 0..rows {
            output.message(b'D', |out| prepared.write(row, out));
        }
        *from += rows;
        if *from == batch.num_rows() {
            self.current = None;
        }
        self.sent += rows;
        Ok(rows)
    }

    /// What ends a complete answer: what it could not know, and its tag.
    fn finish<W: AsyncWrite + Unpin>(&self, output: &mut Output<W>) {
        for (name, value) in &self.notes {
            match *name {
                "rows_max" if *value == self.sent.to_string() => {
                    output
                        .notice(&format!("the answer ends after {value} rows; there may be more"));
                }
                "rows_max" => {}
                name => output.notice(&format!("{name}: {value}")),
            }
        }
        match self.tag {
            "SELECT" => output.complete(&format!("SELECT {}", self.sent)),
            tag => output.complete(tag),
        }
    }
}

/// The heads of an answer's columns.
pub(super) fn heads(schema: &SchemaRef, formats: &[i16]) -> Vec<ColumnHead> {
    let format = |index: usize| match formats {
        [] => 0,
        [all] => *all,
        each => each.get(index).copied().unwrap_or(0),
    };
    let fields = schema.fields().iter().enumerate();
    fields.map(|(index, field)| cells::head(field, format(index))).collect()
}

impl<R, W> Session<'_, R, W>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    /// Sends up to `rows_max` rows, or all where it is 0.
    pub(super) async fn send_rows(
        &mut self,
        answering: &mut Answering,
        rows_max: usize,
    ) -> Result<Portion> {
        let mut left = if rows_max == 0 { usize::MAX } else { rows_max };
        loop {
            if answering.current.is_none() {
                match self.attended(answering.batches.next()).await? {
                    Some(batch) => answering.current = Some((batch?, 0)),
                    None => {
                        answering.finish(&mut self.output);
                        return Ok(Portion::Complete);
                    }
                }
            }
            if left == 0 {
                self.output.bare(b's');
                return Ok(Portion::Full);
            }
            left -= answering.append(&mut self.output, left)?;
            self.output.relieve().await?;
        }
    }
}
