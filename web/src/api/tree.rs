//! Spans of one trace as a tree: who stands below whom, in which order, and what is missing.
//!
//! Nothing here trusts the data: span ids may repeat, parents may be missing or form circles, chains may be as long
//! as the trace. Each span has exactly one place.
use std::collections::{BTreeSet, HashMap};

/// What the tree needs of a span.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node<'a> {
    pub(crate) id: &'a str,
    pub(crate) parent: Option<&'a str>,
    pub(crate) start: i64,
    pub(crate) duration: i64,
    /// SERVER or CONSUMER.
    pub(crate) is_callee: bool,
}

/// The result: rows by their place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tree {
    /// Each row once, parents before children, siblings by start.
    pub(crate) order: Vec<usize>,
    /// Depth of each row, by row.
    pub(crate) depths: Vec<i32>,
    /// Ids that are somebody's parent but no span's.
    pub(crate) missing: Vec<String>,
    /// The span without a parent (the earliest, should there be several).
    pub(crate) root: Option<usize>,
}

impl Tree {
    pub(crate) fn of(nodes: &[Node<'_>]) -> Self {
        let (parents, missing) = parents(nodes);
        let mut children = vec![Vec::new(); nodes.len()];
        let mut tops = Vec::new();
        let mut by_start: Vec<usize> = (0..nodes.len()).collect();
        by_start.sort_by_key(|row| (nodes[*row].start, *row));
        for row in &by_start {
            match parents[*row] {
                Some(parent) => children[parent].push(*row),
                None => tops.push(*row),
            }
        }
        let mut walk = Walk { children, order: Vec::new(), depths: vec![-1; nodes.len()] };
        // What is left after the tops hangs below a circle: its earliest span is taken for a top.
        for top in tops.into_iter().chain(by_start.iter().copied()) {
            walk.below(top);
        }
        let root = by_start.into_iter().find(|row| nodes[*row].parent.is_none());
        let Walk { order, depths, .. } = walk;
        Self { order, depths, missing, root }
    }

    /// The root, or the earliest span in its place.
    pub(crate) fn head(&self, nodes: &[Node<'_>]) -> Option<usize> {
        let earliest = || (0..nodes.len()).min_by_key(|row| (nodes[*row].start, *row));
        self.root.or_else(earliest)
    }
}

struct Walk {
    children: Vec<Vec<usize>>,
    order: Vec<usize>,
    depths: Vec<i32>,
}

impl Walk {
    /// Places `top` and all below it, without recursion: chains may be a million long.
    fn below(&mut self, top: usize) {
        let mut waiting = vec![(top, 0)];
        while let Some((row, depth)) = waiting.pop() {
            if self.depths[row] >= 0 {
                continue;
            }
            self.depths[row] = depth;
            self.order.push(row);
            let children = self.children[row].iter().rev();
            waiting.extend(children.map(|child| (*child, depth + 1)));
        }
    }
}

/// The row that each row stands below, and the ids that no row has. Zipkin's shared ids: the callee stands below the
/// caller of the same id, and what names that id as its parent stands below the callee.
fn parents(nodes: &[Node<'_>]) -> (Vec<Option<usize>>, Vec<String>) {
    let mut callers: HashMap<&str, usize> = HashMap::with_capacity(nodes.len());
    let mut callees: HashMap<&str, usize> = HashMap::new();
    for (row, node) in nodes.iter().enumerate() {
        let side = if node.is_callee { &mut callees } else { &mut callers };
        side.entry(node.id).or_insert(row);
    }
    let mut missing = BTreeSet::new();
    let above = |(row, node): (usize, &Node<'_>)| {
        let named = node.parent.and_then(|id| callees.get(id).or_else(|| callers.get(id)));
        if named.is_none() {
            missing.extend(node.parent.map(str::to_owned));
        }
        let shared = callers.get(node.id).filter(|_| node.is_callee);
        shared.or(named).copied().filter(|parent| *parent != row)
    };
    let parents = nodes.iter().enumerate().map(above).collect();
    (parents, missing.into_iter().collect())
}

#[cfg(test)]
mod tests;
