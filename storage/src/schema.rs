//! The columns of the `spans` table: name, unit, OTLP source, type.
//!
//! One physical schema serves hot batches and files: the fixed columns below in this order, then one column per
//! frequent attribute. `date` (the partition) exists only in paths and in the Delta schema. In memory, repeated
//! strings are `Dictionary(Int32, Utf8)`; readers see them as [`DataType::Utf8View`] ([`read_type`]).
use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};

/// Field metadata key: the attribute's own name, `http.route`.
pub const META_KEY: &str = "spanlake.attribute";
/// Field metadata key: `span` or `resource`.
pub const META_SCOPE: &str = "spanlake.scope";

/// Column names, spelled once.
pub mod column {
    /// Partition: UTC date of the span's start, `YYYY-MM-DD`.
    pub const DATE: &str = "date";
    /// 16 bytes.
    pub const TRACE_ID: &str = "trace_id";
    /// 8 bytes.
    pub const SPAN_ID: &str = "span_id";
    /// 8 bytes; null for a root.
    pub const PARENT_SPAN_ID: &str = "parent_span_id";
    /// Unix nanoseconds.
    pub const START: &str = "start_time_unix_nano";
    /// Nanoseconds; end - start, 0 where the end lies before the start.
    pub const DURATION: &str = "duration_nano";
    /// Resource attribute `service.name`; `unknown` where absent.
    pub const SERVICE: &str = "service";
    /// Operation.
    pub const NAME: &str = "name";
    /// `UNSPECIFIED INTERNAL SERVER CLIENT PRODUCER CONSUMER`.
    pub const KIND: &str = "kind";
    /// `UNSET OK ERROR`.
    pub const STATUS: &str = "status";
    /// Null where empty.
    pub const STATUS_MESSAGE: &str = "status_message";
    /// W3C trace state; null where empty.
    pub const TRACE_STATE: &str = "trace_state";
    /// Instrumentation scope; null where empty.
    pub const SCOPE_NAME: &str = "scope_name";
    /// Null where empty.
    pub const SCOPE_VERSION: &str = "scope_version";
    /// JSON object; null where the scope has no attributes.
    pub const SCOPE_ATTRIBUTES: &str = "scope_attributes";
    /// OTLP span flags.
    pub const FLAGS: &str = "flags";
    /// Service of the nearest known parent span; null where not known (yet) or a root.
    pub const CALLER_SERVICE: &str = "caller_service";
    /// Operation of the parent span; null likewise.
    pub const CALLER_NAME: &str = "caller_name";
    /// Service of the trace's root span; null where not known (yet).
    pub const ROOT_SERVICE: &str = "root_service";
    /// Operation of the trace's root span; null likewise.
    pub const ROOT_NAME: &str = "root_name";
    /// List of struct, see [`super::event_fields`].
    pub const EVENTS: &str = "events";
    /// List of struct, see [`super::link_fields`].
    pub const LINKS: &str = "links";
    /// Spans that this one stands for: 1 / sampling probability, 1.0 = not sampled.
    pub const WEIGHT: &str = "weight";
    /// When the server received it, Unix nanoseconds.
    pub const RECEIVED: &str = "received_unix_nano";
    /// Null where 0.
    pub const DROPPED_ATTRIBUTES: &str = "dropped_attributes_count";
    /// Null where 0.
    pub const DROPPED_EVENTS: &str = "dropped_events_count";
    /// Null where 0.
    pub const DROPPED_LINKS: &str = "dropped_links_count";
    /// JSON object of the span attributes that have no column of their own; null where there are none.
    pub const ATTRIBUTES: &str = "attributes";
    /// JSON object of *all* resource attributes (a dictionary string, so nearly free).
    pub const RESOURCE: &str = "resource";
}

/// Repeated strings in memory.
pub fn dictionary_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The type that readers of files and hot batches see for a column of type `stored`.
pub fn read_type(stored: &DataType) -> DataType {
    match stored {
        DataType::Dictionary(_, _) | DataType::Utf8 => DataType::Utf8View,
        other => other.clone(),
    }
}

/// Fields of one event: `time_unix_nano, name, attributes` (JSON object or null)`, dropped_attributes_count`.
pub fn event_fields() -> Fields {
    Fields::from(vec![
        Field::new("time_unix_nano", DataType::Int64, false),
        Field::new("name", DataType::Utf8, false),
        Field::new("attributes", DataType::Utf8, true),
        Field::new("dropped_attributes_count", DataType::Int32, true),
    ])
}

/// Fields of one link: `trace_id, span_id, trace_state, attributes` (JSON object or null)`,
/// dropped_attributes_count, flags`.
pub fn link_fields() -> Fields {
    Fields::from(vec![
        Field::new("trace_id", DataType::FixedSizeBinary(16), false),
        Field::new("span_id", DataType::FixedSizeBinary(8), false),
        Field::new("trace_state", DataType::Utf8, true),
        Field::new("attributes", DataType::Utf8, true),
        Field::new("dropped_attributes_count", DataType::Int32, true),
        Field::new("flags", DataType::Int32, true),
    ])
}

