//! The side table `patches`: what people add to spans afterwards. Spans stay as they are; patches are applied by whoever
//! reads, unless the raw spans are asked for.
//!
//! One JSON object each below `patches/` in the tenant's folder, named by its number (docs/format.md#patches), written
//! with put-if-absent: two writers never get one number.
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::id::{SpanId, TraceId};

const FOLDER: &str = "patches";
/// Patches of one table at most: all are in memory.
const PATCHES_MAX: usize = 10_000;
/// Bytes of a text at most.
const TEXT_BYTES_MAX: usize = 4_096;
/// Operations renamed at most: each costs every question a little.
const RENAMES_MAX: usize = 200;
const PARALLEL_READS: usize = 16;
/// How often a number is lost to another writer before we give up.
const ATTEMPTS_MAX: u32 = 100;

/// One patch. Persisted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// Its number; later patches have larger ones.
    pub number: u64,
    /// When, Unix nanoseconds.
    pub at_unix_nano: i64,
    /// What it says.
    #[serde(flatten)]
    pub what: What,
}

/// What a patch says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// Words about a trace, or about one span of it.
    Note {
        /// The trace.
        trace_id: String,
        /// The span.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        span_id: Option<String>,
        /// The words.
        text: String,
    },
    /// A name by which a trace is found.
    Alias {
        /// The trace.
        trace_id: String,
        /// Its name; the latest one of that name counts.
        alias: String,
    },
    /// What a span should have said; shown where its trace is shown.
    Correction {
        /// The trace.
        trace_id: String,
        /// The span.
        span_id: String,
        /// `name`, `status` or `status_message` of the span.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        fields: BTreeMap<String, String>,
        /// Attributes.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        attributes: BTreeMap<String, serde_json::Value>,
    },
    /// An operation gets another name, in all spans of its service: a renamed handler keeps its history.
    Rename {
        /// The service.
        service: String,
        /// The name as it is shown until now.
        name: String,
        /// The name from now on.
        to: String,
    },
    /// Takes a patch back.
    Retract {
        /// Its number.
        patch: u64,
    },
}

impl What {
    /// The trace that it is about; `None` where it is about none.
    pub fn trace(&self) -> Option<TraceId> {
        match self {
            Self::Note { trace_id, .. }
            | Self::Alias { trace_id, .. }
            | Self::Correction { trace_id, .. } => trace_id.parse().ok(),
            Self::Rename { .. } | Self::Retract { .. } => None,
        }
    }

    /// The same with ids in lower case, where everything in it can be meant.
    ///
    /// # Errors
    /// [`Error::Invalid`] says what is wrong.
    fn checked(mut self) -> Result<Self> {
        let invalid = |words: &str| Err(Error::Invalid(words.to_owned()));
        let long = |text: &str| text.len() > TEXT_BYTES_MAX;
        match &mut self {
            Self::Note { trace_id, span_id, text } => {
                *trace_id = trace(trace_id)?;
                *span_id = span_id.as_deref().map(span).transpose()?;
                if text.trim().is_empty() || long(text) {
                    return invalid("the text of a note has 1 to 4096 bytes");
                }
            }
            Self::Alias { trace_id, alias } => {
                *trace_id = trace(trace_id)?;
                if alias.trim().is_empty() || alias.len() > 200 || alias.parse::<TraceId>().is_ok()
                {
                    return invalid("an alias has 1 to 200 bytes and is no trace id");
                }
            }
            Self::Correction { trace_id, span_id, fields, attributes } => {
                (*trace_id, *span_id) = (trace(trace_id)?, span(span_id)?);
                let known = ["name", "status", "status_message"];
                if fields.keys().any(|field| !known.contains(&field.as_str())) {
                    return invalid("fields are name, status and status_message");
                }
                let statuses = ["UNSET", "OK", "ERROR"];
                if fields.get("status").is_some_and(|text| !statuses.contains(&text.as_str())) {
                    return invalid("status is UNSET, OK or ERROR");
                }
                let texts = attributes.values().map(ToString::to_string);
                if fields.values().cloned().chain(texts).any(|text| long(&text)) {
                    return invalid("a corrected value has at most 4096 bytes");
                }
                if fields.is_empty() && attributes.is_empty() {
                    return invalid("say fields or attributes");
                }
            }
            Self::Rename { service, name, to } => {
                if name == to
                    || to.trim().is_empty()
                    || [&*service, &*name, &*to].into_iter().any(|text| long(text))
                {
                    return invalid(
                        "a rename needs service, name and another name, of at most 4096 bytes",
                    );
                }
            }
            Self::Retract { .. } => {}
        }
        Ok(self)
    }
}

