//! Run lengths and bit-packed groups: how Parquet stores keys and levels.

/// Hands `count` numbers of `width` bits to `visit`, in runs of equal ones; `None` where the bytes are too few, or
/// `visit` said so.
pub(super) fn each_run(
    mut bytes: &[u8],
    width: u8,
    mut count: usize,
    mut visit: impl FnMut(u32, usize) -> Option<()>,
) -> Option<()> {
    if width > 32 {
        return None;
    }
    while count > 0 {
        let header = varint(&mut bytes)?;
        let length = usize::try_from(header >> 1).ok()?;
        if header & 1 == 0 {
            let (number, rest) = bytes.split_at_checked(usize::from(width).div_ceil(8))?;
            bytes = rest;
            let mut wide = [0; 4];
            wide[..number.len()].copy_from_slice(number);
            let length = length.min(count);
            // A run of none would never end.
            if length == 0 {
                return None;
            }
            visit(u32::from_le_bytes(wide), length)?;
            count -= length;
        } else {
            let packed = length.checked_mul(usize::from(width))?.min(bytes.len());
            let (packed, rest) = bytes.split_at(packed);
            bytes = rest;
            let length = length.checked_mul(8)?.min(count);
            if length == 0 {
                return None;
            }
            unpack(packed, width, length, &mut visit)?;
            count -= length;
        }
    }
    Some(())
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
        let from = &packed[bit / 8..];
        let word = match from.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => {
                let mut word = [0; 8];
                word[..from.len()].copy_from_slice(from);
                u64::from_le_bytes(word)
            }
        };
        visit(low(word >> (bit % 8)), 1)?;
    }
    Some(())
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