fn list_of(fields: Fields) -> DataType {
    DataType::List(Arc::new(Field::new("element", DataType::Struct(fields), false)))
}

/// The fixed columns in their order, as they are in memory.
pub fn fixed_fields() -> Vec<FieldRef> {
    use column as c;
    let text = dictionary_type;
    let fields = [
        (c::TRACE_ID, DataType::FixedSizeBinary(16), false),
        (c::SPAN_ID, DataType::FixedSizeBinary(8), false),
        (c::PARENT_SPAN_ID, DataType::FixedSizeBinary(8), true),
        (c::START, DataType::Int64, false),
        (c::DURATION, DataType::Int64, false),
        (c::SERVICE, text(), false),
        (c::NAME, text(), false),
        (c::KIND, text(), false),
        (c::STATUS, text(), false),
        (c::STATUS_MESSAGE, text(), true),
        (c::TRACE_STATE, text(), true),
        (c::SCOPE_NAME, text(), true),
        (c::SCOPE_VERSION, text(), true),
        (c::SCOPE_ATTRIBUTES, text(), true),
        (c::FLAGS, DataType::Int32, false),
        (c::CALLER_SERVICE, text(), true),
        (c::CALLER_NAME, text(), true),
        (c::ROOT_SERVICE, text(), true),
        (c::ROOT_NAME, text(), true),
        (c::EVENTS, list_of(event_fields()), true),
        (c::LINKS, list_of(link_fields()), true),
        (c::WEIGHT, DataType::Float64, false),
        (c::RECEIVED, DataType::Int64, false),
        (c::DROPPED_ATTRIBUTES, DataType::Int32, true),
        (c::DROPPED_EVENTS, DataType::Int32, true),
        (c::DROPPED_LINKS, DataType::Int32, true),
        (c::ATTRIBUTES, DataType::Utf8, true),
        (c::RESOURCE, text(), false),
    ];
    fields
        .into_iter()
        .map(|(name, kind, nullable)| Arc::new(Field::new(name, kind, nullable)))
        .collect()
}

/// Where an attribute was attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttributeScope {
    /// On the span.
    Span,
    /// On the resource.
    Resource,
}

/// The type of an attribute's column. Arrays, maps and bytes have no columns: they stay in the JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttributeType {
    /// UTF-8 text.
    String,
    /// 64-bit signed.
    Int,
    /// 64-bit float.
    Double,
    /// True or false.
    Bool,
}

impl AttributeType {
    /// The Arrow type in memory.
    pub fn data_type(self) -> DataType {
        match self {
            Self::String => dictionary_type(),
            Self::Int => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Bool => DataType::Boolean,
        }
    }
}

/// One frequent attribute with a column of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeColumn {
    /// Column name: `http_route`, `resource_k8s_pod_name`.
    pub column: String,
    /// Attribute name: `http.route`.
    pub key: String,
    /// Span or resource.
    pub scope: AttributeScope,
    /// Values of another type stay in the JSON.
    pub kind: AttributeType,
}

impl AttributeColumn {
    /// The nullable field, with the attribute's name and scope as metadata.
    pub fn field(&self) -> Field {
        let scope = match self.scope {
            AttributeScope::Span => "span",
            AttributeScope::Resource => "resource",
        };
        let metadata = [(META_KEY, self.key.as_str()), (META_SCOPE, scope)];
        Field::new(&self.column, self.kind.data_type(), true)
            .with_metadata(metadata.map(|(k, v)| (k.to_owned(), v.to_owned())).into())
    }
}

/// The attributes that have columns, at one moment. Immutable: a promotion makes a new one.
#[derive(Debug, Clone, Default)]
pub struct AttributeColumns {
    columns: Vec<AttributeColumn>,
    by_key: HashMap<(AttributeScope, String), usize>,
}

/// At most this many attribute columns in a table; further attributes stay in the JSON.
pub const ATTRIBUTE_COLUMNS_MAX: usize = 300;