fn trace(text: &str) -> Result<String> {
    let id: TraceId = text
        .parse()
        .map_err(|_| Error::Invalid(format!("{text:?} is no trace id: 32 hexadecimal digits")))?;
    Ok(id.to_string())
}

fn span(text: &str) -> Result<String> {
    let id: SpanId = text
        .parse()
        .map_err(|_| Error::Invalid(format!("{text:?} is no span id: 16 hexadecimal digits")))?;
    Ok(id.to_string())
}

/// Operations that are shown under other names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renames {
    /// By service, by stored name: the name shown.
    by_service: BTreeMap<String, BTreeMap<String, String>>,
}

impl Renames {
    /// Whatever is shown as `name` is shown as `to` from now on.
    fn add(&mut self, service: &str, name: &str, to: &str) {
        let names = self.by_service.entry(service.to_owned()).or_default();
        for shown in names.values_mut().filter(|shown| *shown == name) {
            to.clone_into(shown);
        }
        // A name that is itself shown as something else is not what the user sees.
        names.entry(name.to_owned()).or_insert_with(|| to.to_owned());
        names.retain(|stored, shown| stored != shown);
    }

    /// True where every operation has its own name.
    pub fn is_empty(&self) -> bool {
        self.by_service.values().all(BTreeMap::is_empty)
    }

    /// How an operation is shown.
    pub fn name<'a>(&'a self, service: &str, name: &'a str) -> &'a str {
        let shown = self.by_service.get(service).and_then(|names| names.get(name));
        shown.map_or(name, String::as_str)
    }

    /// Service, stored name, name shown.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.by_service.iter().flat_map(|(service, names)| {
            names.iter().map(|(name, shown)| (service.as_str(), name.as_str(), shown.as_str()))
        })
    }
}

/// All patches of a table at one moment.
#[derive(Debug, Clone, Default)]
pub struct Patches {
    all: Vec<Patch>,
    /// Those in force.
    renames: Arc<Renames>,
    aliases: HashMap<String, TraceId>,
}

impl Patches {
    /// From patches in the order of their numbers.
    fn of(all: Vec<Patch>) -> Self {
        let retracted: Vec<u64> = all
            .iter()
            .filter_map(|patch| match patch.what {
                What::Retract { patch } => Some(patch),
                _ => None,
            })
            .collect();
        let (mut renames, mut aliases) = (Renames::default(), HashMap::new());
        for patch in all.iter().filter(|patch| !retracted.contains(&patch.number)) {
            match &patch.what {
                What::Rename { service, name, to } => renames.add(service, name, to),
                What::Alias { alias, .. } => {
                    aliases.extend(patch.what.trace().map(|trace| (alias.clone(), trace)));
                }
                _ => {}
            }
        }
        Self { all, renames: Arc::new(renames), aliases }
    }

    /// Every patch, also those taken back, by number.
    pub fn all(&self) -> &[Patch] {
        &self.all
    }

    /// What is in force about a trace, by number.
    pub fn of_trace(&self, trace: &TraceId) -> Vec<&Patch> {
        let retracted = |number: u64| {
            self.all
                .iter()
                .any(|other| matches!(other.what, What::Retract { patch } if patch == number))
        };
        let about = self.all.iter().filter(|patch| patch.what.trace().as_ref() == Some(trace));
        about.filter(|patch| !retracted(patch.number)).collect()
    }

    /// The operations with other names. The same allocation as long as nothing was patched.
    pub fn renames(&self) -> &Arc<Renames> {
        &self.renames
    }

    /// The trace of that name.
    pub fn find(&self, alias: &str) -> Option<TraceId> {
        self.aliases.get(alias).copied()
    }
}

