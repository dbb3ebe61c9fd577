//! Counts of values on both sides, in bounded memory.
use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::leaves::Leaves;
use super::sides::{SIZES, Sides, spans_in};
use super::significance::{Table, by_stratum, strata, within_strata};
use super::values::plain;
use super::weights::{Estimates, OfSpans, OfTraces};
use super::{Counts, Row, Scope, Unit};
use crate::function::json;

/// Values of one attribute that are kept while counting; of more, the rarest are forgotten.
const VALUES_MAX: usize = 5_000;
/// A value's text ends here.
const VALUE_BYTES_MAX: usize = 400;

/// A trace or span that has a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct One {
    /// The same for the same trace or span, different for others.
    pub(crate) index: u32,
    /// Stands in the selection.
    pub(crate) selected: bool,
    /// The duration of a span without children, in nanoseconds; of no other.
    pub(crate) leaf_nano: Option<i64>,
    /// What a span stands for; traces know theirs.
    pub(crate) weight: f64,
    /// Of a span that stands for more than itself: a hash of its trace's id.
    pub(crate) trace: u64,
}

impl One {
    /// A trace, on whatever side.
    fn trace(index: u32) -> Self {
        Self { index, selected: false, leaf_nano: None, weight: 1.0, trace: 0 }
    }
}

/// Who has one value.
#[derive(Debug)]
enum Holders {
    Spans {
        counts: Counts,
        /// Sum over the spans of a hash of each.
        signature: u64,
        weights: OfSpans,
    },
    /// Positions of traces; some may stand there twice.
    FewTraces(Vec<u32>),
    /// A bit for each trace.
    ManyTraces(Vec<u64>),
}

impl Holders {
    fn none(unit: Unit) -> Self {
        match unit {
            Unit::Spans => {
                Self::Spans { counts: Counts::default(), signature: 0, weights: OfSpans::default() }
            }
            Unit::Traces => Self::FewTraces(Vec::new()),
        }
    }

    fn add(&mut self, one: One, traces: usize) {
        match self {
            Self::Spans { counts, signature, weights } => {
                counts.add(one.selected);
                weights.add(one.selected, one.trace, one.weight);
                *signature = signature.wrapping_add(mixed(u64::from(one.index)));
            }
            Self::FewTraces(few) => {
                if few.last() != Some(&one.index) {
                    few.push(one.index);
                }
                // From here on bits take no more room.
                if few.len() > traces / 32 + 8 {
                    *self = Self::ManyTraces(bits(few, traces));
                }
            }
            Self::ManyTraces(words) => set(words, one.index),
        }
    }

    fn merge(&mut self, other: &Self, traces: usize) {
        match (&mut *self, other) {
            (
                Self::Spans { counts, signature, weights },
                Self::Spans { counts: more, signature: other, weights: others },
            ) => {
                counts.selection += more.selection;
                counts.baseline += more.baseline;
                *signature = signature.wrapping_add(*other);
                weights.merge(others);
            }
            (_, Self::FewTraces(few)) => {
                // Sides do not matter here: they are looked up when everything is in.
                few.iter().for_each(|index| {
                    self.add(One::trace(*index), traces);
                });
            }
            (Self::FewTraces(few), Self::ManyTraces(_)) => {
                *self = Self::ManyTraces(bits(few, traces));
                self.merge(other, traces);
            }
            (Self::ManyTraces(words), Self::ManyTraces(more)) => {
                words.iter_mut().zip(more).for_each(|(word, more)| *word |= more);
            }
            // One tally counts one kind of unit.
            (Self::Spans { .. }, Self::ManyTraces(_)) | (_, Self::Spans { .. }) => {}
        }
    }

    /// How often it occurred, at least about.
    fn weight(&self) -> usize {
        match self {
            Self::Spans { counts, .. } => usize::try_from(counts.all()).unwrap_or(usize::MAX),
            Self::FewTraces(few) => few.len(),
            Self::ManyTraces(_) => usize::MAX,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Spans { weights, .. } => weights.bytes(),
            Self::FewTraces(few) => few.capacity() * size_of::<u32>(),
            Self::ManyTraces(words) => words.capacity() * size_of::<u64>(),
        }
    }

