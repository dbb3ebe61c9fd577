//! Figures by name: what rollups add up to.
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::figures::{Calls, EdgeKey, Operation, OperationKey, RootKey, Traces};
use super::weight::Weight;

/// Texts, each once.
#[derive(Debug, Clone, Default)]
pub struct Names {
    texts: Vec<Arc<str>>,
    keys: HashMap<Arc<str>, u32, RandomState>,
}

impl Names {
    /// The key of a text, new or known.
    pub fn key(&mut self, text: &str) -> u32 {
        if let Some(key) = self.keys.get(text) {
            return *key;
        }
        let key = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.keys.insert(text, key);
        key
    }

    /// The text of a key.
    pub fn text(&self, key: u32) -> &str {
        &self.texts[key as usize]
    }

    /// All texts, by key.
    pub fn texts(&self) -> &[Arc<str>] {
        &self.texts
    }
}

/// Figures by key; the texts of the keys are elsewhere.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// By operation.
    pub operations: HashMap<OperationKey, Operation, RandomState>,
    /// By edge.
    pub edges: HashMap<EdgeKey, Calls, RandomState>,
    /// By root operation.
    pub roots: HashMap<RootKey, Traces, RandomState>,
    /// Calls to something that has no name.
    pub unnamed: i64,
}

impl Figures {
    /// Rows in all.
    pub fn rows(&self) -> usize {
        self.operations.len() + self.edges.len() + self.roots.len()
    }

    /// True where nothing was counted.
    pub(super) fn is_empty(&self) -> bool {
        self.rows() == 0 && self.unnamed == 0
    }

    /// What it takes when it is stored, roughly.
    pub(super) fn bytes_about(&self) -> usize {
        const ROW: usize = 10;
        let operations = self.operations.values().map(|row| row.durations.bytes_about());
        let edges =
            self.edges.values().map(|row| row.caller.bytes_about() + row.callee.bytes_about());
        let roots = self.roots.values().map(|row| row.durations.bytes_about());
        self.rows() * ROW + operations.chain(edges).chain(roots).sum::<usize>()
    }

    /// Adds others that have the same keys.
    pub fn merge(&mut self, other: &Self) {
        self.merge_as(other, |key| key);
    }

    pub(super) fn merge_as(&mut self, other: &Self, own: impl Fn(u32) -> u32) {
        for (key, operation) in &other.operations {
            self.operations.entry(key.with(&own)).or_default().merge(operation);
        }
        for (key, calls) in &other.edges {
            self.edges.entry(key.with(&own)).or_default().merge(calls);
        }
        for (key, traces) in &other.roots {
            self.roots.entry(key.with(&own)).or_default().merge(traces);
        }
        self.unnamed += other.unnamed;
    }

    pub(super) fn subtract_as(&mut self, other: &Self, own: impl Fn(u32) -> u32) {
        for (key, operation) in &other.operations {
            self.operations.entry(key.with(&own)).or_default().subtract(operation);
        }
        for (key, calls) in &other.edges {
            self.edges.entry(key.with(&own)).or_default().subtract(calls);
        }
        for (key, traces) in &other.roots {
            self.roots.entry(key.with(&own)).or_default().subtract(traces);
        }
        self.unnamed -= other.unnamed;
        self.operations.retain(|_, row| row.spans != 0 || row.weight != Weight::default());
        self.edges.retain(|_, row| row.moved.calls != 0);
        self.roots.retain(|_, row| row.traces != 0);
    }
}

impl OperationKey {
    pub(crate) fn with(self, own: impl Fn(u32) -> u32) -> Self {
        Self { service: own(self.service), name: own(self.name), kind: self.kind }
    }
}

impl EdgeKey {
    pub(crate) fn with(self, own: impl Fn(u32) -> u32) -> Self {
        Self { caller: own(self.caller), callee: own(self.callee), kind: self.kind }
    }
}

impl RootKey {
    pub(crate) fn with(self, own: impl Fn(u32) -> u32) -> Self {
        Self { service: own(self.service), name: own(self.name) }
    }
}

/// Figures with the texts of their keys.
#[derive(Debug, Clone, Default)]
pub struct Sum {
    /// Services, operations, peers.
    pub names: Names,
    /// The figures.
    pub figures: Figures,
}

impl Sum {
    /// Adds another sum.
    pub fn add(&mut self, other: &Self) {
        let keys = self.keys_of(&other.names);
        self.figures.merge_as(&other.figures, |key| keys[key as usize]);
    }

    /// Takes another sum away that was added before. A row of which nothing is left goes.
    pub fn subtract(&mut self, other: &Self) {
        let keys = self.keys_of(&other.names);
        self.figures.subtract_as(&other.figures, |key| keys[key as usize]);
    }

    /// By key of `names`, the key here.
    pub(crate) fn keys_of(&mut self, names: &Names) -> Vec<u32> {
        names.texts().iter().map(|text| self.names.key(text)).collect()
    }
}
