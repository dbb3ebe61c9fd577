//! Base-2 exponential histograms of durations, as OpenTelemetry's ExponentialHistogram has them
//! (<https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram>).
//!
//! 64 buckets from each power of two to the next (scale 6): a bucket's bounds are 1.09 % apart, its middle is off by at
//! most 0.54 %. Bucket 0 holds zeros; bucket `n` > 0 the whole nanoseconds in `(2^((n-2)/64), 2^((n-1)/64)]`.
use std::sync::LazyLock;

/// Buckets from each power of two to the next.
const PER_DOUBLING: usize = 64;
/// The bucket of the longest duration there is, `i64::MAX`.
pub(super) const LAST: usize = 63 * PER_DOUBLING + 1;
/// How finely the first guess looks at the bits behind a duration's highest one.
const GUESS_BITS: u32 = 8;

static BUCKETS: LazyLock<Buckets> = LazyLock::new(Buckets::new);

struct Buckets {
    /// By bucket, the largest whole number in it.
    upper: Vec<i64>,
    /// By the bits behind a duration's highest one: how many buckets after that of the power of two to begin searching.
    guess: Vec<u8>,
}

impl Buckets {
    #[expect(clippy::cast_possible_truncation, reason = "saturates where it must; below 64")]
    fn new() -> Self {
        let per_doubling = PER_DOUBLING as f64;
        let upper = |bucket: usize| ((bucket as f64 - 1.0) / per_doubling).exp2() as i64;
        let cells = 1u32 << GUESS_BITS;
        let guess = |cell: u32| {
            let low = 1.0 + f64::from(cell) / f64::from(cells);
            (low.log2() * per_doubling).floor() as u8
        };
        let upper = std::iter::once(0).chain((1..=LAST).map(upper)).collect();
        Self { upper, guess: (0..cells).map(guess).collect() }
    }
}

/// The number of the bucket of `duration`.
#[inline]
pub fn bucket(duration: i64) -> u16 {
    let buckets = &*BUCKETS;
    let Ok(value @ 1..) = u64::try_from(duration) else { return 0 };
    let power = value.ilog2();
    // Shifted so that the highest bit falls off and the next ones come first.
    let cell = (value << (63 - power) << 1) >> (64 - GUESS_BITS);
    let guess = usize::from(buckets.guess[usize::try_from(cell).unwrap_or(0)]);
    let mut bucket = power as usize * PER_DOUBLING + 1 + guess;
    while duration > buckets.upper[bucket] {
        bucket += 1;
    }
    u16::try_from(bucket).unwrap_or(u16::MAX)
}

/// The bounds of a bucket: `low < duration <= high` in whole nanoseconds; `(0, 0)` for the zeros.
pub fn bounds(bucket: u16) -> (i64, i64) {
    let bucket = usize::from(bucket).min(LAST);
    if bucket == 0 {
        return (0, 0);
    }
    (BUCKETS.upper[bucket - 1], BUCKETS.upper[bucket])
}

/// How many durations lie in each bucket.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    /// The bucket that `counts` begins with.
    first: u16,
    counts: Vec<i64>,
    /// Buckets of durations that are not in `counts` yet: cheap to add to, and small where there are few.
    pending: Vec<u16>,
}

/// So many pending ones are counted at once.
const PENDING_MAX: usize = 2048;
/// So many are sorted faster than counted.
const SORTED_MAX: usize = 64;

impl Histogram {
    /// Adds a duration in nanoseconds.
    #[inline]
    pub fn add(&mut self, duration_nano: i64) {
        self.pending.push(bucket(duration_nano));
        if self.pending.len() >= PENDING_MAX {
            self.settle();
        }
    }

    /// Adds `count` (which may be negative) to a bucket.
    pub fn add_count(&mut self, bucket: u16, count: i64) {
        *self.slot(bucket) += count;
    }

    /// Adds counts by bucket, ascending.
    pub(super) fn add_counts(&mut self, counts: &[(u16, i64)]) {
        let (Some((low, _)), Some((high, _))) = (counts.first(), counts.last()) else { return };
        self.slot(*low);
        self.slot(*high);
        for (bucket, count) in counts {
            self.counts[usize::from(bucket - self.first)] += count;
        }
    }

