//! The kinds of values that a column chunk is encoded from, and how each is written and bounded.
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::file::statistics::{Statistics, ValueStatistics};

/// Longer bounds are cut, in statistics and in the page index: what the stock writer does.
const BOUND_BYTES_MAX: usize = 64;

/// The smallest or the largest value as it is written.
pub(crate) struct Bound {
    pub(super) bytes: Vec<u8>,
    pub(super) exact: bool,
}

/// What keys are places in.
pub(crate) trait Values {
    /// The kind of value.
    type Value: Value;
    /// Keys are below this.
    fn count(&self) -> usize;
    /// The value of a key.
    fn get(&self, key: u32) -> Self::Value;
}

impl<V: Value> Values for [V] {
    type Value = V;

    fn count(&self) -> usize {
        self.len()
    }

    #[inline]
    fn get(&self, key: u32) -> V {
        self[key as usize]
    }
}

/// Where every key has a value.
impl<V: Value + Default> Values for [Option<V>] {
    type Value = V;

    fn count(&self) -> usize {
        self.len()
    }

    #[inline]
    fn get(&self, key: u32) -> V {
        self[key as usize].unwrap_or_default()
    }
}

/// A value of a column.
pub(crate) trait Value: Copy {
    /// Bytes in PLAIN encoding.
    fn plain_bytes(self) -> usize;
    /// Appends the PLAIN encoding.
    fn write_plain(self, out: &mut Vec<u8>);
    /// True where the value has a place in the order (all but NaN).
    fn is_ordered(self) -> bool {
        true
    }
    /// The order of statistics.
    fn is_less(self, other: Self) -> bool;
    /// Not larger than the value.
    fn lower(self) -> Bound;
    /// Not smaller than the value.
    fn upper(self) -> Bound;
    /// The statistics of a chunk between these bounds.
    fn statistics(bounds: Option<(Bound, Bound)>, nulls: u64) -> Statistics;
    /// What a bloom filter is asked for.
    fn with_bytes<R>(self, read: impl FnOnce(&[u8]) -> R) -> R;
}

/// Text, valid UTF-8.
impl Value for &[u8] {
    fn plain_bytes(self) -> usize {
        4 + self.len()
    }

    fn write_plain(self, out: &mut Vec<u8>) {
        let length = u32::try_from(self.len()).unwrap_or(u32::MAX); // Arrow offsets have 31 bits
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(self);
    }

    fn is_less(self, other: Self) -> bool {
        self < other
    }

    fn lower(self) -> Bound {
        let cut = cut(self);
        Bound { bytes: cut.to_vec(), exact: cut.len() == self.len() }
    }

    fn upper(self) -> Bound {
        let cut = cut(self);
        let raised = if cut.len() == self.len() { None } else { raise(cut) };
        match raised {
            Some(bytes) => Bound { bytes, exact: false },
            None => Bound { bytes: self.to_vec(), exact: true },
        }
    }

    fn statistics(bounds: Option<(Bound, Bound)>, nulls: u64) -> Statistics {
        let (low, high) = bounds.unzip();
        let exact = [&low, &high].map(|bound| bound.as_ref().is_none_or(|bound| bound.exact));
        let value = |bound: Option<Bound>| bound.map(|bound| ByteArray::from(bound.bytes));
        let statistics = ValueStatistics::new(value(low), value(high), None, Some(nulls), false);
        let statistics = statistics.with_min_is_exact(exact[0]).with_max_is_exact(exact[1]);
        Statistics::ByteArray(statistics)
    }

    fn with_bytes<R>(self, read: impl FnOnce(&[u8]) -> R) -> R {
        read(self)
    }
}

/// At most [`BOUND_BYTES_MAX`] bytes of `text`, no character cut in two.
fn cut(text: &[u8]) -> &[u8] {
    const CONTINUES: u8 = 0b1000_0000;
    let mut end = text.len().min(BOUND_BYTES_MAX);
    while end > 0 && text.get(end).is_some_and(|byte| byte & 0b1100_0000 == CONTINUES) {
        end -= 1;
    }
    &text[..end]
}

