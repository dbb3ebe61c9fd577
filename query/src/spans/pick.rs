//! Single rows of a file, column by column, without making what lies around them.
//!
//! The stock reader decompresses every page with a wanted row and skips through its values. The spans of a trace lie on a
//! page each, in a hundred columns: a thousand pages for some thirty rows. Here a row that has no value costs a look at
//! the levels, which are not compressed, one that has a key costs that key, and a dictionary is looked into once.
//!
//! ```text
//! rows of a row group -> pages (by the offset index) -> one read -> cells, keys -> dictionaries -> one read -> columns
//! ```
mod cells;
pub(super) mod deltas;
pub(super) mod dictionaries;
mod fetched;
mod held;
mod lists;
pub(super) mod page;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use bytes::Bytes;
use datafusion::common::Result;
use hashbrown::HashMap;
use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use self::cells::{Cells, Width};
use self::dictionaries::{Dictionaries, Dictionary, HeldPage};
use self::fetched::Fetched;
use self::lists::Lists;
use self::page::Memory;
use super::reader::Reader;

/// Opens a file.
pub(super) type Open<'a> = dyn Fn() -> Result<Reader> + Send + Sync + 'a;

/// Some rows of one row group.
pub(super) struct Pick<'a> {
    /// Makes readers of its file.
    pub(super) open: &'a Open<'a>,
    /// Makes readers that leave it to whoever asks to compare pages with their checksums.
    pub(super) open_pages: &'a Open<'a>,
    pub(super) metadata: &'a Arc<ParquetMetaData>,
    /// The row group.
    pub(super) group: usize,
    /// Its rows that are wanted, rising.
    pub(super) rows: Vec<usize>,
    /// The path of its file.
    pub(super) path: Arc<str>,
    /// What is known of dictionaries.
    pub(super) dictionaries: &'a Dictionaries,
}

/// The wanted rows of one page.
struct Page {
    /// Where it lies in the file.
    bytes: Range<u64>,
    /// Counted from its first row.
    rows: Vec<usize>,
    /// No row of it has a value.
    is_null: bool,
    /// Where it need not be read.
    held: Option<Arc<HeldPage>>,
}

impl Page {
    fn is_read(&self) -> bool {
        !self.is_null && self.held.is_none()
    }
}

/// A column that has values on some page.
struct Column<'a> {
    field: &'a FieldRef,
    chunk: &'a ColumnChunkMetaData,
    pages: Vec<Page>,
    nullable: bool,
    kind: Kind,
}

enum Kind {
    Flat(Width),
    /// A list: of its first leaf only levels are looked at.
    List,
}

