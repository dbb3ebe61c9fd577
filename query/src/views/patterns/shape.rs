//! The shape of one trace: its places, their hashes, a short text.
use hashbrown::HashSet;
use xxhash_rust::xxh3::xxh3_64;

use crate::views::forest::{Caller, Forest, Trace};
use crate::views::tree::Tree;

/// What the places of tops hang below.
const ROOT: u64 = 0;
/// The same of spans whose parent is missing.
const MISSING: u64 = 1;
/// A shape's text ends here.
const TEXT_BYTES_MAX: usize = 400;

/// Hashes of a forest's texts, each made once.
#[derive(Debug, Default)]
pub(crate) struct Hashes(Vec<Option<u64>>);

impl Hashes {
    fn of(&mut self, forest: &Forest, text: u32) -> u64 {
        let at = text as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, None);
        }
        *self.0[at].get_or_insert_with(|| xxh3_64(forest.texts.text(text).as_bytes()))
    }
}

/// One place of a shape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Of the way to it.
    pub(crate) hash: u64,
    /// A span that stands here.
    pub(crate) span: u32,
    /// Spans here.
    pub(crate) spans: u32,
    /// Tops have 1.
    pub(crate) depth: u32,
}

/// See [`super`].
#[derive(Debug)]
pub(crate) struct Shape {
    /// The hash of the whole.
    pub(crate) pattern: u64,
    /// By hash.
    pub(crate) places: Vec<Place>,
    /// Position in `places` of each span.
    pub(crate) place_of: Vec<u32>,
    /// Position of the place above each one.
    pub(crate) above: Vec<Option<u32>>,
}

impl Shape {
    /// The shape of `trace`.
    pub(crate) fn of(forest: &Forest, trace: &Trace<'_>, tree: &Tree, hashes: &mut Hashes) -> Self {
        let mut ways = vec![(0u64, 0u32); trace.len() as usize];
        for own in tree.order() {
            let (above, depth) = match tree.above(*own) {
                Some(above) => ways[above as usize],
                None if trace.caller(*own) == Caller::Root => (ROOT, 0),
                None => (MISSING, 0),
            };
            let span = trace.span(*own);
            let (service, name) = (hashes.of(forest, span.service), hashes.of(forest, span.name));
            ways[*own as usize] = (joined([above, service, name]), depth + 1);
        }
        let mut shape =
            Self { pattern: 0, places: Vec::new(), place_of: Vec::new(), above: Vec::new() };
        shape.fold(&ways);
        shape.above = shape
            .places
            .iter()
            .map(|place| tree.above(place.span).map(|above| shape.place_of[above as usize]))
            .collect();
        shape
    }

    fn fold(&mut self, ways: &[(u64, u32)]) {
        let mut by_hash: Vec<(u64, u32)> =
            (0u32..).zip(ways).map(|(own, (hash, _))| (*hash, own)).collect();
        by_hash.sort_unstable();
        self.place_of = vec![0; ways.len()];
        let mut bytes = Vec::with_capacity(ways.len() * 9);
        for same in by_hash.chunk_by(|a, b| a.0 == b.0) {
            let (hash, span) = same[0];
            let spans = u32::try_from(same.len()).unwrap_or(u32::MAX);
            let position = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
            for (_, own) in same {
                self.place_of[*own as usize] = position;
            }
            self.places.push(Place { hash, span, spans, depth: ways[span as usize].1 });
            bytes.extend_from_slice(&hash.to_le_bytes());
            bytes.push(class(spans));
        }
        self.pattern = xxh3_64(&bytes);
    }

    /// Different services.
    pub(crate) fn services(&self, trace: &Trace<'_>) -> i64 {
        let services: HashSet<u32> =
            self.places.iter().map(|place| trace.span(place.span).service).collect();
        super::count(services.len())
    }

    /// `web: GET /cart (cart: Get (SELECT carts ×3-5))`: children in parentheses, a service only where it changes.
    pub(crate) fn text(&self, forest: &Forest, trace: &Trace<'_>) -> String {
        let mut below: Vec<Vec<u32>> = vec![Vec::new(); self.places.len() + 1];
        for (place, above) in (0u32..).zip(&self.above) {
            let above = above.map_or(self.places.len(), |above| above as usize);
            below[above].push(place);
        }
        let words = |place: &u32| {
            let span = trace.span(self.places[*place as usize].span);
            (forest.texts.text(span.service), forest.texts.text(span.name))
        };
        for children in &mut below {
            children.sort_by(|a, b| words(a).cmp(&words(b)));
        }
        let mut text = String::new();
        let writer = Writer { shape: self, below: &below, words: &words };
        writer.write(&mut text, self.places.len(), "");
        text
    }
}

struct Writer<'a> {
    shape: &'a Shape,
    below: &'a [Vec<u32>],
    words: &'a dyn Fn(&u32) -> (&'a str, &'a str),
}

impl Writer<'_> {
    /// Writes the places below `at`. Each level adds some text, so the text's limit is one of the nesting, too.
    fn write(&self, text: &mut String, at: usize, service_above: &str) {
        for (number, place) in self.below[at].iter().enumerate() {
            if text.len() > TEXT_BYTES_MAX {
                if !text.ends_with('…') {
                    text.push('…');
                }
                return;
            }
            text.push_str(if number > 0 { ", " } else { "" });
            let (service, name) = (self.words)(place);
            if service != service_above {
                text.push_str(service);
                text.push_str(": ");
            }
            text.extend(name.chars().take(80));
            let (low, high) = bounds(class(self.shape.places[*place as usize].spans));
            match (low, high) {
                (1, 1) => {}
                (low, high) if low == high => text.push_str(&format!(" ×{low}")),
                (low, high) => text.push_str(&format!(" ×{low}-{high}")),
            }
            if !self.below[*place as usize].is_empty() {
                text.push_str(" (");
                self.write(text, *place as usize, service);
                text.push(')');
            }
        }
    }
}

fn joined(parts: [u64; 3]) -> u64 {
    let mut bytes = [0u8; 24];
    for (slot, part) in bytes.chunks_exact_mut(8).zip(parts) {
        slot.copy_from_slice(&part.to_le_bytes());
    }
    xxh3_64(&bytes)
}

/// The class of a number of spans: its binary logarithm, rounded. 1, 2, 3 to 5, 6 to 11, 12 to 22, 23 to 45, ...
pub(crate) fn class(spans: u32) -> u8 {
    let floor = spans.max(1).ilog2();
    let above = u64::from(spans).pow(2) >= 1 << (2 * floor + 1);
    u8::try_from(floor).unwrap_or(u8::MAX).saturating_add(u8::from(above))
}

/// The smallest and the largest number of a class.
pub(crate) fn bounds(class: u8) -> (i64, i64) {
    let root = |exponent: u32| i64::try_from((1u64 << exponent).isqrt()).unwrap_or(i64::MAX);
    let double = 2 * u32::from(class.min(31));
    let low = if double == 0 { 1 } else { root(double - 1) + 1 };
    (low, root(double + 1))
}
