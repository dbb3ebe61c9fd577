//! Gzip bodies of one member, inflated in one go: half the time of a stream's (docs/decisions/0006-shared-strings.md).
use libdeflater::Decompressor;

use super::flight::Held;
use crate::Result;

/// Header and trailer of a member.
const FRAME_BYTES_MIN: usize = 18;
/// What a member begins with: RFC 1952's two bytes, and deflate as the method.
const MAGIC: &[u8] = b"\x1f\x8b\x08";

/// The plain body, where `body` is one member that tells its size truly and at most `limit_bytes`; `None` for anything
/// else, which is not wrong for that: another reader decides.
pub(super) fn inflate_whole(
    body: &[u8],
    limit_bytes: usize,
    held: &mut Held,
) -> Result<Option<Vec<u8>>> {
    let Some(plain_len) = plain_len(body).filter(|len| *len <= limit_bytes) else {
        return Ok(None);
    };
    let before = held.bytes();
    held.grow(plain_len)?;
    let mut plain = vec![0; plain_len];
    if Decompressor::new().gzip_decompress(body, &mut plain) == Ok(plain_len) {
        return Ok(Some(plain));
    }
    held.shrink_to(before);
    Ok(None)
}

/// What the trailer says; `None` where there may be a second member: the first would be read and the others be lost.
fn plain_len(body: &[u8]) -> Option<usize> {
    let (frame, rest) = body.split_at_checked(FRAME_BYTES_MIN)?;
    let (_, size) = body.split_last_chunk::<4>()?;
    let single = frame.starts_with(MAGIC) && memchr::memmem::find(rest, MAGIC).is_none();
    single.then(|| usize::try_from(u32::from_le_bytes(*size)).ok()).flatten()
}

#[cfg(test)]
mod tests;