impl Pick<'_> {
    /// The rows with the columns of `schema`, as it says; those that the file lacks are null. `None` where some page or
    /// column is of a kind that only the stock reader knows.
    ///
    /// # Errors
    /// The file is damaged, or cannot be read.
    pub(super) async fn read(&self, schema: &SchemaRef) -> Result<Option<RecordBatch>> {
        let filled = filled(self.metadata, self.group, schema);
        let reader = &mut (self.open_pages)()?;
        let Some(made) = self.arrays(reader, &filled).await? else { return Ok(None) };
        let mut made = made.into_iter().peekable();
        let mut arrays = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            arrays.push(match made.next_if(|(own, _)| Arc::ptr_eq(own, field)) {
                Some((_, array)) => array,
                None => new_null_array(field.data_type(), self.rows.len()),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows.len()));
        Ok(Some(RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?))
    }

    /// Those of the columns `wanted` that have a value on some page with a wanted row, in their order; `reader` is one of
    /// [`Self::open_pages`]. `None` as for [`Self::read`].
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(super) async fn arrays(
        &self,
        reader: &mut Reader,
        wanted: &[Filled],
    ) -> Result<Option<Vec<(FieldRef, ArrayRef)>>> {
        let Some(columns) = self.columns(wanted) else { return Ok(None) };
        let pages = columns.iter().flat_map(|column| &column.pages);
        let unread = pages.filter(|page| page.is_read()).map(|page| page.bytes.clone());
        let fetched = self.fetch(reader, unread.collect()).await?;
        let Some(picked) = self.cells(&columns, &fetched)? else { return Ok(None) };
        self.resolve(picked, reader).await
    }

    fn columns<'a>(&'a self, wanted: &'a [Filled]) -> Option<Vec<Column<'a>>> {
        let mut columns = Vec::with_capacity(wanted.len());
        for (field, leaf) in wanted {
            if let Some(column) = self.column(field, *leaf)? {
                columns.push(column);
            }
        }
        Some(columns)
    }

    /// `Some(None)` where no wanted page has a value.
    fn column<'a>(&'a self, field: &'a FieldRef, leaf: usize) -> Option<Option<Column<'a>>> {
        let descriptor = self.metadata.file_metadata().schema_descr();
        let chunk = self.metadata.row_group(self.group).column(leaf);
        if !matches!(chunk.compression(), Compression::ZSTD(_) | Compression::UNCOMPRESSED) {
            return None;
        }
        let leaf_of = descriptor.column(leaf);
        let kind = match (field.data_type(), leaf_of.max_rep_level()) {
            (DataType::List(_), 1) => Kind::List,
            (data_type, 0) if leaf_of.max_def_level() <= 1 => {
                Kind::Flat(Width::of(&leaf_of, data_type)?)
            }
            _ => return None,
        };
        let pages = self.pages(leaf)?;
        if matches!(kind, Kind::Flat(_)) && pages.iter().all(|page| page.is_null) {
            return Some(None);
        }
        let nullable = descriptor.get_column_root(leaf).is_optional();
        Some(Some(Column { field, chunk, pages, nullable, kind }))
    }

    /// The pages of a column with wanted rows.
    fn pages(&self, leaf: usize) -> Option<Vec<Page>> {
        let locations = self.metadata.offset_index()?.get(self.group)?.get(leaf)?.page_locations();
        let index = self.metadata.column_index().and_then(|index| index.get(self.group)?.get(leaf));
        let nulls = index.and_then(|index| index.null_counts());
        let all = self.metadata.row_group(self.group).num_rows();
        let is_flat =
            self.metadata.file_metadata().schema_descr().column(leaf).max_rep_level() == 0;
        let mut pages: Vec<Page> = Vec::new();
        let (mut first, mut until, mut at) = (0, 0, 0);
        for row in &self.rows {
            if let Some(page) = pages.last_mut()
                && *row < until
            {
                page.rows.push(row - first);
                continue;
            }
            let number = i64::try_from(*row).ok()?;
            at += locations[at..].partition_point(|page| page.first_row_index <= number);
            let location = locations.get(at.checked_sub(1)?)?;
            let next = locations.get(at).map_or(all, |next| next.first_row_index);
            first = usize::try_from(location.first_row_index).ok()?;
            until = usize::try_from(next).ok()?;
            let begin = u64::try_from(location.offset).ok()?;
            let bytes = begin..begin + u64::try_from(location.compressed_page_size).ok()?;
            let empty = nulls.and_then(|nulls| nulls.get(at - 1)).copied();
            let is_null = is_flat && empty == Some(next - location.first_row_index);
            let rows = vec![row.checked_sub(first)?];
            pages.push(Page { bytes, rows, is_null, held: None });
        }
        if is_flat {
            self.find_held(&mut pages);
        }
        Some(pages)
    }

    fn find_held(&self, pages: &mut [Page]) {
        let places = pages.iter().filter(|page| !page.is_null).map(|page| page.bytes.start);
        let found = self.dictionaries.find_pages(&self.path, places);
        let filled = pages.iter_mut().filter(|page| !page.is_null);
        for (page, held) in filled.zip(found) {
            page.held = held;
        }
    }

    /// What the data pages tell.
    fn cells<'a>(
        &self,
        columns: &'a [Column<'a>],
        fetched: &Fetched,
    ) -> Result<Option<Vec<(&'a Column<'a>, Picked)>>> {
        page::with_memory(|memory| {
            let mut picked = Vec::with_capacity(columns.len());
            for column in columns {
                let told = match column.kind {
                    Kind::Flat(width) => {
                        self.cells_of(column, width, (fetched, &mut *memory))?.map(Picked::Cells)
                    }
                    Kind::List => column.lists(fetched)?.map(Picked::Lists),
                };
                let Some(told) = told else { return Ok(None) };
                picked.push((column, told));
            }
            Ok(Some(picked))
        })
    }

    /// Looks into dictionaries, reads lists that have elements, and makes the columns.
    async fn resolve(
        &self,
        picked: Vec<(&Column<'_>, Picked)>,
        reader: &mut Reader,
    ) -> Result<Option<Vec<(FieldRef, ArrayRef)>>> {
        let Some(dictionaries) = self.dictionaries(&picked, reader).await? else { return Ok(None) };
        let mut made = Vec::with_capacity(picked.len());
        for ((column, told), dictionary) in picked.into_iter().zip(dictionaries) {
            let array = match told {
                Picked::Cells(mut cells) => {
                    if let Some(dictionary) = dictionary {
                        cells.resolve(&dictionary)?;
                    }
                    cells.array(column.field.data_type())?
                }
                Picked::Lists(lists) => {
                    let filled = lists.filled(&self.rows);
                    if filled.is_empty() {
                        lists.array(column.field, None)?
                    } else {
                        let read = lists::read(self, column.field.name(), filled).await?;
                        lists.array(column.field, Some(read))?
                    }
                }
            };
            made.push((Arc::clone(column.field), array));
        }
        Ok(Some(made))
    }

    /// By column, its dictionary where it is needed; those that are not known yet are read together.
    async fn dictionaries(
        &self,
        picked: &[(&Column<'_>, Picked)],
        reader: &mut Reader,
    ) -> Result<Option<Vec<Option<Arc<Dictionary>>>>> {
        let mut known = Vec::with_capacity(picked.len());
        let mut unknown = Vec::new();
        for (place, (column, told)) in picked.iter().enumerate() {
            known.push(None);
            if !matches!(told, Picked::Cells(cells) if cells.has_keys()) {
                continue;
            }
            let Some(bytes) = dictionary(column.chunk) else { return Ok(None) };
            known[place] = self.dictionaries.find(&self.path, bytes.start);
            if known[place].is_none() {
                unknown.push((place, *column, bytes));
            }
        }
        let fetched = unknown.iter().map(|(.., bytes)| bytes.clone()).collect();
        let fetched = self.fetch(reader, fetched).await?;
        page::with_memory(|memory| {
            for (place, column, bytes) in unknown {
                let page = fetched.of(&bytes)?;
                let Some(page) = page::Page::of(&page) else { return Ok(None) };
                let values = page.values(column.chunk.compression(), memory)?;
                let values = Bytes::copy_from_slice(values);
                let is_of_texts = matches!(column.kind, Kind::Flat(Width::Text));
                let at = (&self.path, bytes.start);
                known[place] = Some(self.dictionaries.put(at, values, is_of_texts));
            }
            Ok(Some(known))
        })
    }
}

/// What the data pages of a column tell.
enum Picked {
    Cells(Cells),
    Lists(Lists),
}

impl Pick<'_> {
    fn cells_of(
        &self,
        column: &Column<'_>,
        width: Width,
        (fetched, memory): (&Fetched, &mut Memory),
    ) -> Result<Option<Cells>> {
        let mut cells = Cells::new(width);
        for page in &column.pages {
            if page.is_null {
                cells.push_nulls(page.rows.len());
                continue;
            }
            let rows = (page.rows.as_slice(), column.nullable);
            let compression = (column.chunk.compression(), &mut *memory);
            let bytes;
            let own = if let Some(held) = &page.held {
                held.page()
            } else {
                bytes = fetched.of(&page.bytes)?;
                let Some(own) = page::Page::of(&bytes) else { return Ok(None) };
                own
            };
            let pushed = cells.push_page(&own, rows, compression, |values| {
                if let Some(held) = HeldPage::of(&own, values, page.held.is_some()) {
                    self.dictionaries.put_page(&self.path, page.bytes.start, held);
                }
            })?;
            if pushed.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(cells))
    }
}

impl Column<'_> {
    fn lists(&self, fetched: &Fetched) -> Result<Option<Lists>> {
        let mut lists = Lists::new(self.nullable);
        for page in &self.pages {
            let levels = self.chunk.column_descr().max_def_level();
            if lists.push_page(&fetched.of(&page.bytes)?, &page.rows, levels).is_none() {
                return Ok(None);
            }
        }
        Ok(Some(lists))
    }
}

