//! The spans of some traces, wherever they lie.
use std::sync::Arc;

use datafusion::common::Result;
use hashbrown::HashSet;
use storage::rollup::{self, Link, Peer, Sizes, Status};
use storage::{DataFile, TimeRange, TraceId};

use crate::views::dependencies::EXTENT;
use crate::views::edge;
use crate::views::forest::{Forest, Texts};
use crate::views::load::{Extent, Source};
use crate::views::read::Admit;

/// The origin of spans in hot batches; that of others is the number of their file in the snapshot.
pub(super) const HOT: u32 = u32::MAX;

/// Spans of some traces, by trace, and the spans that they link to.
pub(super) struct Rows {
    forest: Forest,
    /// Where the spans of each origin end, as they were read.
    ends: Vec<(u32, u32)>,
    /// Traces from this one on are only linked.
    traces: u32,
}

/// Spans of one trace.
pub(super) struct Fragment {
    pub(super) id: [u8; 16],
    pub(super) spans: Vec<rollup::Span>,
    /// By span, where it lies.
    pub(super) origins: Vec<u32>,
    /// By span, its position among all.
    positions: Vec<u32>,
}

/// Links of one fragment.
#[derive(Default)]
pub(super) struct Links {
    pub(super) found: Vec<Link>,
    /// Traces of links that lead nowhere.
    pub(super) missing: Vec<[u8; 16]>,
}

impl Rows {
    /// The spans of `traces` in all files, and in the hot batches if `with_hot`.
    pub(super) async fn of(
        source: &Source,
        traces: &HashSet<[u8; 16]>,
        with_hot: bool,
    ) -> Result<Self> {
        let mut rows = Self { forest: Forest::default(), ends: Vec::new(), traces: 0 };
        for (number, file) in (0u32..).zip(source.tables.snapshot.files.iter()) {
            let here = traces.iter().copied().filter(|trace| file.may_hold_trace(&TraceId(*trace)));
            let here: HashSet<[u8; 16]> = here.collect();
            if !here.is_empty() {
                rows.read(source, Some(file), (EXTENT, Admit::Traces(&here))).await?;
            }
            rows.end(number);
        }
        if with_hot {
            rows.read(source, None, (EXTENT, Admit::Traces(traces))).await?;
            rows.end(HOT);
        }
        rows.traces = u32::try_from(rows.forest.trace_count()).unwrap_or(u32::MAX);
        rows.read_linked(source, traces, with_hot).await?;
        rows.forest.group();
        Ok(rows)
    }

    /// The spans in hot batches alone.
    pub(super) async fn of_hot(source: &Source) -> Result<Self> {
        let mut rows = Self { forest: Forest::default(), ends: Vec::new(), traces: 0 };
        rows.read(source, None, (EXTENT, Admit::All)).await?;
        rows.end(HOT);
        rows.traces = u32::try_from(rows.forest.trace_count()).unwrap_or(u32::MAX);
        rows.forest.group();
        Ok(rows)
    }

