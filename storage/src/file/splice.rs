//! Puts row groups of several files into one: column chunks are copied byte for byte, except those that are made anew.
//!
//! Nothing but the row group under way is in memory. What a file lacks of the columns of the whole is null.
use arrow::array::new_null_array;
use arrow::datatypes::FieldRef;
use bytes::Bytes;
use parquet::bloom_filter::Sbbf;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::writer::SerializedFileWriter;

use super::chunk::value::Values;
use super::chunk::{EncodedChunk, Encoder};
use super::fetched::Fetched;
use super::layout;
use super::writer::{self, Plan};

/// See the module.
pub(crate) struct Splice {
    plan: Plan,
    writer: SerializedFileWriter<Vec<u8>>,
    encoder: Encoder,
}

/// One column of a row group.
pub(crate) enum Piece {
    /// As it is stored, by Parquet column.
    Stored(Vec<Chunk>),
    /// Made anew.
    Own(Box<EncodedChunk>),
    /// Without any value.
    Nulls(Vec<EncodedChunk>),
}

/// A stored chunk, and what its file says about it.
pub(crate) struct Chunk {
    bytes: Fetched,
    close: ColumnCloseResult,
}

impl Chunk {
    /// The chunk of a row group, whose bytes (and those of its bloom filter, where it has one) were fetched.
    pub(crate) fn of(
        metadata: &ParquetMetaData,
        (group, leaf): (usize, usize),
        bytes: &Fetched,
    ) -> Result<Self> {
        let column = metadata.row_group(group).column(leaf);
        let bloom_filter = match column.bloom_filter_length() {
            Some(_) => Sbbf::read_from_column_chunk(column, bytes)?,
            None => None,
        };
        let close = ColumnCloseResult { bloom_filter, ..close_of(metadata, (group, leaf)) };
        Ok(Self { bytes: bytes.clone(), close })
    }
}

/// What a file says about the chunk of a row group, but for the bloom filter.
pub(crate) fn close_of(
    metadata: &ParquetMetaData,
    (group, leaf): (usize, usize),
) -> ColumnCloseResult {
    let row_group = metadata.row_group(group);
    let column = row_group.column(leaf);
    let of_chunk = |index: &ColumnIndexMetaData| match index {
        ColumnIndexMetaData::NONE => None,
        index => Some(index.clone()),
    };
    let index = metadata.column_index().and_then(|index| of_chunk(&index[group][leaf]));
    let offsets = metadata.offset_index().map(|index| index[group][leaf].clone());
    ColumnCloseResult {
        bytes_written: u64::try_from(column.compressed_size()).unwrap_or(0),
        rows_written: u64::try_from(row_group.num_rows()).unwrap_or(0),
        metadata: column.clone(),
        bloom_filter: None,
        column_index: index,
        offset_index: offsets,
    }
}

impl Splice {
    /// A file with these columns.
    ///
    /// # Errors
    /// They cannot be those of a file.
    pub(crate) fn new(fields: Vec<FieldRef>) -> Result<Self> {
        let plan = Plan::new(fields, &[])?;
        let writer = plan.open(Vec::new())?;
        Ok(Self { plan, writer, encoder: Encoder::new()? })
    }

    /// True where the chunks of a field of `other` can be copied: it is stored the same way here.
    pub(crate) fn takes(&self, field: usize, other: &ParquetMetaData, first: usize) -> bool {
        let (own, others) = (self.plan.columns(field), other.file_metadata().schema_descr());
        own.iter()
            .zip(first..)
            .all(|(own, leaf)| leaf < others.num_columns() && **own == *others.column(leaf))
    }

    /// A column of `rows` nulls.
    pub(crate) fn nulls(&self, field: usize, rows: usize) -> Result<Piece> {
        let field = self.plan.field(field);
        let array = new_null_array(field.data_type(), rows);
        writer::encode_array(field, &array).map(Piece::Nulls)
    }

    /// A column of keys into `values`.
    pub(crate) fn keys<V: Values + ?Sized>(
        &mut self,
        field: usize,
        keys: &[u32],
        values: &V,
    ) -> Result<Piece> {
        let columns = self.plan.columns(field);
        let column = columns.first().ok_or_else(|| missing("a field"))?;
        let layout = layout::layout(self.plan.field(field).name());
        let chunk = self.encoder.encode(column, layout, keys, values)?;
        Ok(Piece::Own(Box::new(chunk)))
    }

    /// Appends a row group: a piece for each field. Returns the bytes that are finished by then.
    pub(crate) fn push(&mut self, pieces: Vec<Piece>) -> Result<Bytes> {
        let mut row_group = self.writer.next_row_group()?;
        for piece in pieces {
            match piece {
                Piece::Stored(chunks) => {
                    for Chunk { bytes, close } in chunks {
                        row_group.append_column(&bytes, close)?;
                    }
                }
                Piece::Own(chunk) => row_group.append_column(&chunk.bytes, chunk.close)?,
                Piece::Nulls(leaves) => {
                    for leaf in leaves {
                        row_group.append_column(&leaf.bytes, leaf.close)?;
                    }
                }
            }
        }
        row_group.close()?;
        Ok(std::mem::take(self.writer.inner_mut()).into())
    }

    /// The last bytes, and what the footer says.
    pub(crate) fn finish(mut self) -> Result<(Bytes, ParquetMetaData)> {
        let metadata = self.writer.finish()?;
        Ok((std::mem::take(self.writer.inner_mut()).into(), metadata))
    }
}

fn missing(what: &str) -> ParquetError {
    ParquetError::General(format!("{what} has no columns"))
}
