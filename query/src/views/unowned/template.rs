//! The shape of a path: what differs from request to request folded.

/// Pieces that are looked at.
const PIECES_MAX: usize = 8;
/// A piece's text ends here.
const PIECE_CHARS_MAX: usize = 40;

/// `https://shop.example/orders/4711/items?x=1` -> `/orders/{number}/items`: without host and query; numbers are
/// `{number}`, identifiers (hex with a digit, long pieces with a digit, anything with an `@`) `{id}`.
pub(super) fn of(path: &str) -> String {
    let path = match path.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => path,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let pieces: Vec<&str> = path.split('/').filter(|piece| !piece.is_empty()).collect();
    let mut template = String::new();
    for piece in pieces.iter().take(PIECES_MAX) {
        template.push('/');
        match kind(piece) {
            Kind::Number => template.push_str("{number}"),
            Kind::Id => template.push_str("{id}"),
            Kind::Word => template.extend(piece.chars().take(PIECE_CHARS_MAX)),
        }
    }
    if pieces.len() > PIECES_MAX {
        template.push_str("/…");
    }
    if template.is_empty() {
        template.push('/');
    }
    template
}

enum Kind {
    Number,
    Id,
    Word,
}

fn kind(piece: &str) -> Kind {
    let digits = piece.bytes().filter(u8::is_ascii_digit).count();
    let is_hex = piece.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if digits == piece.len() {
        Kind::Number
    } else if piece.contains('@') || digits > 0 && (is_hex && piece.len() >= 6 || piece.len() >= 20)
    {
        Kind::Id
    } else {
        Kind::Word
    }
}