    /// Reads the spans of other traces that links lead to.
    async fn read_linked(
        &mut self,
        source: &Source,
        traces: &HashSet<[u8; 16]>,
        with_hot: bool,
    ) -> Result<()> {
        let links = self.forest.links.iter().filter(|link| !traces.contains(&link.trace));
        let wanted: HashSet<([u8; 16], u64)> = links.map(|link| (link.trace, link.id)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        for (number, file) in (0u32..).zip(source.tables.snapshot.files.iter()) {
            let here = wanted.iter().filter(|(trace, _)| file.may_hold_trace(&TraceId(*trace)));
            let here: HashSet<([u8; 16], u64)> = here.copied().collect();
            if !here.is_empty() {
                let read = (Extent::default(), Admit::Spans(&here));
                self.read(source, Some(file), read).await?;
            }
            self.end(number);
        }
        if with_hot {
            self.read(source, None, (Extent::default(), Admit::Spans(&wanted))).await?;
            self.end(HOT);
        }
        Ok(())
    }

    /// Reads from one file, or from the hot batches.
    async fn read(
        &mut self,
        source: &Source,
        file: Option<&Arc<DataFile>>,
        (extent, admit): (Extent, Admit<'_>),
    ) -> Result<()> {
        let part = match file {
            Some(file) => source.tables.part([Arc::clone(file)].into(), Arc::new([])),
            None => source.tables.part(Arc::new([]), Arc::clone(&source.tables.snapshot.hot)),
        };
        source.read(&mut self.forest, &part, (TimeRange::ALL, extent, admit), 0).await
    }

    fn end(&mut self, origin: u32) {
        self.ends.push((u32::try_from(self.forest.spans.len()).unwrap_or(u32::MAX), origin));
    }

    fn origin(&self, position: u32) -> u32 {
        let place = self.ends.partition_point(|(end, _)| *end <= position);
        self.ends.get(place).map_or(HOT, |(_, origin)| *origin)
    }

    /// The texts of keys.
    pub(super) fn words(&self) -> Words<'_> {
        Words(&self.forest.texts)
    }

    /// All traces, those left out that are only linked.
    pub(super) fn traces(&self) -> std::ops::Range<u32> {
        0..self.traces
    }

    /// The id of a trace.
    pub(super) fn id(&self, trace: u32) -> [u8; 16] {
        self.forest.trace_id(trace)
    }

    /// Where spans of a trace lie, each once.
    pub(super) fn origins(&self, trace: u32) -> Vec<u32> {
        let members = self.forest.members(trace).unwrap_or_default();
        let mut origins: Vec<u32> = members.iter().map(|at| self.origin(*at)).collect();
        // Positions rise, so origins come together.
        origins.dedup();
        origins
    }

    /// The spans of a trace from the origins that `admit` lets in.
    pub(super) fn fragment(&self, trace: u32, admit: impl Fn(u32) -> bool) -> Fragment {
        let mut fragment = Fragment {
            id: self.id(trace),
            spans: Vec::new(),
            origins: Vec::new(),
            positions: Vec::new(),
        };
        for position in self.forest.members(trace).unwrap_or_default() {
            let origin = self.origin(*position);
            if admit(origin) {
                fragment.spans.push(self.span(*position));
                fragment.origins.push(origin);
                fragment.positions.push(*position);
            }
        }
        fragment
    }

    /// The links of a fragment's spans to spans from the origins that `admit` lets in.
    pub(super) fn links(&self, of: &Fragment, admit: impl Fn(u32) -> bool) -> Links {
        let mut links = Links::default();
        for (place, position) in (0u32..).zip(&of.positions) {
            // Links are in the order of their spans.
            let first = self.forest.links.partition_point(|link| link.span < *position);
            let own = self.forest.links[first..].iter().take_while(|link| link.span == *position);
            for link in own {
                let callee = &self.forest.spans[*position as usize];
                if edge::is_to_parent(&self.forest, link, callee) {
                    continue;
                }
                let found =
                    self.forest.find_where(&link.trace, link.id, |at| admit(self.origin(at)));
                match found {
                    Some(linked) => links.found.push(Link::new(place, &self.span(linked))),
                    None => links.missing.push(link.trace),
                }
            }
        }
        links
    }

    fn span(&self, position: u32) -> rollup::Span {
        let span = &self.forest.spans[position as usize];
        let sizes = self.forest.all_sizes(position);
        let [request, response, message] = [sizes.request, sizes.response, sizes.message]
            .map(|bytes| bytes.unwrap_or(Sizes::NONE));
        let peer = self.forest.peer(position);
        rollup::Span {
            id: span.id,
            parent: span.parent,
            start: span.start,
            duration: span.duration,
            weight: span.weight,
            service: span.service,
            name: span.name,
            kind: span.kind,
            status: if span.error { Status::Error } else { Status::Unset },
            sizes: Sizes { request, response, message },
            peer: peer.map(|peer| Peer { name: peer.name, database: peer.database }),
        }
    }
}

/// Texts of a forest, as rollups ask for them.
pub(super) struct Words<'a>(&'a Texts);

impl rollup::Words for Words<'_> {
    fn service(&self, key: u32) -> &str {
        self.0.text(key)
    }

    fn name(&self, key: u32) -> &str {
        self.0.text(key)
    }

    fn peer(&self, key: u32) -> &str {
        self.0.text(key)
    }
}
