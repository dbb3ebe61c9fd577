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

fn varint(bytes: &mut &[u8]) -> Option<u64> {
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
pub(in crate::spans) fn places(bytes: &[u8], count: usize, wanted: &[usize]) -> Option<Places> {
    let mut places = Vec::with_capacity(wanted.len());
    let mut values = 0;
    walk(bytes, 1, count, |run, rows| {
        while let Some(at) = wanted.get(places.len()).filter(|at| **at < rows.end) {
            let within = at.checked_sub(rows.start)?;
            let is_value = run.at(within)? == 1;
            places.push(is_value.then(|| values + run.ones(within)));
        }
        values += run.ones(rows.len());
        Some(places.len() < wanted.len())
    })?;
    (places.len() == wanted.len()).then_some(places)
}

/// The numbers at `wanted`, which rise, of `count` numbers of `width` bits.
pub(in crate::spans) fn numbers(
    bytes: &[u8],
    width: u8,
    count: usize,
    wanted: &[usize],
) -> Option<Vec<u32>> {
    let mut numbers = Vec::with_capacity(wanted.len());
    walk(bytes, width, count, |run, rows| {
        while let Some(at) = wanted.get(numbers.len()).filter(|at| **at < rows.end) {
            numbers.push(run.at(at.checked_sub(rows.start)?)?);
        }
        Some(numbers.len() < wanted.len())
    })?;
    (numbers.len() == wanted.len()).then_some(numbers)
}

/// Hands the places of the wanted ones of `count` numbers of `width` bits to `visit`; `None` where the bytes are too few.
pub(in crate::spans) fn matching(
    bytes: &[u8],
    width: u8,
    count: usize,
    is_wanted: impl Fn(u32) -> bool,
    mut visit: impl FnMut(usize),
) -> Option<()> {
    walk(bytes, width, count, |run, rows| {
        match run {
            Run::Equal(number) if is_wanted(number) => rows.for_each(&mut visit),
            Run::Equal(_) => {}
            // Most numbers of many values take two bytes.
            Run::Packed { bytes, width: 16 } => {
                let numbers = bytes.chunks_exact(2).take(rows.len());
                if numbers.len() < rows.len() {
                    return None;
                }
                for (row, number) in rows.zip(numbers) {
                    let number =
                        number.first_chunk().map_or(0, |number| u16::from_le_bytes(*number));
                    if is_wanted(number.into()) {
                        visit(row);
                    }
                }
            }
            Run::Packed { bytes, width } => {
                let mut row = rows.start;
                unpack(bytes, width, rows.len(), &mut |number, _| {
                    if is_wanted(number) {
                        visit(row);
                    }
                    row += 1;
                    Some(())
                })?;
            }
        }
        Some(true)
    })
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
        let header = varint(&mut bytes)?;
        let length = usize::try_from(header >> 1).ok()?;
        let (run, length) = if header & 1 == 0 {
            let (number, rest) = bytes.split_at_checked(usize::from(width).div_ceil(8))?;
            bytes = rest;
            let mut wide = [0; 4];
            wide[..number.len()].copy_from_slice(number);
            (Run::Equal(u32::from_le_bytes(wide)), length)
        } else {
            let packed = length.checked_mul(usize::from(width))?.min(bytes.len());
            let (packed, rest) = bytes.split_at(packed);
            bytes = rest;
            (Run::Packed { bytes: packed, width }, length.checked_mul(8)?)
        };
        // A run of none would never end.
        let length = length.min(count - next);
        if length == 0 {
            return None;
        }
        if !visit(run, next..next + length)? {
            return Some(());
        }
        next += length;
    }
    Some(())
}
