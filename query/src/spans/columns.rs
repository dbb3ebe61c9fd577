//! The columns of SQL `spans`: how each is made of the stored ones.
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::expr::{Case, ScalarFunction};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, ScalarUDF, cast, lit};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::planner::create_physical_exprs;
use storage::Snapshot;
use storage::patch::Renames;
use storage::schema::{AttributeColumns, AttributeScope, column as c, read_type};

use crate::function::{self, META_JSON};

/// SQL's name of the start as a timestamp.
pub(crate) const START_TIME: &str = "start_time";
/// SQL's name of the end as a timestamp.
pub(crate) const END_TIME: &str = "end_time";
/// SQL's name of the arrival as a timestamp.
pub(crate) const RECEIVED_TIME: &str = "received_time";
/// SQL's name of the stored `attributes`: those without a column.
pub(crate) const ATTRIBUTES_REST: &str = "attributes_rest";
/// The instrumentation scope as JSON.
pub(crate) const SCOPE: &str = "scope";

/// The type of SQL's times.
pub(crate) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

/// The columns of one snapshot: as stored (read types, `date` last) and as SQL presents them.
#[derive(Debug)]
pub(crate) struct Columns {
    /// Stored columns as readers see them, then `date`.
    pub(crate) stored: SchemaRef,
    /// Columns of SQL `spans`.
    pub(crate) presented: SchemaRef,
    /// [`Self::stored`] as logical expressions see it.
    pub(crate) stored_names: DFSchema,
    /// For each presented column, how it is made of stored ones.
    made_of: Vec<Expr>,
    /// The same, ready to run; made when first needed.
    physical: OnceLock<Vec<Arc<dyn PhysicalExpr>>>,
    by_name: HashMap<String, usize>,
    /// What names of operations are shown by; none where they are shown as they are.
    renames: Option<Arc<Renames>>,
}

impl Columns {
    /// The columns of `snapshot`.
    ///
    /// # Errors
    /// Two columns have one name: a mistake in the table's schema.
    pub(crate) fn of(snapshot: &Snapshot) -> Result<Self> {
        let renames = snapshot.patches.renames();
        let mut columns = Self::new(&snapshot.columns)?;
        if !renames.is_empty() {
            for (name, service) in RENAMED {
                if let Some(index) = columns.by_name.get(name) {
                    columns.made_of[*index] = renamed(renames, service, name);
                }
            }
        }
        columns.renames = Some(Arc::clone(renames));
        Ok(columns)
    }

    /// True where these are the columns of `snapshot`, too.
    pub(crate) fn are_of(&self, snapshot: &Snapshot) -> bool {
        let renames = snapshot.patches.renames();
        self.renames.as_ref().is_some_and(|own| Arc::ptr_eq(own, renames))
    }

    /// How a stored column is shown where that is not as it is: a name of an operation, where some were renamed.
    pub(crate) fn shown_as(&self, name: &str) -> Option<(usize, &Expr)> {
        RENAMED.iter().find(|(renamed, _)| *renamed == name)?;
        let index = *self.by_name.get(name)?;
        Some((index, &self.made_of[index])).filter(|(_, shown)| !matches!(shown, Expr::Column(_)))
    }

    /// The columns of a table with these attribute columns.
    pub(crate) fn new(attributes: &AttributeColumns) -> Result<Self> {
        let stored = Arc::new(stored_schema(attributes));
        let stored_names = DFSchema::try_from(Arc::clone(&stored))?;
        let mut list = List { stored: &stored, fields: Vec::new(), made_of: Vec::new() };
        list.add_leading(attributes);
        list.add_further();
        for attribute in attributes.as_slice() {
            list.keep(&attribute.column);
        }
        let List { fields, made_of, .. } = list;
        let by_name = fields.iter().enumerate().map(|(i, f)| (f.name().clone(), i)).collect();
        let presented = Arc::new(Schema::new(fields));
        let physical = OnceLock::new();
        let renames = None;
        Ok(Self { stored, presented, stored_names, made_of, physical, by_name, renames })
    }

    /// How each presented column is made, as expressions over [`Self::stored`].
    pub(crate) fn physical(&self) -> Result<&[Arc<dyn PhysicalExpr>]> {
        if let Some(made) = self.physical.get() {
            return Ok(made);
        }
        let (properties, context) = (ExecutionProps::new(), PhysicalPlanningContext::default());
        let made = create_physical_exprs(&self.made_of, &self.stored_names, &properties, &context)?;
        Ok(self.physical.get_or_init(|| made))
    }

    /// How the presented column `name` is made of stored ones.
    pub(crate) fn made_of(&self, name: &str) -> Option<&Expr> {
        self.by_name.get(name).map(|index| &self.made_of[*index])
    }
}

/// Stored columns with the types that readers see, then the partition column.
fn stored_schema(attributes: &AttributeColumns) -> Schema {
    let physical = attributes.schema();
    let mut fields: Vec<FieldRef> =
        physical.fields().iter().map(|field| read_field(field)).collect();
    fields.push(Arc::new(Field::new(c::DATE, DataType::Date32, false)));
    Schema::new(fields)
}

fn read_field(field: &Field) -> FieldRef {
    let read = field.clone().with_data_type(read_type(field.data_type()));
    let is_json = [c::ATTRIBUTES, c::RESOURCE].contains(&field.name().as_str());
    Arc::new(if is_json { read.with_metadata(json_metadata()) } else { read })
}

