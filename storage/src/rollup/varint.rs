//! Whole numbers in few bytes: seven bits a byte, the lowest first; signed ones with the sign in the lowest bit.

/// Writes a number.
#[inline]
pub(super) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(low_seven(number) | 0x80);
        number >>= 7;
    }
    bytes.push(low_seven(number));
}

fn low_seven(number: u64) -> u8 {
    number.to_le_bytes()[0] & 0x7f
}

/// Writes a signed number.
pub(super) fn put_signed(bytes: &mut Vec<u8>, number: i64) {
    put(bytes, (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned());
}

/// Writes a wide number.
pub(super) fn put_wide(bytes: &mut Vec<u8>, number: i128) {
    let mut rest = (number.cast_unsigned() << 1) ^ (number >> 127).cast_unsigned();
    while rest >= 0x80 {
        bytes.push((rest.to_le_bytes()[0] & 0x7f) | 0x80);
        rest >>= 7;
    }
    bytes.push(rest.to_le_bytes()[0]);
}

/// Reads numbers; `None` at the end, and for what is no number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes not read yet.
    pub(super) fn rest(&self) -> usize {
        self.bytes.len()
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    #[inline]
    pub(super) fn number(&mut self) -> Option<u64> {
        let (first, rest) = self.bytes.split_first()?;
        if *first < 0x80 {
            self.bytes = rest;
            return Some(u64::from(*first));
        }
        self.long()
    }

    fn long(&mut self) -> Option<u64> {
        u64::try_from(self.bits(u64::BITS)?).ok()
    }

    /// A number of at most `bits` bits.
    fn bits(&mut self, bits: u32) -> Option<u128> {
        let mut number = 0u128;
        for shift in (0..bits).step_by(7) {
            let (byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            number |= u128::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    pub(super) fn wide(&mut self) -> Option<i128> {
        let number = self.bits(u128::BITS)?;
        Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// The next `count` numbers, which mostly have a byte each.
    #[inline]
    pub(super) fn each(&mut self, count: usize, each: &mut impl FnMut(u64)) -> Option<()> {
        let mut left = count;
        while left > 0 {
            let short = self.bytes.iter().take(left).take_while(|byte| **byte < 0x80).count();
            for byte in self.take(short)? {
                each(u64::from(*byte));
            }
            left -= short;
            if left > 0 {
                each(self.number()?);
                left -= 1;
            }
        }
        Some(())
    }

    /// A count that fits into memory: of things that take at least a byte each.
    pub(super) fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }
}
