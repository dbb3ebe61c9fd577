//! JSON text of any size, walked byte by byte: finds where values begin and end without parsing what is inside them.
use super::PIECE_BYTES_MAX;
use super::stream::Input;
use crate::{Error, Result};

/// A position in JSON text.
pub(super) struct Scanner {
    input: Input,
}

impl Scanner {
    pub(super) fn new(input: Input) -> Self {
        Self { input }
    }

    pub(super) fn offset(&self) -> u64 {
        self.input.offset()
    }

    /// Takes the next byte that is not white space, a byte order mark or a record separator.
    pub(super) fn next_byte(&mut self) -> Result<Option<u8>> {
        loop {
            match self.input.byte()? {
                Some(b' ' | b'\t' | b'\r' | b'\n' | 0x1e | 0xef | 0xbb | 0xbf) => {}
                byte => return Ok(byte),
            }
        }
    }

    /// Takes a key (its quote has been taken) and the colon after it. The key comes with its quotes.
    pub(super) fn key(&mut self) -> Result<Vec<u8>> {
        let mut key = vec![b'"'];
        self.rest_of_string(&mut key)?;
        if self.next_byte()? != Some(b':') {
            return Err(self.unexpected());
        }
        Ok(key)
    }

    /// Copies one value of any kind to `out`, which must not grow beyond [`PIECE_BYTES_MAX`].
    pub(super) fn value(&mut self, out: &mut Vec<u8>) -> Result<()> {
        match self.next_byte()? {
            Some(b'"') => {
                out.push(b'"');
                self.rest_of_string(out)
            }
            Some(open @ (b'{' | b'[')) => {
                out.push(open);
                self.rest_of_nested(out)
            }
            Some(first) if is_of_word(first) => {
                out.push(first);
                self.rest_of_word(out)
            }
            Some(_) => Err(self.unexpected()),
            None => Err(self.cut_off()),
        }
    }

    /// Reads over one value of any kind and any size.
    pub(super) fn skip_value(&mut self) -> Result<()> {
        match self.next_byte()? {
            Some(b'"') => {
                let mut ends = string_end();
                self.until(&mut ends, &mut |_| Ok(()))
            }
            Some(b'{' | b'[') => {
                let mut ends = nested_end();
                self.until(&mut ends, &mut |_| Ok(()))
            }
            Some(first) if is_of_word(first) => self.rest_of_word(&mut Vec::new()),
            Some(_) => Err(self.unexpected()),
            None => Err(self.cut_off()),
        }
    }

    /// Takes what is left of a literal such as `null`.
    pub(super) fn literal(&mut self, rest: &[u8]) -> Result<()> {
        for &expected in rest {
            if self.input.byte()? != Some(expected) {
                return Err(self.unexpected());
            }
        }
        Ok(())
    }

    /// Copies to the end of an object or array whose opening byte is in `out`.
    pub(super) fn rest_of_nested(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.until(&mut nested_end(), &mut |bytes| append(out, bytes))
    }

    fn rest_of_string(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.until(&mut string_end(), &mut |bytes| append(out, bytes))
    }

    /// Copies a number, `true`, `false` or `null`, up to (not including) what follows it.
    fn rest_of_word(&mut self, out: &mut Vec<u8>) -> Result<()> {
        while let Some(&byte) = self.input.peek()?.first() {
            if !is_of_word(byte) {
                break;
            }
            append(out, &[byte])?;
            self.input.take(1);
        }
        Ok(())
    }

    /// Hands over bytes up to and including the first for which `ends` says so.
    fn until(
        &mut self,
        ends: &mut dyn FnMut(u8) -> bool,
        out: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        loop {
            let bytes = self.input.peek()?;
            if bytes.is_empty() {
                return Err(self.cut_off());
            }
            let end = bytes.iter().position(|&byte| ends(byte));
            let length = end.map_or(bytes.len(), |index| index + 1);
            out(&bytes[..length])?;
            self.input.take(length);
            if end.is_some() {
                return Ok(());
            }
        }
    }

    pub(super) fn cut_off(&self) -> Error {
        let at = self.input.offset();
        Error::Malformed(format!(
            "the file ends within a JSON value, at byte {at}; was it cut off?"
        ))
    }

    pub(super) fn unexpected(&self) -> Error {
        let at = self.input.offset();
        Error::Malformed(format!("the JSON goes wrong at byte {at} of the file"))
    }
}

fn append(out: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    if out.len() + bytes.len() > PIECE_BYTES_MAX {
        return Err(Error::TooLarge { limit_bytes: PIECE_BYTES_MAX });
    }
    out.extend_from_slice(bytes);
    Ok(())
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// Says true at the quote that ends a string whose first quote has been taken.
fn string_end() -> impl FnMut(u8) -> bool {
    let mut escaped = false;
    move |byte| {
        let end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        end
    }
}

/// Says true at the bracket that ends an object or array whose first one has been taken.
fn nested_end() -> impl FnMut(u8) -> bool {
    let (mut depth, mut in_string, mut escaped) = (1u64, false, false);
    move |byte| {
        if in_string {
            (in_string, escaped) = match byte {
                _ if escaped => (true, false),
                b'\\' => (true, true),
                b'"' => (false, false),
                _ => (true, false),
            };
            return false;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        depth == 0
    }
}