/// Metadata of a field whose text is JSON.
pub(crate) fn json_metadata() -> HashMap<String, String> {
    HashMap::from([(META_JSON.to_owned(), "true".to_owned())])
}

struct List<'a> {
    stored: &'a SchemaRef,
    fields: Vec<FieldRef>,
    made_of: Vec<Expr>,
}

impl List<'_> {
    /// The columns that the documentation names first, in its order.
    fn add_leading(&mut self, attributes: &AttributeColumns) {
        for id in [c::TRACE_ID, c::SPAN_ID, c::PARENT_SPAN_ID] {
            self.call(id, &function::hex_udf(), &[id], DataType::Utf8View);
        }
        for name in [c::TRACE_STATE, c::SERVICE, c::NAME, c::KIND] {
            self.keep(name);
        }
        self.time(START_TIME, stored(c::START));
        for name in [c::DURATION, c::STATUS, c::STATUS_MESSAGE] {
            self.keep(name);
        }
        self.add_attributes(attributes);
        self.keep(c::RESOURCE);
        let scope = [c::SCOPE_NAME, c::SCOPE_VERSION, c::SCOPE_ATTRIBUTES];
        self.json(SCOPE, &function::scope_udf(), &scope);
        self.keep(c::EVENTS);
        self.call(c::LINKS, &function::links_udf(), &[c::LINKS], function::links_type());
        self.keep(c::WEIGHT);
    }

    fn add_further(&mut self) {
        self.time(END_TIME, stored(c::START) + stored(c::DURATION));
        for name in [
            c::START,
            c::FLAGS,
            c::SCOPE_NAME,
            c::SCOPE_VERSION,
            c::CALLER_SERVICE,
            c::CALLER_NAME,
            c::ROOT_SERVICE,
            c::ROOT_NAME,
        ] {
            self.keep(name);
        }
        self.time(RECEIVED_TIME, stored(c::RECEIVED));
        for name in [c::DATE, c::DROPPED_ATTRIBUTES, c::DROPPED_EVENTS, c::DROPPED_LINKS] {
            self.keep(name);
        }
        let rest = self.stored_field(c::ATTRIBUTES).with_name(ATTRIBUTES_REST);
        self.push(rest, stored(c::ATTRIBUTES));
    }

    /// All span attributes as one JSON object: those with columns, then the others.
    fn add_attributes(&mut self, attributes: &AttributeColumns) {
        let own: Vec<_> =
            attributes.as_slice().iter().filter(|a| a.scope == AttributeScope::Span).collect();
        let keys = own.iter().map(|attribute| attribute.key.clone()).collect();
        let mut arguments = vec![c::ATTRIBUTES];
        arguments.extend(own.iter().map(|attribute| attribute.column.as_str()));
        self.json(c::ATTRIBUTES, &function::merge_udf(keys), &arguments);
    }

    fn keep(&mut self, name: &str) {
        self.push(self.stored_field(name), stored(name));
    }

    fn time(&mut self, name: &str, nanos: Expr) {
        self.push(Field::new(name, time_type(), false), cast(nanos, time_type()));
    }

    fn json(&mut self, name: &str, udf: &Arc<ScalarUDF>, arguments: &[&str]) {
        let field = Field::new(name, DataType::Utf8View, false).with_metadata(json_metadata());
        self.push(field, call(udf, arguments));
    }

    /// A function of one stored column, null where the column is.
    fn call(&mut self, name: &str, udf: &Arc<ScalarUDF>, arguments: &[&str], kind: DataType) {
        let nullable = self.stored_field(name).is_nullable();
        self.push(Field::new(name, kind, nullable), call(udf, arguments));
    }

    fn push(&mut self, field: Field, made_of: Expr) {
        self.fields.push(Arc::new(field));
        self.made_of.push(made_of);
    }

    fn stored_field(&self, name: &str) -> Field {
        let found = self.stored.fields().iter().find(|field| field.name() == name);
        found.map_or_else(|| Field::new(name, DataType::Null, true), |field| field.as_ref().clone())
    }
}

/// Columns with names of operations, and those of their services.
const RENAMED: [(&str, &str); 3] =
    [(c::NAME, c::SERVICE), (c::CALLER_NAME, c::CALLER_SERVICE), (c::ROOT_NAME, c::ROOT_SERVICE)];

/// `CASE WHEN service = 'shop' AND name = 'old' THEN 'new' ... ELSE name END`.
fn renamed(renames: &Renames, service: &str, name: &str) -> Expr {
    let text = |text: &str| lit(ScalarValue::Utf8View(Some(text.to_owned())));
    let cases = renames.iter().map(|(of_service, old, new)| {
        let is_it = stored(service).eq(text(of_service)).and(stored(name).eq(text(old)));
        (Box::new(is_it), Box::new(text(new)))
    });
    Expr::Case(Case::new(None, cases.collect(), Some(Box::new(stored(name)))))
}

/// A stored column; its name is taken as it is.
pub(crate) fn stored(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

fn call(udf: &Arc<ScalarUDF>, arguments: &[&str]) -> Expr {
    let arguments = arguments.iter().map(|name| stored(name)).collect();
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(udf), arguments))
}
