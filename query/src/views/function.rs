//! Views as SQL table functions: `dependencies('-1h', 'now')`, both arguments optional; a third, `'exact'`, asks for
//! nearest ranks where quantiles are within 1 % otherwise.
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{
    DFSchema, Result, ScalarValue, internal_err, plan_datafusion_err, plan_err,
};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::utils::conjunction_opt;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use datafusion::prelude::SessionContext;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use storage::TimeRange;

use super::descendants::{Descendants, Newest};
use super::load::Source;
use super::notes::NoteBoard;
use super::question::{Arguments, NAMES, Question};
use super::traces::Reading;
use super::traces::filter::Filter;
use super::traces::listing::Listing;
use super::{Ask, Notes, range, structure};
use crate::spans::Tables;
use crate::view::View;

/// The table function of one view.
pub(crate) struct Function {
    view: View,
    tables: Tables,
    notes: NoteBoard,
}

impl Function {
    /// Over the spans of `tables`; what it could not know goes to `notes`.
    pub(crate) fn new(view: View, tables: Tables, notes: NoteBoard) -> Self {
        Self { view, tables, notes }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.view.name())
    }
}

impl TableFunctionImpl for Function {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let name = self.view.name();
        let (times, exact) = match args.exprs() {
            [times @ .., last] if is_exact(last) && times.len() == 2 => (times, true),
            times if times.len() <= 2 => (times, false),
            _ => return plan_err!("{name} takes two times and 'exact': {name}(from, to, 'exact')"),
        };
        let now = self.tables.now_unix_nano;
        let mut sides = [None, None];
        for (side, argument) in sides.iter_mut().zip(times) {
            *side = moment(argument, args.session(), now)
                .map_err(|reason| plan_datafusion_err!("{name}: {reason}"))?;
        }
        let range = range::range(sides[0], sides[1])
            .map_err(|reason| plan_datafusion_err!("{name}: {reason}"))?;
        let answer = Answer {
            asked: Asked::View { view: self.view, range, exact },
            tables: self.tables.clone(),
            notes: self.notes.of_view(),
        };
        let schema = answer.schema()?;
        Ok(Arc::new(ViewTable { schema, answer }))
    }
}

/// The table function at `position` of [`NAMES`].
pub(crate) struct QuestionFunction {
    position: usize,
    tables: Tables,
    notes: NoteBoard,
}

impl QuestionFunction {
    /// Over the spans of `tables`; what it could not know goes to `notes`.
    pub(crate) fn new(position: usize, tables: Tables, notes: NoteBoard) -> Self {
        Self { position, tables, notes }
    }
}

impl fmt::Debug for QuestionFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES[self.position])
    }
}

impl TableFunctionImpl for QuestionFunction {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let name = NAMES[self.position];
        let now = self.tables.now_unix_nano;
        let arguments = Arguments::new(args.exprs(), args.session(), now);
        let question = Question::parse(name, &arguments)
            .map_err(|reason| plan_datafusion_err!("{name}: {reason}"))?;
        let answer = Answer {
            asked: Asked::Question(name, Arc::new(question)),
            tables: self.tables.clone(),
            notes: self.notes.of_view(),
        };
        let schema = answer.schema()?;
        Ok(Arc::new(ViewTable { schema, answer }))
    }
}

/// The word that asks for nearest ranks.
fn is_exact(argument: &Expr) -> bool {
    match argument {
        Expr::Literal(value, _) => value.try_as_str().flatten() == Some("exact"),
        _ => false,
    }
}

