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