    /// Who they are.
    fn counts(&self, sides: &Traces) -> Who {
        let mut who = Who::default();
        let mut add = |index: usize| who.add(index, sides);
        match self {
            Self::Spans { counts, signature, weights } => {
                who.counts = *counts;
                who.signature = *signature;
                who.of_spans = Some(weights.clone());
            }
            Self::FewTraces(few) => {
                let mut few = few.clone();
                few.sort_unstable();
                few.dedup();
                few.into_iter().for_each(|index| add(index as usize));
            }
            Self::ManyTraces(words) => {
                for (at, word) in words.iter().enumerate() {
                    let mut rest = *word;
                    while rest != 0 {
                        add(at * 64 + rest.trailing_zeros() as usize);
                        rest &= rest - 1;
                    }
                }
            }
        }
        who
    }
}

/// Those who have one value.
#[derive(Debug)]
struct Who {
    counts: Counts,
    /// Traces by the class of their size.
    sizes: [Counts; SIZES],
    /// What is equal where they are.
    signature: u64,
    /// Of traces, some of which stand for more than themselves.
    weights: Option<OfTraces>,
    of_spans: Option<OfSpans>,
}

impl Default for Who {
    fn default() -> Self {
        Self {
            counts: Counts::default(),
            sizes: [Counts::default(); SIZES],
            signature: 0,
            weights: None,
            of_spans: None,
        }
    }
}

impl Who {
    fn add(&mut self, index: usize, sides: &Traces) {
        let selected = sides.selected.get(index).copied().unwrap_or(false);
        self.counts.add(selected);
        if let Some(size) = sides.sizes.get(index) {
            self.sizes[usize::from(*size)].add(selected);
        }
        if let Some(weight) = sides.weights.get(index) {
            self.weights.get_or_insert_default().add(index, selected, *weight);
        }
        self.signature = self.signature.wrapping_add(mixed(index as u64));
    }

    fn estimates(&self) -> Estimates {
        match (&self.weights, &self.of_spans) {
            (Some(weights), _) => weights.estimates(),
            (None, Some(weights)) => weights.estimates(self.counts),
            (None, None) => Estimates::exactly(self.counts),
        }
    }
}

/// The traces that are counted.
#[derive(Debug, Default)]
struct Traces {
    selected: Vec<bool>,
    sizes: Vec<u8>,
    /// What each stands for; nothing where each stands for itself.
    weights: Vec<f64>,
}

impl Traces {
    /// Those that `choose` takes.
    fn who(&self, choose: impl Fn(u8) -> bool) -> Who {
        let mut who = Who::default();
        let chosen = self.sizes.iter().enumerate().filter(|(_, size)| choose(**size));
        chosen.for_each(|(index, _)| who.add(index, self));
        who
    }
}

fn bits(few: &[u32], traces: usize) -> Vec<u64> {
    let mut words = vec![0; traces.div_ceil(64)];
    few.iter().for_each(|index| set(&mut words, *index));
    words
}

fn set(words: &mut [u64], index: u32) {
    if let Some(word) = words.get_mut(index as usize / 64) {
        *word |= 1 << (index % 64);
    }
}