/// Attributes with columns from the start: `(scope, key, type)`.
pub const ATTRIBUTES_FROM_START: &[(AttributeScope, &str, AttributeType)] = {
    use AttributeScope::{Resource, Span};
    use AttributeType::{Int, String};
    &[
        (Span, "http.request.method", String),
        (Span, "http.response.status_code", Int),
        (Span, "http.route", String),
        (Span, "url.path", String),
        (Span, "url.full", String),
        (Span, "http.request.body.size", Int),
        (Span, "http.response.body.size", Int),
        (Span, "rpc.system", String),
        (Span, "rpc.service", String),
        (Span, "rpc.method", String),
        (Span, "rpc.request.size", Int),
        (Span, "rpc.response.size", Int),
        (Span, "db.system.name", String),
        (Span, "db.namespace", String),
        (Span, "db.operation.name", String),
        (Span, "db.collection.name", String),
        (Span, "db.query.text", String),
        (Span, "messaging.system", String),
        (Span, "messaging.destination.name", String),
        (Span, "messaging.operation.type", String),
        (Span, "messaging.message.body.size", Int),
        (Span, "server.address", String),
        (Span, "server.port", Int),
        (Span, "client.address", String),
        (Span, "network.peer.address", String),
        (Span, "network.peer.port", Int),
        (Span, "error.type", String),
        (Resource, "service.namespace", String),
        (Resource, "service.version", String),
        (Resource, "service.instance.id", String),
        (Resource, "deployment.environment.name", String),
        (Resource, "host.name", String),
        (Resource, "cloud.region", String),
        (Resource, "k8s.namespace.name", String),
        (Resource, "k8s.pod.name", String),
        (Resource, "telemetry.sdk.language", String),
    ]
};

impl AttributeColumns {
    /// The columns that every new table has.
    pub fn from_start() -> Self {
        let mut columns = Self::default();
        for (scope, key, kind) in ATTRIBUTES_FROM_START {
            columns.add(*scope, key, *kind);
        }
        columns
    }

    /// The columns described by the attribute fields (those with [`META_KEY`]) of a schema.
    pub fn from_schema(schema: &Schema) -> Self {
        let mut columns = Self::default();
        for field in schema.fields() {
            if let Some(column) = column_of(field) {
                columns.insert(column);
            }
        }
        columns
    }

    /// All columns, oldest first.
    pub fn as_slice(&self) -> &[AttributeColumn] {
        &self.columns
    }

    /// The column of an attribute, with its position in [`Self::as_slice`].
    pub fn find(&self, scope: AttributeScope, key: &str) -> Option<(usize, &AttributeColumn)> {
        // A tuple of borrowed parts cannot look up a tuple of owned ones; hot paths keep their own index.
        let index = *self.by_key.get(&(scope, key.to_owned()))?;
        Some((index, &self.columns[index]))
    }

    /// Gives an attribute a column, unless it has one or the table has [`ATTRIBUTE_COLUMNS_MAX`]. Returns whether.
    pub fn add(&mut self, scope: AttributeScope, key: &str, kind: AttributeType) -> bool {
        if self.columns.len() >= ATTRIBUTE_COLUMNS_MAX || self.find(scope, key).is_some() {
            return false;
        }
        let column = self.free_name(scope, key);
        self.insert(AttributeColumn { column, key: key.to_owned(), scope, kind });
        true
    }

    /// The whole physical schema: fixed columns, then attribute columns.
    pub fn schema(&self) -> SchemaRef {
        let mut fields = fixed_fields();
        fields.extend(self.columns.iter().map(|column| Arc::new(column.field())));
        Arc::new(Schema::new(fields))
    }

    fn insert(&mut self, column: AttributeColumn) {
        self.by_key.insert((column.scope, column.key.clone()), self.columns.len());
        self.columns.push(column);
    }

    /// `http.route` -> `http_route`, on the resource `resource_http_route`; a number is appended while taken.
    fn free_name(&self, scope: AttributeScope, key: &str) -> String {
        let prefix = if scope == AttributeScope::Resource { "resource_" } else { "" };
        let snake: String = key
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
            .collect();
        let base = match snake.bytes().next() {
            Some(b'a'..=b'z') => format!("{prefix}{snake}"),
            _ => format!("{prefix}attribute_{snake}"),
        };
        let base = if is_reserved(&base) { format!("attribute_{base}") } else { base };
        let mut name = base.clone();
        let mut number = 2;
        while self.columns.iter().any(|column| column.column == name) {
            name = format!("{base}_{number}");
            number += 1;
        }
        name
    }
}

/// Names that attribute columns never take: the fixed columns, `date`, and what SQL presents beside them.
fn is_reserved(name: &str) -> bool {
    const PRESENTED: [&str; 8] = [
        "date",
        "start_time",
        "end_time",
        "received_time",
        "scope",
        "attributes_rest",
        "end_time_unix_nano",
        "bytes",
    ];
    PRESENTED.contains(&name) || fixed_fields().iter().any(|field| field.name() == name)
}

fn column_of(field: &Field) -> Option<AttributeColumn> {
    let key = field.metadata().get(META_KEY)?;
    let scope = match field.metadata().get(META_SCOPE).map(String::as_str) {
        Some("resource") => AttributeScope::Resource,
        _ => AttributeScope::Span,
    };
    let kind = match field.data_type() {
        DataType::Int64 => AttributeType::Int,
        DataType::Float64 => AttributeType::Double,
        DataType::Boolean => AttributeType::Bool,
        _ => AttributeType::String,
    };
    Some(AttributeColumn { column: field.name().clone(), key: key.clone(), scope, kind })
}
