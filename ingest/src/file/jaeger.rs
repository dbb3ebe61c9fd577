//! Jaeger's JSON (what its UI downloads and its API answers) as OTLP. The mapping is in docs/operating.md.
mod span;

use std::collections::HashMap;
use std::collections::VecDeque;

use serde_json::Value as Json;

use self::span::{Converted, process};
use super::Piece;
use super::otlp::{Requests, Resource};
use crate::{Error, Result};

/// Spans of one trace that wait for its processes, which Jaeger writes after them.
const HELD_BYTES_MAX: usize = 256 << 20;

/// One trace object: its spans need its processes, whichever comes first.
#[derive(Debug, Default)]
pub(super) struct Trace {
    /// Encoded resources by process id; `None` until they were read.
    processes: Option<HashMap<String, Vec<u8>>>,
    /// Process id and encoded span.
    held: Vec<(String, Vec<u8>)>,
    held_bytes: usize,
}

impl Trace {
    /// Takes one element of `spans`, or a lone span.
    ///
    /// # Errors
    /// A field has a wrong type, or the trace is too large to wait for its processes.
    pub(super) fn span(
        &mut self,
        json: &[u8],
        requests: &mut Requests,
        (offset, ready): (u64, &mut VecDeque<Piece>),
    ) -> Result<()> {
        let json: Json = serde_json::from_slice(json).map_err(|error| at(offset, &error))?;
        let Converted { span, process_id, process } =
            span::convert(&json).map_err(|error| at(offset, &error))?;
        if let Some(process) = process {
            return requests.add(process.bytes(), &span, (offset, ready));
        }
        if let Some(processes) = &self.processes {
            let resource = processes.get(&process_id).map_or(&[][..], Vec::as_slice);
            return requests.add(resource, &span, (offset, ready));
        }
        self.held_bytes += span.len() + process_id.len();
        self.held.push((process_id, span));
        if self.held_bytes > HELD_BYTES_MAX {
            return Err(Error::Malformed(format!(
                "the trace at byte {offset} of the file has more than {} MiB of spans before its \"processes\"; \
                 write \"processes\" before \"spans\" (jq '.data |= map({{traceID, processes, spans}})')",
                HELD_BYTES_MAX >> 20
            )));
        }
        Ok(())
    }

    /// Takes the object of processes.
    ///
    /// # Errors
    /// It is no object of processes.
    pub(super) fn processes(&mut self, json: &[u8], offset: u64) -> Result<()> {
        let json: Json = serde_json::from_slice(json).map_err(|error| at(offset, &error))?;
        let Json::Object(processes) = json else {
            return Ok(());
        };
        let mut resources = HashMap::new();
        for (id, json) in processes {
            let resource: Resource = process(&json).map_err(|error| at(offset, &error))?;
            resources.insert(id, resource.bytes().to_vec());
        }
        self.processes = Some(resources);
        Ok(())
    }

    /// Hands over the spans that waited. Those whose process is not there have no service.
    ///
    /// # Errors
    /// A span is larger than any piece.
    pub(super) fn end(
        self,
        requests: &mut Requests,
        (offset, ready): (u64, &mut VecDeque<Piece>),
    ) -> Result<()> {
        let processes = self.processes.unwrap_or_default();
        for (process_id, span) in self.held {
            let resource = processes.get(&process_id).map_or(&[][..], Vec::as_slice);
            requests.add(resource, &span, (offset, ready))?;
        }
        Ok(())
    }
}

fn at(offset: u64, error: &dyn std::fmt::Display) -> Error {
    Error::Malformed(format!("the Jaeger JSON that ends at byte {offset} of the file: {error}"))
}
