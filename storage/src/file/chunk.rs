//! One column of one row group, encoded from keys into a list of values.
//!
//! The stock writer looks every row's value up in a hash table to build its dictionary. Here the rows come with the
//! numbers of their values already, so that a dictionary is one array look-up for each run of equal rows. The pages
//! and statistics are those that the stock writer would make (docs/format.md#file); it splices the finished chunk in.
mod hybrid;
mod pages;
pub(crate) mod value;

use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::bloom_filter::Sbbf;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::schema::types::ColumnDescPtr;

use self::hybrid::Hybrid;
use self::pages::{PageSpans, Pages};
use self::value::{Value, Values};

/// The key of a row without a value.
pub(crate) const NULL: u32 = u32::MAX;
/// Rows of a page at most: a column of one value has few pages.
pub(crate) const PAGE_ROWS: usize = 1 << 16;
/// What a long run of one key takes, about.
const RUN_BITS: usize = 48;
/// From so many values on a page tells how the column is packed best.
const TRIAL_VALUES: usize = 1000;
/// False answers of a bloom filter.
const BLOOM_FALSE: f64 = 0.01;

/// How a column is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// A larger dictionary is not written, but each row's value; 0 for never a dictionary.
    pub(crate) dictionary_bytes_max: usize,
    /// Smallest and largest value of each page and of the chunk.
    pub(crate) statistics: bool,
    pub(crate) compressed: bool,
    /// A bloom filter over the values.
    pub(crate) bloom: bool,
    /// Bytes of a page without compression from which it is ended, about: whoever wants one row has to decompress all.
    pub(crate) page_bytes: usize,
}

/// A finished column chunk; offsets count from its first byte.
pub(crate) struct EncodedChunk {
    pub(crate) bytes: Bytes,
    pub(crate) close: ColumnCloseResult,
}

/// Memory used again for one column after the other.
pub(crate) struct Encoder {
    compressor: zstd::bulk::Compressor<'static>,
    /// By key: its number in the dictionary, or [`NULL`] while it has none.
    numbers: Vec<u32>,
    /// By number: its key.
    dictionary: Vec<u32>,
    /// By number: the last page that its value was seen in, from 1.
    seen: Vec<u32>,
    runs: Vec<Run>,
    pages: Vec<PageRuns>,
    levels: Vec<u8>,
    values: Vec<u8>,
}

/// Rows with equal values.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// In the dictionary, or [`NULL`].
    number: u32,
    rows: u32,
}

/// Where the runs of one page end, and how many values the dictionary has by then.
#[derive(Debug, Clone, Copy)]
struct PageRuns {
    end: usize,
    dictionary: usize,
}

impl Encoder {
    /// # Errors
    /// The compressor refuses its settings.
    pub(crate) fn new() -> Result<Self> {
        let level = parquet::basic::ZstdLevel::default().compression_level();
        Ok(Self {
            compressor: zstd::bulk::Compressor::new(level)?,
            numbers: Vec::new(),
            dictionary: Vec::new(),
            seen: Vec::new(),
            runs: Vec::new(),
            pages: Vec::new(),
            levels: Vec::new(),
            values: Vec::new(),
        })
    }

    /// Encodes the rows `keys`, each the place of its value in `values` or [`NULL`], as the column `descr`.
    pub(crate) fn encode<V: Values + ?Sized>(
        &mut self,
        descr: &ColumnDescPtr,
        layout: Layout,
        keys: &[u32],
        values: &V,
    ) -> Result<EncodedChunk> {
        if layout.dictionary_bytes_max == 0 {
            return self.encode_plain(descr, layout, keys, values);
        }
        self.number(keys, (values.count(), layout.page_bytes));
        let bloom = layout.bloom.then(|| self.bloom(values)).transpose()?;
        let mut chunk = if self.wants_dictionary(layout, values) {
            self.encode_dictionary(descr, layout, values)?
        } else {
            self.encode_plain(descr, layout, keys, values)?
        };
        chunk.close.bloom_filter = bloom;
        Ok(chunk)
    }

    /// Finds runs, pages, and the values used, in the order of their first use.
    fn number(&mut self, keys: &[u32], (values, page_bytes): (usize, usize)) {
        self.runs.clear();
        self.pages.clear();
        // Many columns share one long list of values, each using few of them.
        self.dictionary.drain(..).for_each(|key| self.numbers[key as usize] = NULL);
        if self.numbers.len() < values {
            self.numbers.resize(values, NULL);
        }
        let mut rest = keys;
        while !rest.is_empty() {
            rest = self.number_page(rest, page_bytes);
            let page = PageRuns { end: self.runs.len(), dictionary: self.dictionary.len() };
            self.pages.push(page);
        }
    }