/// The shortest text above everything that begins with `prefix`: its last character that can be raised without
/// growing is raised, and what follows is cut.
fn raise(prefix: &[u8]) -> Option<Vec<u8>> {
    let prefix = std::str::from_utf8(prefix).ok()?;
    prefix.char_indices().rev().find_map(|(place, last)| {
        let next = char::from_u32(u32::from(last) + 1)?;
        (next.len_utf8() == last.len_utf8()).then(|| {
            let mut raised = prefix[..place].to_owned();
            raised.push(next);
            raised.into_bytes()
        })
    })
}

impl Value for [u8; 16] {
    fn plain_bytes(self) -> usize {
        self.len()
    }

    fn write_plain(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self);
    }

    fn is_less(self, other: Self) -> bool {
        u128::from_be_bytes(self) < u128::from_be_bytes(other)
    }

    fn lower(self) -> Bound {
        Bound { bytes: self.to_vec(), exact: true }
    }

    fn upper(self) -> Bound {
        self.lower()
    }

    fn statistics(bounds: Option<(Bound, Bound)>, nulls: u64) -> Statistics {
        let (low, high) = bounds.unzip();
        let value = |bound: Option<Bound>| {
            bound.map(|bound| FixedLenByteArray::from(ByteArray::from(bound.bytes)))
        };
        Statistics::FixedLenByteArray(ValueStatistics::new(
            value(low),
            value(high),
            None,
            Some(nulls),
            false,
        ))
    }

    fn with_bytes<R>(self, read: impl FnOnce(&[u8]) -> R) -> R {
        read(&self)
    }
}

/// An id of 8 bytes.
impl Value for [u8; 8] {
    fn plain_bytes(self) -> usize {
        self.len()
    }

    fn write_plain(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self);
    }

    fn is_less(self, other: Self) -> bool {
        u64::from_be_bytes(self) < u64::from_be_bytes(other)
    }

    fn lower(self) -> Bound {
        Bound { bytes: self.to_vec(), exact: true }
    }

    fn upper(self) -> Bound {
        self.lower()
    }

    fn statistics(bounds: Option<(Bound, Bound)>, nulls: u64) -> Statistics {
        <[u8; 16]>::statistics(bounds, nulls)
    }

    fn with_bytes<R>(self, read: impl FnOnce(&[u8]) -> R) -> R {
        read(&self)
    }
}

macro_rules! number {
    ($type:ty, $variant:ident, $ordered:expr, $low:expr, $high:expr) => {
        impl Value for $type {
            fn plain_bytes(self) -> usize {
                size_of::<Self>()
            }

            fn write_plain(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn is_ordered(self) -> bool {
                $ordered(self)
            }

            fn is_less(self, other: Self) -> bool {
                self < other
            }

            fn lower(self) -> Bound {
                Bound { bytes: $low(self).to_le_bytes().to_vec(), exact: true }
            }

            fn upper(self) -> Bound {
                Bound { bytes: $high(self).to_le_bytes().to_vec(), exact: true }
            }

            fn statistics(bounds: Option<(Bound, Bound)>, nulls: u64) -> Statistics {
                let value = |bound: Bound| {
                    bound.bytes.first_chunk().map(|bytes| Self::from_le_bytes(*bytes))
                };
                let (low, high) = bounds.unzip();
                let statistics = ValueStatistics::new(
                    low.and_then(value),
                    high.and_then(value),
                    None,
                    Some(nulls),
                    false,
                );
                Statistics::$variant(statistics.with_backwards_compatible_min_max(true))
            }

            fn with_bytes<R>(self, read: impl FnOnce(&[u8]) -> R) -> R {
                read(&self.to_le_bytes())
            }
        }
    };
}

number!(i64, Int64, |_| true, |value| value, |value| value);
number!(i32, Int32, |_| true, |value| value, |value| value);
// Zeros of both signs are equal, so a bound that is zero covers both.
number!(
    f64,
    Double,
    |value: f64| !value.is_nan(),
    |value: f64| if value == 0.0 { -0.0 } else { value },
    |value: f64| if value == 0.0 { 0.0 } else { value }
);