/// One side of a range: a text, a number, a date, a timestamp, an expression of those, or NULL.
pub(crate) fn moment(
    argument: &Expr,
    session: &dyn Session,
    now: i64,
) -> std::result::Result<Option<i64>, String> {
    let value = match argument {
        Expr::Literal(value, _) => value.clone(),
        other => constant(other, session, now)?,
    };
    if value.is_null() {
        return Ok(None);
    }
    if let Some(Some(text)) = value.try_as_str() {
        return range::moment(text, now).map(Some);
    }
    if value.data_type().is_integer() {
        let number = value.cast_to(&DataType::Int64).map_err(|_| "the number is too large")?;
        return Ok(integer(&number).map(range::unix));
    }
    let utc = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    match (value.data_type(), value.cast_to(&utc)) {
        (DataType::Timestamp(..) | DataType::Date32 | DataType::Date64, Ok(time)) => {
            Ok(integer(&time))
        }
        (DataType::Float64 | DataType::Decimal128(..), _) => {
            range::moment(&value.to_string(), now).map(Some)
        }
        (other, _) => Err(format!(
            "{other} is not a time: write -1h, now, 2026-11-22T10:00:00Z, a timestamp or Unix seconds"
        )),
    }
}

fn integer(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::Int64(number) | ScalarValue::TimestampNanosecond(number, _) => *number,
        _ => None,
    }
}

/// Evaluates `now() - INTERVAL '1 hour'` and the like.
pub(crate) fn constant(
    argument: &Expr,
    session: &dyn Session,
    now: i64,
) -> std::result::Result<ScalarValue, String> {
    let no_constant =
        || "from and to are constants, such as '-1h' or now() - INTERVAL '1 hour'".to_owned();
    let context = SimplifyContext::builder()
        .with_config_options(Arc::clone(session.config().options()))
        .with_query_execution_start_time(Some(chrono::DateTime::from_timestamp_nanos(now)))
        .build();
    let simplifier = ExprSimplifier::new(context);
    let coerced =
        simplifier.coerce(argument.clone(), &DFSchema::empty()).map_err(|_| no_constant())?;
    match simplifier.simplify(coerced) {
        Ok(Expr::Literal(value, _)) => Ok(value),
        _ => Err(no_constant()),
    }
}

/// A view with its range, or a question with arguments of its own.
#[derive(Debug, Clone)]
enum Asked {
    View { view: View, range: TimeRange, exact: bool },
    Question(&'static str, Arc<Question>),
}

/// Everything that one answer needs to know.
#[derive(Clone)]
struct Answer {
    asked: Asked,
    tables: Tables,
    notes: NoteBoard,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.asked)
    }
}