    /// Finds the runs of one page; returns the keys behind it.
    fn number_page<'k>(&mut self, keys: &'k [u32], page_bytes: usize) -> &'k [u32] {
        let page = &keys[..keys.len().min(PAGE_ROWS)];
        let (mut rest, mut bits) = (page, 0);
        while let Some(key) = rest.first().copied() {
            let rows = run_length(rest, key);
            rest = &rest[rows..];
            let number = if key == NULL { NULL } else { self.number_of(key) };
            self.runs.push(Run { number, rows: count(rows) });
            if number != NULL {
                let packed = hybrid::width_of(count(self.dictionary.len())) as usize * rows;
                bits += packed.min(RUN_BITS);
            }
            if bits >= page_bytes * 8 {
                break;
            }
        }
        &keys[page.len() - rest.len()..]
    }

    #[inline]
    fn number_of(&mut self, key: u32) -> u32 {
        let number = &mut self.numbers[key as usize];
        if *number == NULL {
            *number = count(self.dictionary.len());
            self.dictionary.push(key);
        }
        *number
    }

    /// A dictionary must fit and be smaller than the values themselves.
    fn wants_dictionary<V: Values + ?Sized>(&self, layout: Layout, values: &V) -> bool {
        let bytes_of = |number: u32| values.get(self.dictionary[number as usize]).plain_bytes();
        let dictionary: usize = (0..count(self.dictionary.len())).map(bytes_of).sum();
        if dictionary > layout.dictionary_bytes_max {
            return false;
        }
        // Far fewer values than runs: no need to add up what all rows would take.
        if self.dictionary.len() * 4 <= self.runs.len() {
            return true;
        }
        let filled = self.runs.iter().filter(|run| run.number != NULL);
        let (mut plain, mut rows) = (0, 0);
        for run in filled {
            plain += bytes_of(run.number) * run.rows as usize;
            rows += run.rows as usize;
        }
        let width = hybrid::width_of(count(self.dictionary.len())) as usize;
        dictionary + rows * width / 8 <= plain
    }

    fn bloom<V: Values + ?Sized>(&self, values: &V) -> Result<Sbbf> {
        let mut bloom = Sbbf::new_with_ndv_fpp(self.dictionary.len().max(1) as u64, BLOOM_FALSE)?;
        for key in &self.dictionary {
            values.get(*key).with_bytes(|bytes| bloom.insert(bytes));
        }
        Ok(bloom)
    }

    fn encode_dictionary<V: Values + ?Sized>(
        &mut self,
        descr: &ColumnDescPtr,
        layout: Layout,
        values: &V,
    ) -> Result<EncodedChunk> {
        let Self { compressor, dictionary, seen, runs, levels, values: buffer, .. } = self;
        let mut pages = Pages::new(descr, layout, compressor);
        seen.clear();
        seen.resize(dictionary.len(), 0);
        buffer.clear();
        dictionary.iter().for_each(|key| values.get(*key).write_plain(buffer));
        pages.push_dictionary(buffer, count(dictionary.len()))?;
        let (mut start, mut whole_bytes) = (0, None);
        for (place, page) in (1u32..).zip(&self.pages) {
            let runs = &runs[start..page.end];
            start = page.end;
            let (rows, nulls) = write_levels(descr, runs, levels);
            let mut width = hybrid::width_of(count(page.dictionary.saturating_sub(1)));
            if layout.compressed && whole_bytes.is_none() && rows - nulls >= TRIAL_VALUES {
                whole_bytes = Some(pages.prefers_whole_bytes(runs, width, buffer)?);
            }
            if whole_bytes == Some(true) {
                width = width.next_multiple_of(8);
            }
            write_numbers(runs, width, buffer);
            let mut bounds = Bounds::default();
            for run in runs.iter().filter(|run| layout.statistics && run.number != NULL) {
                let seen = &mut seen[run.number as usize];
                if std::mem::replace(seen, place) != place {
                    bounds.add(values.get(dictionary[run.number as usize]));
                }
            }
            let spans = PageSpans { rows, nulls, bounds: bounds.0 };
            pages.push(levels, buffer, spans, Encoding::RLE_DICTIONARY)?;
        }
        pages.finish(Encoding::RLE_DICTIONARY)
    }

    fn encode_plain<V: Values + ?Sized>(
        &mut self,
        descr: &ColumnDescPtr,
        layout: Layout,
        keys: &[u32],
        values: &V,
    ) -> Result<EncodedChunk> {
        let Self { compressor, levels, values: buffer, .. } = self;
        let mut pages = Pages::new(descr, layout, compressor);
        let mut page = PlainPage::default();
        for keys in keys.chunks(PAGE_ROWS) {
            buffer.clear();
            for key in keys {
                page.push(buffer, (*key != NULL).then(|| values.get(*key)), layout.statistics);
                if buffer.len() >= layout.page_bytes {
                    page.finish(&mut pages, levels, buffer)?;
                }
            }
            page.finish(&mut pages, levels, buffer)?;
        }
        pages.finish(Encoding::PLAIN)
    }
}