/// A column of a file, and its first leaf.
pub(super) type Filled = (FieldRef, usize);

/// The columns of `schema` that have a value in the row group, as far as its statistics tell, in its order.
pub(super) fn filled(metadata: &ParquetMetaData, group: usize, schema: &Schema) -> Vec<Filled> {
    let descriptor = metadata.file_metadata().schema_descr();
    let mut leaves = HashMap::with_capacity(descriptor.num_columns());
    for leaf in (0..descriptor.num_columns()).rev() {
        // Of several the first.
        leaves.insert(descriptor.get_column_root(leaf).name(), leaf);
    }
    let group = metadata.row_group(group);
    let has_values = |leaf: usize| {
        let statistics = group.column(leaf).statistics();
        let nulls = statistics.and_then(|statistics| statistics.null_count_opt());
        let is_flat = descriptor.get_column_root(leaf).is_primitive();
        !is_flat || nulls.is_none_or(|nulls| i64::try_from(nulls) != Ok(group.num_rows()))
    };
    let leaf = |field: &FieldRef| Some((Arc::clone(field), *leaves.get(field.name().as_str())?));
    schema.fields().iter().filter_map(leaf).filter(|(_, leaf)| has_values(*leaf)).collect()
}

/// Where the dictionary of a chunk lies.
pub(super) fn dictionary(chunk: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let begin = u64::try_from(chunk.dictionary_page_offset()?).ok()?;
    let end = u64::try_from(chunk.data_page_offset()).ok()?;
    (begin < end).then_some(begin..end)
}

#[cfg(test)]
mod tests;