    /// Adds those of another.
    pub fn merge(&mut self, other: &Self) {
        if other.counts.is_empty() && self.counts.is_empty() {
            self.pending.extend_from_slice(&other.pending);
            if self.pending.len() >= PENDING_MAX {
                self.settle();
            }
            return;
        }
        self.add_counts(&other.buckets());
    }

    /// Takes away those of another.
    pub fn subtract(&mut self, other: &Self) {
        for (bucket, count) in other.buckets() {
            self.add_count(bucket, -count);
        }
    }

    /// Durations in all.
    pub fn count(&self) -> i64 {
        let pending = i64::try_from(self.pending.len()).unwrap_or(i64::MAX);
        self.counts.iter().sum::<i64>() + pending
    }

    /// What it takes when it is stored: a byte for each bucket in use, of which there are fewer and fewer new ones.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small estimate")]
    pub(super) fn bytes_about(&self) -> usize {
        (5.0 * (self.count() as f64).sqrt()) as usize
    }

    /// Buckets that hold something, ascending; see [`bounds`].
    pub fn buckets(&self) -> Vec<(u16, i64)> {
        let counted = (self.first..).zip(self.counts.iter().copied());
        let counted = counted.filter(|(_, count)| *count != 0);
        if self.pending.is_empty() {
            return counted.collect();
        }
        if self.counts.is_empty() && self.pending.len() < SORTED_MAX {
            let mut pending = self.pending.clone();
            pending.sort_unstable();
            return pending.chunk_by(|a, b| a == b).map(run).collect();
        }
        let mut settled = self.clone();
        settled.settle();
        settled.buckets()
    }

    /// The nearest-rank quantile `p` (0 to 1), as the middle of its bucket: off by at most 0.54 %. `None` of nothing.
    #[expect(clippy::cast_possible_truncation, reason = "clamped to 1..=count")]
    pub fn quantile(&self, p: f64) -> Option<i64> {
        let buckets = self.buckets();
        let total: i64 = buckets.iter().map(|(_, count)| count).sum();
        if total <= 0 {
            return None;
        }
        // 0.95 * 20 is 19.000000000000004 or so in floats: without the slack, the rank would be one too high.
        let exact = p * total as f64;
        let rank = ((exact - exact.abs() * 1e-12).ceil() as i64).clamp(1, total);
        let mut passed = 0;
        let reached = buckets.iter().find(|(_, count)| {
            passed += count;
            passed >= rank
        });
        reached.map(|(bucket, _)| middle(*bucket))
    }

    /// The bounds of the highest bucket in use: `low < longest <= high`.
    pub fn longest(&self) -> Option<(i64, i64)> {
        self.buckets().last().map(|(bucket, _)| bounds(*bucket))
    }

    /// Memory held beside itself.
    pub fn bytes(&self) -> usize {
        self.counts.capacity() * size_of::<i64>() + self.pending.capacity() * size_of::<u16>()
    }

    fn settle(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        if let (Some(low), Some(high)) = (pending.iter().min(), pending.iter().max()) {
            self.slot(*low);
            self.slot(*high);
        }
        for bucket in &pending {
            self.counts[usize::from(bucket - self.first)] += 1;
        }
        self.pending = pending;
        self.pending.clear();
    }

    /// The count of a bucket, which is made where it is not there.
    fn slot(&mut self, bucket: u16) -> &mut i64 {
        if self.counts.is_empty() {
            self.first = bucket;
        }
        if bucket < self.first {
            let missing = usize::from(self.first - bucket);
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = bucket;
        }
        let place = usize::from(bucket - self.first);
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        &mut self.counts[place]
    }
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        self.buckets() == other.buckets()
    }
}

fn run(run: &[u16]) -> (u16, i64) {
    (run[0], i64::try_from(run.len()).unwrap_or(i64::MAX))
}

/// The middle of the whole nanoseconds in a bucket.
fn middle(bucket: u16) -> i64 {
    let (low, high) = bounds(bucket);
    low + (high - low + 1) / 2
}

#[cfg(test)]
mod tests;
