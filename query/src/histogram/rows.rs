//! Rows of durations: buckets of the histogram, several of them together, so that they nest.
use storage::rollup::{bounds, bucket};

/// Buckets of the histogram from each power of two to the next.
pub(crate) const PER_DOUBLING_MAX: u16 = 64;

/// How many buckets are one row where there are `rows` from each power of two to the next: 1, 2, 4, ... 64.
pub(crate) fn merged_of(rows: i64) -> Option<u16> {
    let rows = u16::try_from(rows).ok()?;
    (rows.is_power_of_two() && rows <= PER_DOUBLING_MAX).then(|| PER_DOUBLING_MAX / rows)
}

/// The row of a duration: 0 holds the zeros, the others `merged` buckets each. The first one ends at 1, so that rows end
/// where powers of two do.
pub(crate) fn row_of(duration: i64, merged: u16) -> u16 {
    row_of_bucket(bucket(duration), merged)
}

/// The row of a bucket.
pub(crate) fn row_of_bucket(bucket: u16, merged: u16) -> u16 {
    match bucket {
        0 => 0,
        fine => (fine - 1).div_ceil(merged) + 1,
    }
}

/// The bounds of a row: `low < duration <= high`.
pub(crate) fn bounds_of(row: u16, merged: u16) -> (i64, i64) {
    let upper = |row: u16| if row == 0 { 0 } else { bounds((row - 1) * merged + 1).1 };
    (upper(row.saturating_sub(1)), upper(row))
}

#[cfg(test)]
mod tests;