/// A hash of a position (splitmix64).
fn mixed(index: u64) -> u64 {
    let mixed = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The values of one attribute.
#[derive(Debug)]
pub(crate) struct Attribute {
    scope: Scope,
    key: String,
    values: HashMap<Box<str>, u32>,
    holders: Vec<Holders>,
    /// By the same positions.
    leaves: Vec<Leaves>,
    forgot: bool,
    /// How often in a row forgetting left nothing: no value occurs twice.
    unique: u8,
}

impl Attribute {
    fn new(scope: Scope, key: &str) -> Self {
        let key = key.to_owned();
        let (values, holders, leaves) = (HashMap::new(), Vec::new(), Vec::new());
        Self { scope, key, values, holders, leaves, forgot: false, unique: 0 }
    }

    /// The position of `value`. Good until [`Tally::trim`].
    pub(crate) fn position(&mut self, value: &str, unit: Unit) -> u32 {
        let value = match self.scope {
            // Whole documents, taken apart at the end.
            Scope::Resource => value,
            _ => cut(value),
        };
        if let Some(position) = self.values.get(value) {
            return *position;
        }
        let position = u32::try_from(self.holders.len()).unwrap_or(u32::MAX);
        self.values.insert(value.into(), position);
        self.holders.push(Holders::none(unit));
        self.leaves.push(Leaves::default());
        position
    }

    /// `one` has the value at `position`.
    fn add(&mut self, position: u32, one: One, traces: usize) {
        self.holders[position as usize].add(one, traces);
        if let Some(nanos) = one.leaf_nano {
            self.leaves[position as usize].add(one.selected, nanos);
        }
    }

    /// Forgets the rarest values where there are too many.
    fn trim(&mut self) {
        let mut weight = 1;
        while self.values.len() > VALUES_MAX {
            self.forgot = true;
            // At least half of what is too much goes, so that this is done rarely.
            let kept = self.holders.iter().filter(|holders| holders.weight() > weight).count();
            if kept > VALUES_MAX / 2 && weight < usize::MAX / 2 {
                weight *= 2;
                continue;
            }
            let mut old: Vec<Option<Holders>> =
                std::mem::take(&mut self.holders).into_iter().map(Some).collect();
            let old_leaves = std::mem::take(&mut self.leaves);
            let (holders, leaves) = (&mut self.holders, &mut self.leaves);
            self.values.retain(|_, position| {
                let taken = old[*position as usize].take().filter(|old| old.weight() > weight);
                let Some(taken) = taken else { return false };
                leaves.push(old_leaves[*position as usize]);
                *position = u32::try_from(holders.len()).unwrap_or(u32::MAX);
                holders.push(taken);
                true
            });
            self.unique = if self.values.is_empty() { self.unique.saturating_add(1) } else { 0 };
        }
    }

    fn bytes(&self) -> usize {
        const ENTRY: usize = size_of::<(Box<str>, u32)>() + size_of::<(Holders, Leaves)>() + 48;
        let held: usize = self.holders.iter().map(Holders::bytes).sum();
        self.values.capacity() * ENTRY + held
    }
}

/// All attributes.
#[derive(Debug)]
pub(crate) struct Tally {
    unit: Unit,
    traces: Traces,
    total: Counts,
    /// All traces by the class of their size.
    sizes: [Counts; SIZES],
    /// By class of size.
    strata: Vec<usize>,
    attributes: Vec<Attribute>,
    by_key: HashMap<(Scope, String), usize>,
    /// Resources as whole JSON documents.
    resources: Attribute,
}

impl Tally {
    /// Counts spans.
    pub(crate) fn of_spans() -> Self {
        Self::new(Unit::Spans, Traces::default(), Counts::default())
    }

    /// Counts the traces of `sides`.
    pub(crate) fn of_traces(sides: &mut Sides) -> Self {
        let traces = Traces {
            selected: std::mem::take(&mut sides.selected),
            sizes: std::mem::take(&mut sides.sizes),
            weights: std::mem::take(&mut sides.weights),
        };
        Self::new(Unit::Traces, traces, sides.counts)
    }

    fn new(unit: Unit, traces: Traces, total: Counts) -> Self {
        let sizes = traces.who(|_| true).sizes;
        Self {
            unit,
            strata: strata(&sizes),
            sizes,
            traces,
            total,
            attributes: Vec::new(),
            by_key: HashMap::new(),
            resources: Attribute::new(Scope::Resource, ""),
        }
    }

    /// Everything on both sides.
    pub(crate) fn total(&self) -> Counts {
        self.total
    }

    /// Whether the trace at `index` stands in the selection.
    pub(crate) fn is_selected(&self, index: u32) -> bool {
        self.traces.selected.get(index as usize).copied().unwrap_or(false)
    }

    /// Counts a span as such.
    pub(crate) fn add_span(&mut self, selected: bool) {
        self.total.add(selected);
    }

    /// The position of an attribute.
    pub(crate) fn attribute(&mut self, scope: Scope, key: &str) -> usize {
        // Looking up by borrowed parts is not possible, but keys are short.
        let name = (scope, key.to_owned());
        let attributes = &mut self.attributes;
        *self.by_key.entry(name).or_insert_with(|| {
            attributes.push(Attribute::new(scope, key));
            attributes.len() - 1
        })
    }

    /// True where values of this attribute are not worth counting: thousands were seen, none of them twice.
    pub(crate) fn is_given_up(&self, attribute: usize) -> bool {
        self.attributes[attribute].unique >= 3
    }

    /// The position of a value of the attribute at `attribute`.
    pub(crate) fn value(&mut self, attribute: usize, value: &str) -> u32 {
        self.attributes[attribute].position(value, self.unit)
    }

    /// `one` has the value.
    pub(crate) fn add(&mut self, attribute: usize, value: u32, one: One) {
        self.attributes[attribute].add(value, one, self.traces.selected.len());
    }

    /// The position of a resource.
    pub(crate) fn resource(&mut self, json: &str) -> u32 {
        self.resources.position(json, self.unit)
    }

    /// `one` has the resource.
    pub(crate) fn add_resource(&mut self, resource: u32, one: One) {
        self.resources.add(resource, one, self.traces.selected.len());
    }

    /// Keeps within bounds; positions of values are other ones after this.
    pub(crate) fn trim(&mut self) {
        self.attributes.iter_mut().for_each(Attribute::trim);
        self.resources.trim();
    }

    /// Memory held, in bytes, about.
    pub(crate) fn bytes(&self) -> usize {
        let attributes: usize = self.attributes.iter().map(Attribute::bytes).sum();
        attributes
            + self.resources.bytes()
            + self.traces.selected.capacity() * 2
            + self.traces.weights.capacity() * 8
    }

    /// Attributes with so many values that rare ones were forgotten; `None` where there are none.
    pub(crate) fn keys_with_many_values(&self) -> Option<String> {
        let all = self.attributes.iter().chain([&self.resources]);
        let mut keys: Vec<&str> = all
            .filter(|attribute| attribute.forgot)
            .map(|attribute| match attribute.key.as_str() {
                "" => "resource",
                key => key,
            })
            .collect();
        keys.sort_unstable();
        (!keys.is_empty()).then(|| keys.join(", "))
    }

    /// One row a value.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for attribute in &self.attributes {
            for (value, position) in &attribute.values {
                let at = *position as usize;
                let who = attribute.holders[at].counts(&self.traces);
                let name = (attribute.scope, attribute.key.as_str(), value.as_ref());
                rows.push(self.row(name, &who, attribute.leaves[at]));
            }
        }
        for ((key, value), (holders, leaves)) in self.of_resources() {
            let who = holders.counts(&self.traces);
            rows.push(self.row((Scope::Resource, &key, &value), &who, leaves));
        }
        rows.extend(self.of_sizes());
        rows
    }

    /// Traces of one size as those that have a value: where there are many spans, this says so.
    fn of_sizes(&self) -> Vec<Row> {
        let sizes = self.sizes.iter().enumerate().filter(|(_, counts)| counts.all() > 0);
        let row = |(size, _): (usize, &Counts)| {
            let who = self.traces.who(|own| usize::from(own) == size);
            let value = match spans_in(size) {
                (first, last) if first == last => first.to_string(),
                (first, last) => format!("{first} to {last}"),
            };
            let row = self.row((Scope::Field, "spans", &value), &who, Leaves::default());
            Row { within: None, ..row }
        };
        sizes.map(row).collect()
    }

    /// Holders of each resource attribute's values: those of all resources that have it.
    fn of_resources(&self) -> BTreeMap<(String, String), (Holders, Leaves)> {
        let mut values = BTreeMap::new();
        for (document, position) in &self.resources.values {
            let holders = &self.resources.holders[*position as usize];
            let leaves = &self.resources.leaves[*position as usize];
            json::each_member(document, |key, value| {
                // The service is a field already.
                let Some(value) = plain(value).filter(|_| key != "service.name") else {
                    return;
                };
                let name = (key.into_owned(), cut(&value).to_owned());
                let none = || (Holders::none(self.unit), Leaves::default());
                let (all, times) = values.entry(name).or_insert_with(none);
                all.merge(holders, self.traces.selected.len());
                times.merge(leaves);
            });
        }
        values
    }

    /// The evidence among traces of about the same size, where there are several sizes.
    fn within(&self, who: &Who) -> Option<f64> {
        let all = by_stratum(&self.sizes, &self.strata);
        (all.len() > 1).then(|| within_strata(&by_stratum(&who.sizes, &self.strata), &all))
    }

    fn row(&self, name: (Scope, &str, &str), who: &Who, leaves: Leaves) -> Row {
        let (scope, key, value) = name;
        Row {
            scope,
            key: key.to_owned(),
            value: value.to_owned(),
            table: Table { with: who.counts, all: self.total },
            within: self.within(who),
            estimates: Some(who.estimates()),
            leaves,
            signature: who.signature,
            interval: None,
        }
    }
}

fn cut(value: &str) -> &str {
    let mut end = value.len().min(VALUE_BYTES_MAX);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    &value[..end]
}
