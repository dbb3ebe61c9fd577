//! SQL functions of ours, and the allow-list of all others.
//!
//! For users: `hex(binary)`, `attribute(json, key)` and its typed forms, `duration_text(nanoseconds)`.
pub(crate) mod allowed;
mod attribute;
mod bounded;
mod concat;
pub(crate) mod json;
mod links;
mod merge;
mod text;

use std::sync::{Arc, LazyLock};

use datafusion::logical_expr::ScalarUDF;

pub(crate) use crate::function::attribute::{As, Attribute};
pub(crate) use crate::function::links::links_type;
pub(crate) use crate::function::text::duration_text;

/// Field metadata key: `true` where a text column holds JSON.
pub const META_JSON: &str = "spanlake.json";

macro_rules! shared {
    ($(#[$doc:meta])* $name:ident, $function:expr) => {
        $(#[$doc])*
        pub(crate) fn $name() -> Arc<ScalarUDF> {
            static SHARED: LazyLock<Arc<ScalarUDF>> =
                LazyLock::new(|| Arc::new(ScalarUDF::from($function)));
            Arc::clone(&SHARED)
        }
    };
}

shared!(
    /// `hex(binary)`: lower-case hex text.
    hex_udf,
    text::Hex::new()
);
shared!(
    /// `duration_text(nanoseconds)`: `1.5ms`.
    duration_udf,
    text::DurationText::new()
);
shared!(
    /// Name, version and attributes of an instrumentation scope as one JSON object.
    scope_udf,
    merge::Scope::new()
);
shared!(
    /// Links with their ids in hex.
    links_udf,
    links::Links::new()
);

shared!(
    /// `text || text`, of bounded size.
    concat_udf,
    bounded::Bounded::new(Arc::new(ScalarUDF::from(concat::Concat::new())), bounded::Growth::Sum)
);

/// All attributes as one JSON object: the JSON of those without columns, then the columns of `keys`.
pub(crate) fn merge_udf(keys: Vec<String>) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(merge::Merge::new(keys)))
}

/// `attribute(json, key)` read as `kind`.
pub(crate) fn attribute_udf(kind: As) -> Arc<ScalarUDF> {
    static TEXT: LazyLock<[Arc<ScalarUDF>; 4]> =
        LazyLock::new(|| As::ALL.map(|kind| Arc::new(ScalarUDF::from(Attribute::new(kind)))));
    Arc::clone(&TEXT[kind as usize])
}

/// Our functions that users may call.
pub(crate) fn of_ours() -> Vec<Arc<ScalarUDF>> {
    let mut all = vec![hex_udf(), duration_udf()];
    all.extend(As::ALL.map(attribute_udf));
    all
}