impl Answer {
    fn name(&self) -> &'static str {
        match &self.asked {
            Asked::View { view, .. } => view.name(),
            Asked::Question(name, _) => name,
        }
    }

    fn schema(&self) -> Result<SchemaRef> {
        match &self.asked {
            Asked::View { view, .. } => super::schema(*view),
            Asked::Question(_, question) => question.schema(),
        }
    }

    /// Reads and computes; returns the rows with the columns at `projection`.
    async fn rows(
        self,
        context: SessionContext,
        task: Arc<TaskContext>,
        projection: Vec<usize>,
        condition: Option<Arc<dyn PhysicalExpr>>,
    ) -> Result<Batches> {
        let consumer = MemoryConsumer::new(self.name());
        let reservation = consumer.register(task.memory_pool());
        let source = Source::new(context, self.tables.clone(), reservation);
        let bytes = self.schema()?.index_of("bytes");
        let reads_bytes = bytes.is_ok_and(|bytes| projection.contains(&bytes));
        let mut notes = Notes::new();
        let rows = match &self.asked {
            Asked::View { view, range, exact } => {
                let ask = Ask { range: *range, exact: *exact, bytes: reads_bytes };
                if *view == View::Traces {
                    let schema = Arc::new(self.schema()?.project(&projection)?);
                    let filter = Filter::new(condition, schema, projection);
                    return self.traces(source, ask, filter).await;
                }
                Box::pin(super::answer(*view, source, ask, &mut notes)).await?
            }
            Asked::Question(_, question) => {
                let schema = Arc::new(self.schema()?.project(&projection)?);
                let filter = Filter::new(condition, schema, projection.clone());
                match question.as_ref() {
                    Question::Descendants(asked) => {
                        return self.descendants(source, asked, filter).await;
                    }
                    Question::Structure(range) => {
                        return self.structure(source, *range, filter).await;
                    }
                    _ => {}
                }
                Box::pin(question.answer(source, reads_bytes, &mut notes)).await?
            }
        };
        self.notes.put(notes);
        let rows = rows.into_iter().map(move |batch| Ok(batch.project(&projection)?));
        Ok(Box::pin(stream::iter(rows)))
    }

    /// Spans below others: newest first where that can be, otherwise all at once, oldest first.
    async fn descendants(
        &self,
        source: Source,
        asked: &Descendants,
        filter: Filter,
    ) -> Result<Batches> {
        let notes = self.notes.clone();
        match Box::pin(asked.newest(source)).await? {
            Ok(newest) => {
                let below = Below { newest, filter, notes };
                Ok(Box::pin(stream::try_unfold(below, Below::next)))
            }
            Err((source, reason)) => {
                let rows = Box::pin(asked.answer(*source)).await?;
                let note = ("source", format!("spans: {reason}"));
                notes.put(vec![note]);
                Ok(Box::pin(stream::iter(rows).map(move |batch| filter.batch(&batch))))
            }
        }
    }

    /// Spans in their trees: newest file first where that can be, otherwise all at once.
    async fn structure(&self, source: Source, range: TimeRange, filter: Filter) -> Result<Batches> {
        let notes = self.notes.clone();
        match Box::pin(structure::Newest::new(source, range, &filter)).await? {
            Ok(newest) => {
                let placed = Placed { newest, filter, notes };
                Ok(Box::pin(stream::try_unfold(placed, Placed::next)))
            }
            Err((source, reason)) => {
                let rows = Box::pin(structure::answer(*source, range)).await?;
                let note = ("source", format!("spans: {reason}"));
                notes.put(vec![note]);
                Ok(Box::pin(stream::iter(rows).map(move |batch| filter.batch(&batch))))
            }
        }
    }

    /// Traces, piece by piece: there may be more than fit into memory. Their notes are known after the last.
    async fn traces(&self, source: Source, ask: Ask, filter: Filter) -> Result<Batches> {
        let notes = self.notes.clone();
        match Listing::new(source, ask).await? {
            Ok(listing) => {
                let listed = Listed { listing, filter, notes };
                Ok(Box::pin(stream::try_unfold(listed, Listed::next)))
            }
            Err((source, reason)) => {
                let reading = Reading::of(*source, ask);
                let slices = Slices { reading, filter, reason, notes };
                Ok(Box::pin(stream::try_unfold(slices, Slices::next).try_flatten()))
            }
        }
    }
}

/// Spans below others that are still to be shown.
struct Below {
    newest: Newest,
    filter: Filter,
    notes: NoteBoard,
}

impl Below {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        let mut notes = Notes::new();
        let Some(batch) = self.newest.next(&self.filter, &mut notes).await? else {
            self.notes.put(notes);
            return Ok(None);
        };
        Ok(Some((batch, self)))
    }
}

/// Spans in their trees that are still to be shown.
struct Placed {
    newest: structure::Newest,
    filter: Filter,
    notes: NoteBoard,
}

impl Placed {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        let mut notes = Notes::new();
        let Some(batch) = Box::pin(self.newest.next(&self.filter, &mut notes)).await? else {
            self.notes.put(notes);
            return Ok(None);
        };
        Ok(Some((batch, self)))
    }
}

/// Traces that are still to be shown.
struct Listed {
    listing: Listing,
    filter: Filter,
    notes: NoteBoard,
}

impl Listed {
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        let mut notes = Notes::new();
        let Some(batch) = self.listing.next(&self.filter, &mut notes).await? else {
            self.notes.put(notes);
            return Ok(None);
        };
        Ok(Some((batch, self)))
    }
}

/// Traces that are still to be read from spans.
struct Slices {
    reading: Reading,
    filter: Filter,
    /// Why from spans.
    reason: &'static str,
    notes: NoteBoard,
}

