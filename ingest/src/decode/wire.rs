//! Protobuf wire format, read in place: tags, varints, lengths. Knows no message.
use std::fmt;

/// Groups (a form that OTLP never used) are skipped up to this depth.
const GROUP_DEPTH_MAX: u32 = 32;

/// Why bytes are not a request, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cold]
pub(crate) fn malformed<T>(words: &str) -> Result<T, Malformed> {
    Err(Malformed(words.to_owned()))
}

/// The value of one field as it is on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
    Group,
}

/// Bytes behind their length of one byte, and what follows; `None` for any other shape.
#[inline(always)]
pub(crate) fn short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    if length < 0x80 { rest.split_at_checked(usize::from(length)) } else { None }
}

/// As [`short`], also behind a length of two bytes, which nearly every span has.
#[inline(always)]
fn medium(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&low, rest) = bytes.split_first()?;
    if low < 0x80 {
        return rest.split_at_checked(usize::from(low));
    }
    let (&high, rest) = rest.split_first()?;
    let length = usize::from(low & 0x7f) | usize::from(high) << 7;
    if high < 0x80 { rest.split_at_checked(length) } else { None }
}

/// Reads the fields of one message in order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The bytes that have not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field with its number, `None` at the end.
    ///
    /// Nearly all fields have a tag of one byte, and a number of one byte or eight, or a length of one or two: these are read where the
    /// caller stands, so that nothing goes through memory; the others by [`Self::any`].
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Field<'a>)>, Malformed> {
        let Some((&tag, after)) = self.rest.split_first() else { return Ok(None) };
        if (8..0x80).contains(&tag) {
            let field = match tag & 7 {
                0 => after
                    .split_first()
                    .filter(|(byte, _)| **byte < 0x80)
                    .map(|(byte, rest)| (Field::Varint(u64::from(*byte)), rest)),
                1 => after
                    .split_first_chunk()
                    .map(|(bytes, rest)| (Field::Fixed64(u64::from_le_bytes(*bytes)), rest)),
                2 => medium(after).map(|(bytes, rest)| (Field::Bytes(bytes), rest)),
                _ => None,
            };
            if let Some((field, rest)) = field {
                self.rest = rest;
                return Ok(Some((u32::from(tag >> 3), field)));
            }
        }
        self.any().map(Some)
    }

    /// The next field of any shape; there is one.
    #[inline(never)]
    fn any(&mut self) -> Result<(u32, Field<'a>), Malformed> {
        let (number, wire_type) = self.tag()?;
        let field = match wire_type {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => Field::Bytes(self.bytes()?),
            5 => Field::Fixed32(u32::from_le_bytes(self.array()?)),
            3 => {
                self.skip_group(number, GROUP_DEPTH_MAX)?;
                Field::Group
            }
            _ => return malformed("protobuf: a field has an unknown wire type"),
        };
        Ok((number, field))
    }

    #[inline]
    fn tag(&mut self) -> Result<(u32, u32), Malformed> {
        let tag = self.varint()?;
        let Ok(tag) = u32::try_from(tag) else {
            return malformed("protobuf: a field number is too large");
        };
        if tag >> 3 == 0 {
            return malformed("protobuf: a field has the number 0");
        }
        Ok((tag >> 3, tag & 7))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Malformed> {
        match self.rest.split_first() {
            Some((&byte, rest)) if byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for (index, &byte) in self.rest.iter().take(10).enumerate() {
            if index == 9 && byte > 1 {
                return malformed("protobuf: a number has more than 64 bits");
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        malformed("protobuf: the body ends within a number")
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.varint()?;
        match usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length)) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => malformed("protobuf: a length reaches beyond its message"),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        match self.rest.split_first_chunk::<N>() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(*bytes)
            }
            None => malformed("protobuf: the body ends within a number"),
        }
    }

    /// Reads past the end of group `number`, whose start tag has been read.
    fn skip_group(&mut self, number: u32, depth: u32) -> Result<(), Malformed> {
        if depth == 0 {
            return malformed("protobuf: groups are nested too deeply");
        }
        loop {
            let (inner, wire_type) = self.tag()?;
            match wire_type {
                0 => drop(self.varint()?),
                1 => drop(self.array::<8>()?),
                2 => drop(self.bytes()?),
                3 => self.skip_group(inner, depth - 1)?,
                4 if inner == number => return Ok(()),
                5 => drop(self.array::<4>()?),
                _ => return malformed("protobuf: a group does not end"),
            }
        }
    }
}
