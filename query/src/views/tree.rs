//! The tree of one trace: who stands below whom, in one order, with self times.
use super::forest::{Caller, Trace};

/// No span above.
const TOP: u32 = u32::MAX;

/// Spans of a trace in the order of its tree: parents before their children, siblings by start. Each span has one
/// place. A span whose parent is missing is a top; so is the oldest span of a circle.
#[derive(Debug)]
pub(crate) struct Tree {
    above: Vec<u32>,
    /// Where each span's children start in `below`; one more at the end.
    starts: Vec<u32>,
    below: Vec<u32>,
    order: Vec<u32>,
}

impl Tree {
    /// The tree of `trace`.
    pub(crate) fn of(trace: &Trace<'_>) -> Self {
        let mut by_age: Vec<u32> = (0..trace.len()).collect();
        by_age.sort_unstable_by(|a, b| trace.compare_age(*a, *b));
        let above = parents(trace, &by_age);
        let (starts, below) = children(&above, &by_age);
        let mut tree = Self { above, starts, below, order: Vec::with_capacity(by_age.len()) };
        let tops = by_age.iter().rev().filter(|own| tree.above[**own as usize] == TOP);
        let mut waiting: Vec<u32> = tops.copied().collect();
        while let Some(own) = waiting.pop() {
            tree.order.push(own);
            waiting.extend(tree.children(own).iter().rev());
        }
        tree
    }

    /// The span above `own`.
    pub(crate) fn above(&self, own: u32) -> Option<u32> {
        Some(self.above[own as usize]).filter(|above| *above != TOP)
    }

    /// The spans right below `own`, by start.
    pub(crate) fn children(&self, own: u32) -> &[u32] {
        let (own, starts) = (own as usize, &self.starts);
        &self.below[starts[own] as usize..starts[own + 1] as usize]
    }

    /// All spans, parents before children.
    pub(crate) fn order(&self) -> &[u32] {
        &self.order
    }

    /// Of each span, how far down it stands (tops: 0) and how many stand below it.
    pub(crate) fn extents(&self) -> Vec<Extent> {
        let mut extents = vec![Extent { place: 0, depth: 0, below: 0 }; self.order.len()];
        for (place, own) in (0u32..).zip(&self.order) {
            let depth = self.above(*own).map_or(0, |above| extents[above as usize].depth + 1);
            extents[*own as usize] = Extent { place, depth, below: 0 };
        }
        for own in self.order.iter().rev() {
            if let Some(above) = self.above(*own) {
                extents[above as usize].below += extents[*own as usize].below + 1;
            }
        }
        extents
    }

    /// Time within the span at `own` in which no child of it ran, in nanoseconds.
    pub(crate) fn self_nano(&self, trace: &Trace<'_>, own: u32) -> i64 {
        let span = trace.span(own);
        let (mut covered, mut until) = (0i64, span.start);
        for child in self.children(own).iter().map(|child| trace.span(*child)) {
            let (from, end) = (child.start.max(until), child.end().min(span.end()));
            if end > from {
                covered += end - from;
                until = end;
            }
        }
        span.duration - covered
    }
}

/// Where a span stands in its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Position in [`Tree::order`].
    pub(crate) place: u32,
    /// Spans above.
    pub(crate) depth: u32,
    /// Spans below.
    pub(crate) below: u32,
}

impl Extent {
    /// Its nested-set numbers: what stands below has both of its own between these two.
    pub(crate) fn nested(self) -> (i64, i64) {
        // Every span passed on the way was entered, all but those above were left again.
        let left = 2 * i64::from(self.place) - i64::from(self.depth) + 1;
        (left, left + 2 * i64::from(self.below) + 1)
    }
}

/// The span above each one.
fn parents(trace: &Trace<'_>, by_age: &[u32]) -> Vec<u32> {
    let mut above: Vec<u32> = (0..trace.len())
        .map(|own| match trace.caller(own) {
            Caller::Known(caller) => caller,
            Caller::Root | Caller::Missing => TOP,
        })
        .collect();
    // Who was on the way up from which start: meeting one's own way again is a circle. The oldest spans go first, and of
    // those on a circle the first one to be reached twice is where it is opened.
    let mut seen = vec![TOP; above.len()];
    for start in by_age {
        let mut at = *start;
        while seen[at as usize] == TOP {
            seen[at as usize] = *start;
            match above[at as usize] {
                TOP => break,
                next if seen[next as usize] == *start => {
                    open_circle(trace, &mut above, next);
                    break;
                }
                next => at = next,
            }
        }
    }
    above
}

/// Makes the oldest span of the circle that `member` lies on a top.
fn open_circle(trace: &Trace<'_>, above: &mut [u32], member: u32) {
    let (mut oldest, mut at) = (member, above[member as usize]);
    while at != member {
        if trace.compare_age(at, oldest).is_lt() {
            oldest = at;
        }
        at = above[at as usize];
    }
    above[oldest as usize] = TOP;
}

/// Children of each span, by age: where they start, and all of them.
fn children(above: &[u32], by_age: &[u32]) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; above.len() + 1];
    for parent in above.iter().filter(|parent| **parent != TOP) {
        starts[*parent as usize + 1] += 1;
    }
    for own in 1..starts.len() {
        starts[own] += starts[own - 1];
    }
    let mut next = starts.clone();
    let mut below = vec![0; starts.last().copied().unwrap_or(0) as usize];
    for own in by_age.iter().filter(|own| above[**own as usize] != TOP) {
        let slot = &mut next[above[*own as usize] as usize];
        below[*slot as usize] = *own;
        *slot += 1;
    }
    (starts, below)
}

#[cfg(test)]
pub(crate) mod tests;
