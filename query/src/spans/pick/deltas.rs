//! DELTA_BINARY_PACKED: whole numbers as differences from the one before, in blocks of packed bits.

use crate::spans::pages::runs::word;

/// Hands the numbers at `wanted`, which rise, to `visit`; `None` where the bytes are no such page.
pub(super) fn each(bytes: &[u8], wanted: &[usize], mut visit: impl FnMut(i64)) -> Option<()> {
    let mut rest = bytes;
    let block = usize::try_from(number(&mut rest)?).ok()?;
    let parts = usize::try_from(number(&mut rest)?).ok()?;
    let count = usize::try_from(number(&mut rest)?).ok()?;
    let mut value = signed(&mut rest)?;
    let last = *wanted.last()?;
    if last >= count || parts == 0 || block % parts != 0 || !(block / parts).is_multiple_of(8) {
        return None;
    }
    let mut wanted = wanted.iter().copied().peekable();
    let mut at = 0;
    loop {
        while wanted.next_if_eq(&at).is_some() {
            visit(value);
        }
        if wanted.peek().is_none() {
            return Some(());
        }
        // At the beginning of a block.
        let least = signed(&mut rest)?;
        let (widths, behind) = rest.split_at_checked(parts)?;
        rest = behind;
        for width in widths {
            let values = block / parts;
            let packed = usize::from(*width).checked_mul(values)? / 8;
            let (packed, behind) = rest.split_at(packed.min(rest.len()));
            rest = behind;
            let mut bits = Bits { bytes: packed, width: *width };
            for place in 0..values {
                value = value.wrapping_add(least).wrapping_add(bits.at(place)?.cast_signed());
                at += 1;
                while wanted.next_if_eq(&at).is_some() {
                    visit(value);
                }
                if at >= last {
                    return Some(());
                }
            }
        }
    }
}

/// Appends the first `count` numbers to `numbers`; `None` where the bytes are no such page, or have fewer.
pub(in crate::spans) fn first(bytes: &[u8], count: usize, numbers: &mut Vec<i64>) -> Option<()> {
    let mut rest = bytes;
    let block = usize::try_from(number(&mut rest)?).ok()?;
    let parts = usize::try_from(number(&mut rest)?).ok()?;
    let all = usize::try_from(number(&mut rest)?).ok()?;
    let mut value = signed(&mut rest)?;
    if count > all
        || block == 0
        || parts == 0
        || block % parts != 0
        || !(block / parts).is_multiple_of(8)
    {
        return None;
    }
    if count == 0 {
        return Some(());
    }
    numbers.reserve(count);
    numbers.push(value);
    let mut left = count - 1;
    while left > 0 {
        let least = signed(&mut rest)?;
        let (widths, behind) = rest.split_at_checked(parts)?;
        rest = behind;
        for width in widths {
            let values = left.min(block / parts);
            add(rest, (*width, least), values, (&mut value, numbers))?;
            left -= values;
            let packed = usize::from(*width).checked_mul(block / parts)? / 8;
            rest = &rest[packed.min(rest.len())..];
        }
    }
    Some(())
}

/// Appends the next numbers: each is `value`, plus `least`, plus `width` bits of `packed`.
fn add(
    packed: &[u8],
    (width, least): (u8, i64),
    values: usize,
    (value, numbers): (&mut i64, &mut Vec<i64>),
) -> Option<()> {
    let bits = usize::from(width);
    let end = bits.checked_mul(values)?.div_ceil(8);
    if !(1..=56).contains(&bits) || packed.len() < end + 8 {
        let mut bits = Bits { bytes: &packed[..end.min(packed.len())], width };
        for place in 0..values {
            *value = value.wrapping_add(least).wrapping_add(bits.at(place)?.cast_signed());
            numbers.push(*value);
        }
        return Some(());
    }
    let mask = (1_u64 << bits) - 1;
    let mut next = *value;
    numbers.extend((0..values).map(|place| {
        let bit = place * bits;
        let delta = (word(&packed[bit / 8..]) >> (bit % 8)) & mask;
        next = next.wrapping_add(least).wrapping_add(delta.cast_signed());
        next
    }));
    *value = next;
    Some(())
}

struct Bits<'a> {
    bytes: &'a [u8],
    width: u8,
}

impl Bits<'_> {
    #[inline]
    fn at(&mut self, place: usize) -> Option<u64> {
        let width = usize::from(self.width);
        let bit = place * width;
        match width {
            0 => Some(0),
            1..=56 => {
                let word = word(self.bytes.get(bit / 8..)?);
                (bit + width <= self.bytes.len() * 8)
                    .then_some(word >> (bit % 8) & ((1 << width) - 1))
            }
            57..=64 => {
                let mut wide = [0; 16];
                let from = self.bytes.get(bit / 8..(bit + width).div_ceil(8))?;
                wide[..from.len()].copy_from_slice(from);
                let word = u128::from_le_bytes(wide) >> (bit % 8);
                u64::try_from(word & ((1 << width) - 1)).ok()
            }
            _ => None,
        }
    }
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if *byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn signed(bytes: &mut &[u8]) -> Option<i64> {
    let number = number(bytes)?;
    Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}