/// A page of values as they are.
struct PlainPage<V> {
    runs: Vec<Run>,
    bounds: Bounds<V>,
}

impl<V> Default for PlainPage<V> {
    fn default() -> Self {
        Self { runs: Vec::new(), bounds: Bounds(None) }
    }
}

impl<V: Value> PlainPage<V> {
    #[inline]
    fn push(&mut self, out: &mut Vec<u8>, value: Option<V>, bounded: bool) {
        let number = if value.is_some() { 0 } else { NULL };
        match self.runs.last_mut() {
            Some(run) if run.number == number => run.rows += 1,
            _ => self.runs.push(Run { number, rows: 1 }),
        }
        if let Some(value) = value {
            value.write_plain(out);
            if bounded {
                self.bounds.add(value);
            }
        }
    }

    /// Ends the page, if it has any rows.
    fn finish(
        &mut self,
        pages: &mut Pages<'_, V>,
        levels: &mut Vec<u8>,
        values: &mut Vec<u8>,
    ) -> Result<()> {
        if self.runs.is_empty() {
            return Ok(());
        }
        let (rows, nulls) = write_levels(pages.descr(), &self.runs, levels);
        let bounds = std::mem::take(&mut self.bounds).0;
        pages.push(levels, values, PageSpans { rows, nulls, bounds }, Encoding::PLAIN)?;
        self.runs.clear();
        values.clear();
        Ok(())
    }
}

/// Smallest and largest of the values so far.
#[derive(Debug, Clone, Copy)]
struct Bounds<V>(Option<(V, V)>);

impl<V> Default for Bounds<V> {
    fn default() -> Self {
        Self(None)
    }
}

impl<V: Value> Bounds<V> {
    #[inline]
    fn add(&mut self, value: V) {
        match &mut self.0 {
            _ if !value.is_ordered() => {}
            Some((low, _)) if value.is_less(*low) => *low = value,
            Some((_, high)) if high.is_less(value) => *high = value,
            Some(_) => {}
            None => self.0 = Some((value, value)),
        }
    }
}

/// Writes which of the rows have values, where the column may be null; returns rows and nulls.
fn write_levels(descr: &ColumnDescPtr, runs: &[Run], levels: &mut Vec<u8>) -> (usize, usize) {
    levels.clear();
    let rows = runs.iter().map(|run| run.rows as usize).sum();
    if descr.max_def_level() == 0 {
        return (rows, 0);
    }
    let mut hybrid = Hybrid::new(levels, 1);
    let mut nulls = 0;
    for same in runs.chunk_by(|a, b| (a.number == NULL) == (b.number == NULL)) {
        let length = same.iter().map(|run| run.rows as usize).sum();
        let null = same[0].number == NULL;
        nulls += if null { length } else { 0 };
        hybrid.push(u32::from(!null), length);
    }
    hybrid.finish();
    (rows, nulls)
}

/// Writes the numbers of the rows that have values, `width` bits each.
fn write_numbers(runs: &[Run], width: u32, out: &mut Vec<u8>) {
    out.clear();
    out.push(width.to_le_bytes()[0]);
    let mut numbers = Hybrid::new(out, width);
    for run in runs.iter().filter(|run| run.number != NULL) {
        numbers.push(run.number, run.rows as usize);
    }
    numbers.finish();
}

/// How many of `keys` from the first on are `key`.
#[inline]
fn run_length(keys: &[u32], key: u32) -> usize {
    const STEP: usize = 16;
    // Most runs are short: no look further ahead for them.
    if keys.get(1) != Some(&key) {
        return 1;
    }
    let mut length = 0;
    while let Some(step) = keys[length..].first_chunk::<STEP>() {
        // Without a branch in between, and not as a call that compares memory.
        if step.iter().fold(0, |other, step| other | (step ^ key)) != 0 {
            break;
        }
        length += STEP;
    }
    length + keys[length..].iter().take_while(|other| **other == key).count()
}

/// Rows and dictionaries are far below 2^32.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
