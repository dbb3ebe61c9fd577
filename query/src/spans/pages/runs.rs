//! Run lengths and bit-packed groups: how Parquet stores keys and levels.

/// Hands `count` numbers of `width` bits to `visit`, in runs of equal ones; `None` where the bytes are too few, or
/// `visit` said so.
pub(in crate::spans) fn each_run(
    bytes: &[u8],
    width: u8,
    count: usize,
    mut visit: impl FnMut(u32, usize) -> Option<()>,
) -> Option<()> {
    walk(bytes, width, count, |run, rows| {
        match run {
            Run::Equal(number) => visit(number, rows.len())?,
            Run::Packed { bytes, width } => unpack(bytes, width, rows.len(), &mut visit)?,
        }
        Some(true)
    })
}

fn unpack(
    packed: &[u8],
    width: u8,
    count: usize,
    visit: &mut impl FnMut(u32, usize) -> Option<()>,
) -> Option<()> {
    let bits = usize::from(width);
    if count.checked_mul(bits)? > packed.len() * 8 {
        return None;
    }
    let mask = (1_u64 << width) - 1;
    let low = |word: u64| u32::try_from(word & mask).unwrap_or(u32::MAX);
    for at in 0..count {
        let bit = at * bits;
        visit(low(word(&packed[bit / 8..]) >> (bit % 8)), 1)?;
    }
    Some(())
}

/// The first eight bytes as a number; what is missing is 0.
#[inline]
pub(in crate::spans) fn word(bytes: &[u8]) -> u64 {
    if let Some(word) = bytes.first_chunk() {
        return u64::from_le_bytes(*word);
    }
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

#[inline]
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    // Most runs are short.
    if let Some((byte @ 0..=0x7f, rest)) = bytes.split_first() {
        *bytes = rest;
        return Some(u64::from(*byte));
    }
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// By wanted entry the place of its value among all values, `None` where it has none.
pub(in crate::spans) type Places = Vec<Option<usize>>;

/// [`Places`] of the entries at `wanted`, which rise, by `count` levels of one bit.
pub(in crate::spans) fn places(
    bytes: &[u8],
    count: usize,
    (wanted, marks): (&[usize], &[Mark]),
) -> Option<Places> {
    let mut cursor = Cursor::new(bytes, (1, count), marks)?;
    let place = |at: &usize| {
        let within = cursor.seek(*at)?;
        let is_value = cursor.run.at(within)? == 1;
        Some(is_value.then(|| cursor.ones + cursor.run.ones(within)))
    };
    wanted.iter().map(place).collect()
}

/// The numbers at `wanted`, which rise, of `count` numbers of `width` bits.
pub(in crate::spans) fn numbers(
    bytes: &[u8],
    (width, count): (u8, usize),
    (wanted, marks): (&[usize], &[Mark]),
) -> Option<Vec<u32>> {
    let mut cursor = Cursor::new(bytes, (width, count), marks)?;
    wanted.iter().map(|at| cursor.seek(*at).and_then(|within| cursor.run.at(within))).collect()
}

/// Where a run begins: whoever looks for a number far behind need not go through all runs before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::spans) struct Mark {
    byte: u16,
    /// How many numbers lie before it, and how many of them are 1.
    before: u16,
    ones: u16,
}

/// A mark takes six bytes, so many runs of a bit and more at least thirty-two.
const RUNS_A_MARK: usize = 16;

/// Marks for `count` numbers of `width` bits; none where the bytes are too few, or behind what a page of
/// ours has.
pub(in crate::spans) fn marks(bytes: &[u8], width: u8, count: usize) -> Box<[Mark]> {
    all_marks(bytes, width, count).unwrap_or_default()
}

fn all_marks(bytes: &[u8], width: u8, count: usize) -> Option<Box<[Mark]>> {
    let mut cursor = Cursor::new(bytes, (width, count), &[])?;
    let mut marks = Vec::new();
    while cursor.rows.end < count {
        for _ in 0..RUNS_A_MARK {
            if cursor.rows.end < count {
                cursor.advance()?;
            }
        }
        let [byte, before, ones] =
            [bytes.len() - cursor.rest.len(), cursor.rows.end, cursor.ones_through()]
                .map(u16::try_from);
        let (Ok(byte), Ok(before), Ok(ones)) = (byte, before, ones) else { break };
        if cursor.rows.end < count {
            marks.push(Mark { byte, before, ones });
        }
    }
    Some(marks.into())
}

