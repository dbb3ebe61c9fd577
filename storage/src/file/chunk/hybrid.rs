//! Parquet's hybrid of run lengths and bit packing, for levels and dictionary keys.
//!
//! <https://github.com/apache/parquet-format/blob/master/Encodings.md#run-length-encoding--bit-packing-hybrid-rle--3>

/// Bit-packed values come in groups of this size.
const GROUP: usize = 8;
/// Values of one bit-packed run, so that its header is one byte, as in the files of other writers.
const PACKED_MAX: usize = 63 * GROUP;

/// Encodes numbers of at most `width` bits, given as runs.
pub(super) struct Hybrid<'a> {
    out: &'a mut Vec<u8>,
    width: u32,
    /// Shorter runs are packed: their header would cost more than it saves.
    run_min: usize,
    packed: [u32; PACKED_MAX],
    count: usize,
}

/// Bits that numbers from 0 to `largest` need.
pub(super) fn width_of(largest: u32) -> u32 {
    u32::BITS - largest.leading_zeros()
}

impl<'a> Hybrid<'a> {
    /// Appends to `out`.
    pub(super) fn new(out: &'a mut Vec<u8>, width: u32) -> Self {
        // A run costs its header, its value and the header of the packed values that follow.
        let run_bytes = 3 + width.div_ceil(8) as usize;
        let groups = if width == 0 { 1 } else { run_bytes / width as usize + 1 };
        Self { out, width, run_min: groups * GROUP, packed: [0; PACKED_MAX], count: 0 }
    }

    /// Appends `value`, `length` times.
    #[inline]
    pub(super) fn push(&mut self, value: u32, mut length: usize) {
        if length == 1 {
            // What most columns consist of.
            self.packed[self.count] = value;
            self.count += 1;
            if self.count == PACKED_MAX {
                self.flush();
            }
            return;
        }
        let missing = self.count.next_multiple_of(GROUP) - self.count;
        if length >= missing + self.run_min {
            self.pack(value, missing);
            length -= missing;
            self.flush();
            self.run(value, length);
            return;
        }
        self.pack(value, length);
    }

    /// Writes what is not written yet.
    pub(super) fn finish(mut self) {
        self.flush();
    }

    fn run(&mut self, value: u32, length: usize) {
        write_varint(self.out, (length as u64) << 1);
        let bytes = self.width.div_ceil(8) as usize;
        self.out.extend_from_slice(&value.to_le_bytes()[..bytes]);
    }

    #[inline]
    fn pack(&mut self, value: u32, mut length: usize) {
        while length > 0 {
            let fits = length.min(PACKED_MAX - self.count);
            self.packed[self.count..self.count + fits].fill(value);
            self.count += fits;
            length -= fits;
            if self.count == PACKED_MAX {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        if self.count == 0 {
            return;
        }
        let padded = self.count.next_multiple_of(GROUP);
        self.packed[self.count..padded].fill(0);
        write_varint(self.out, ((padded / GROUP) as u64) << 1 | 1);
        pack_bits(self.out, &self.packed[..padded], self.width);
        self.count = 0;
    }
}

fn pack_bits(out: &mut Vec<u8>, values: &[u32], width: u32) {
    let (mut bits, mut held) = (0u64, 0u32);
    for value in values {
        bits |= u64::from(*value) << held;
        held += width;
        if held >= u32::BITS {
            let [a, b, c, d, ..] = bits.to_le_bytes();
            out.extend_from_slice(&[a, b, c, d]);
            bits >>= u32::BITS;
            held -= u32::BITS;
        }
    }
    let bytes = held.div_ceil(8) as usize; // whole bytes: the values are a multiple of 8
    out.extend_from_slice(&bits.to_le_bytes()[..bytes]);
}

fn write_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}