impl Slices {
    async fn next(mut self) -> Result<Option<(Batches, Self)>> {
        let mut notes = Notes::new();
        let Some(slice) = self.reading.next(&mut notes).await? else {
            notes.push(("source", format!("spans: {}", self.reason)));
            self.notes.put(notes);
            return Ok(None);
        };
        let rows: Vec<Result<RecordBatch>> =
            slice.iter().map(|batch| self.filter.batch(batch)).collect();
        Ok(Some((Box::pin(stream::iter(rows)), self)))
    }
}

/// The rows of an answer.
type Batches = BoxStream<'static, Result<RecordBatch>>;

/// A view with its range, as a table.
#[derive(Debug)]
struct ViewTable {
    schema: SchemaRef,
    answer: Answer,
}

#[async_trait]
impl TableProvider for ViewTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(state) = session.as_any().downcast_ref::<SessionState>() else {
            return internal_err!("views need a session of their own kind");
        };
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let projection = projection.cloned().unwrap_or(all);
        let schema = Arc::new(self.schema.project(&projection)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Ok(Arc::new(ViewExec {
            answer: self.answer.clone(),
            projection,
            condition: None,
            state: state.clone(),
            properties: Arc::new(properties),
        }))
    }
}

/// Computes a view when it is executed. Plans its own scans, because the second depends on what the first found.
#[derive(Clone)]
struct ViewExec {
    answer: Answer,
    projection: Vec<usize>,
    /// Which rows are wanted, over the columns at `projection`; of `traces`, `descendants` and `structure` only.
    condition: Option<Arc<dyn PhysicalExpr>>,
    state: SessionState,
    properties: Arc<PlanProperties>,
}

impl fmt::Debug for ViewExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewExec").field("answer", &self.answer).finish_non_exhaustive()
    }
}

impl DisplayAs for ViewExec {
    fn fmt_as(&self, _t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ViewExec: {}", self.answer.name())?;
        if let Some(condition) = &self.condition {
            write!(f, ", predicate={condition}")?;
        }
        match self.answer.notes.words() {
            Some(words) => write!(f, ", notes=[{words}]"),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for ViewExec {
    crate::leaf::leaf_plan!("ViewExec");

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.condition.as_ref().map_or(Ok(TreeNodeRecursion::Continue), visit)
    }

    /// Of `traces`, `descendants` and `structure` the conditions are asked before rows are made; with them comes what a sort knows of the rows that it
    /// does not want.
    fn handle_child_pushdown_result(
        &self,
        _phase: FilterPushdownPhase,
        from_parent: ChildPushdownResult,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let conditions = from_parent.parent_filters.iter().map(|part| Arc::clone(&part.filter));
        let asks = match &self.answer.asked {
            Asked::View { view, .. } => *view == View::Traces,
            Asked::Question(_, question) => {
                matches!(**question, Question::Descendants(_) | Question::Structure(_))
            }
        };
        let count = from_parent.parent_filters.len();
        if !asks || count == 0 {
            return Ok(FilterPushdownPropagation::if_all(from_parent));
        }
        let all = self.condition.iter().map(Arc::clone).chain(conditions);
        let narrowed: Arc<dyn ExecutionPlan> =
            Arc::new(Self { condition: conjunction_opt(all), ..self.clone() });
        let taken = vec![PushedDown::Yes; count];
        Ok(FilterPushdownPropagation::with_parent_pushdown_result(taken)
            .with_updated_node(narrowed))
    }

    fn execute(
        &self,
        partition: usize,
        task: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("ViewExec has one partition, not {partition}");
        }
        let context = SessionContext::new_with_state(self.state.clone());
        let (projection, condition) = (self.projection.clone(), self.condition.clone());
        let rows = self.answer.clone().rows(context, task, projection, condition);
        let stream = stream::once(Box::pin(rows)).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream)))
    }
}