/// Reads what others may have added; the same where that is nothing.
pub(crate) async fn load(
    tenant: &Arc<dyn ObjectStore>,
    known: &Arc<Patches>,
) -> Result<Arc<Patches>> {
    let folder = Path::from(FOLDER);
    let failed = |source| Error::ObjectStore { step: "list", path: FOLDER.into(), source };
    let objects: Vec<_> = tenant.list(Some(&folder)).try_collect().await.map_err(failed)?;
    let names = objects.iter().filter_map(|object| object.location.filename());
    let mut numbers: Vec<u64> =
        names.filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect();
    numbers.sort_unstable();
    if numbers.iter().eq(known.all.iter().map(|patch| &patch.number)) {
        return Ok(Arc::clone(known));
    }
    let reads = numbers.into_iter().map(|number| read(tenant, number));
    let read: Vec<Option<Patch>> =
        futures::stream::iter(reads).buffered(PARALLEL_READS).try_collect().await?;
    Ok(Arc::new(Patches::of(read.into_iter().flatten().collect())))
}

/// Stores a new patch; returns all.
///
/// # Errors
/// [`Error::Invalid`] where it cannot be meant or there are too many; else it could not be stored.
pub(crate) async fn add(
    tenant: &Arc<dyn ObjectStore>,
    known: &Arc<Patches>,
    what: What,
    at_unix_nano: i64,
) -> Result<Arc<Patches>> {
    let what = what.checked()?;
    let mut patches = load(tenant, known).await?;
    let mut free = 1;
    for _ in 0..ATTEMPTS_MAX {
        if patches.all.len() >= PATCHES_MAX {
            return Err(Error::Invalid(format!("there are {PATCHES_MAX} patches already")));
        }
        if matches!(what, What::Rename { .. }) && patches.renames.iter().count() >= RENAMES_MAX {
            return Err(Error::Invalid(format!("{RENAMES_MAX} operations are renamed already")));
        }
        if let What::Retract { patch } = what
            && !patches.all.iter().any(|other| other.number == patch)
        {
            return Err(Error::Invalid(format!("there is no patch {patch}")));
        }
        let number = patches.all.last().map_or(1, |last| last.number + 1).max(free);
        let patch = Patch { number, at_unix_nano, what: what.clone() };
        if put(tenant, &patch).await? {
            let all = patches.all.iter().cloned().chain([patch]).collect();
            return Ok(Arc::new(Patches::of(all)));
        }
        // Another writer's, or a damaged one.
        free = number + 1;
        patches = load(tenant, &patches).await?;
    }
    let source = "other writers were faster a hundred times in a row".into();
    Err(Error::Table { step: "write a patch", source })
}

/// Deletes what is about `traces`; returns the rest.
pub(crate) async fn forget(
    tenant: &Arc<dyn ObjectStore>,
    known: &Arc<Patches>,
    about: impl Fn(&TraceId) -> bool,
) -> Result<Arc<Patches>> {
    let patches = load(tenant, known).await?;
    let (gone, stays): (Vec<Patch>, Vec<Patch>) = patches
        .all
        .iter()
        .cloned()
        .partition(|patch| patch.what.trace().is_some_and(|t| about(&t)));
    if gone.is_empty() {
        return Ok(patches);
    }
    for patch in &gone {
        let path = path(patch.number);
        match tenant.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(source) => {
                return Err(Error::ObjectStore { step: "delete", path: path.to_string(), source });
            }
        }
    }
    Ok(Arc::new(Patches::of(stays)))
}

fn path(number: u64) -> Path {
    Path::from(format!("{FOLDER}/{number:020}.json"))
}

/// False where another patch has that number.
async fn put(tenant: &Arc<dyn ObjectStore>, patch: &Patch) -> Result<bool> {
    let path = path(patch.number);
    let bytes = serde_json::to_vec(patch)
        .map_err(|error| Error::Table { step: "write a patch", source: error.into() })?;
    match tenant.put_opts(&path, bytes.into(), PutMode::Create.into()).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
        Err(source) => Err(Error::ObjectStore { step: "write", path: path.to_string(), source }),
    }
}

/// `None` where it went meanwhile, or cannot be understood: a damaged patch must not hide the spans.
async fn read(tenant: &Arc<dyn ObjectStore>, number: u64) -> Result<Option<Patch>> {
    let path = path(number);
    let failed = |source| Error::ObjectStore { step: "read", path: path.to_string(), source };
    let bytes = match tenant.get(&path).await {
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        object => object.map_err(failed)?.bytes().await.map_err(failed)?,
    };
    match serde_json::from_slice::<Patch>(&bytes) {
        Ok(patch) => Ok(Some(Patch { number, ..patch })),
        Err(error) => {
            let detail = error.to_string();
            let error = Error::Corrupt { path: path.to_string(), detail };
            tracing::warn!(error = &error as &dyn std::error::Error, "patch not readable");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests;