/// Goes through runs, from one number that is wanted to the next.
struct Cursor<'a> {
    bytes: &'a [u8],
    width: u8,
    count: usize,
    marks: &'a [Mark],
    /// The run here, and which of the numbers it has.
    run: Run<'a>,
    rows: std::ops::Range<usize>,
    /// How many numbers before it are 1; of numbers of one bit only.
    ones: usize,
    /// What lies behind it.
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn new(bytes: &'a [u8], (width, count): (u8, usize), marks: &'a [Mark]) -> Option<Self> {
        let run = Run::Equal(0);
        (width <= 32).then_some(Self {
            bytes,
            width,
            count,
            marks,
            run,
            rows: 0..0,
            ones: 0,
            rest: bytes,
        })
    }

    /// Goes to the run with the number at `at`, which must not lie before the one here; the place of `at` in it.
    fn seek(&mut self, at: usize) -> Option<usize> {
        if at >= self.rows.end {
            self.jump(at);
        }
        while at >= self.rows.end {
            self.advance()?;
        }
        at.checked_sub(self.rows.start)
    }

    /// Goes to before the last mark that is not behind `at`, where that saves a way.
    fn jump(&mut self, at: usize) {
        let is_before = |mark: &Mark| usize::from(mark.before) <= at;
        let Some(last) = self.marks.partition_point(is_before).checked_sub(1) else { return };
        let Mark { byte, before, ones } = self.marks[last];
        let before = usize::from(before);
        if before > self.rows.end
            && let Some(rest) = self.bytes.get(usize::from(byte)..)
        {
            (self.run, self.rows) = (Run::Equal(0), before..before);
            (self.ones, self.rest) = (ones.into(), rest);
        }
    }

    /// How many numbers up to the end of the run here are 1.
    fn ones_through(&self) -> usize {
        if self.width == 1 { self.ones + self.run.ones(self.rows.len()) } else { 0 }
    }

    fn advance(&mut self) -> Option<()> {
        self.ones = self.ones_through();
        let left = self.count.checked_sub(self.rows.end)?;
        let (run, length) = next_run(&mut self.rest, self.width, left)?;
        (self.run, self.rows) = (run, self.rows.end..self.rows.end + length);
        Some(())
    }
}

/// Numbers that lie together.
enum Run<'a> {
    Equal(u32),
    Packed { bytes: &'a [u8], width: u8 },
}

impl Run<'_> {
    fn at(&self, place: usize) -> Option<u32> {
        match self {
            Self::Equal(number) => Some(*number),
            Self::Packed { bytes, width } => {
                let bit = place.checked_mul(usize::from(*width))?;
                if bit + usize::from(*width) > bytes.len() * 8 {
                    return None;
                }
                // Numbers of less than a byte begin within one.
                let number = word(bytes.get(bit / 8..)?) >> (bit % 8);
                u32::try_from(number & ((1 << *width) - 1)).ok()
            }
        }
    }

    /// How many of the first `count` levels are 1.
    fn ones(&self, count: usize) -> usize {
        match self {
            Self::Equal(1) => count,
            Self::Equal(_) => 0,
            Self::Packed { bytes, .. } => {
                let whole = (count / 8).min(bytes.len());
                let ones = |byte: &u8| byte.count_ones() as usize;
                let last = bytes.get(whole).map_or(0, |byte| byte & ((1 << (count % 8)) - 1));
                bytes[..whole].iter().map(ones).sum::<usize>() + ones(&last)
            }
        }
    }
}

/// Hands the runs of `count` numbers to `visit` with their places, until it says that it has enough; `None` where the
/// bytes are too few, or `visit` said so.
fn walk<'a>(
    mut bytes: &'a [u8],
    width: u8,
    count: usize,
    mut visit: impl FnMut(Run<'a>, std::ops::Range<usize>) -> Option<bool>,
) -> Option<()> {
    if width > 32 {
        return None;
    }
    let mut next = 0;
    while next < count {
        let (run, length) = next_run(&mut bytes, width, count - next)?;
        if !visit(run, next..next + length)? {
            return Some(());
        }
        next += length;
    }
    Some(())
}

/// The run that `bytes` begin with, and how many numbers it has: not none, and at most `left`.
#[inline]
fn next_run<'a>(bytes: &mut &'a [u8], width: u8, left: usize) -> Option<(Run<'a>, usize)> {
    let header = varint(bytes)?;
    let length = usize::try_from(header >> 1).ok()?;
    let (run, length) = if header & 1 == 0 {
        let (number, rest) = bytes.split_at_checked(usize::from(width).div_ceil(8))?;
        *bytes = rest;
        let mut wide = [0; 4];
        wide[..number.len()].copy_from_slice(number);
        (Run::Equal(u32::from_le_bytes(wide)), length)
    } else {
        let packed = length.checked_mul(usize::from(width))?.min(bytes.len());
        let (packed, rest) = bytes.split_at(packed);
        *bytes = rest;
        (Run::Packed { bytes: packed, width }, length.checked_mul(8)?)
    };
    // A run of none would never end.
    let length = length.min(left);
    (length > 0).then_some((run, length))
}

#[cfg(test)]
mod tests;
