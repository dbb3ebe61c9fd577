//! `unowned`: HTTP requests that no handler answered (404, or a SERVER span without `http.route`), by method and the
//! shape of their path.
mod template;

use arrow::array::{Array, AsArray, RecordBatch, StringViewArray};
use arrow::datatypes::Float64Type;
use datafusion::common::Result;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, ident};
use futures::StreamExt;
use hashbrown::HashMap;
use storage::TimeRange;
use storage::schema::column;

use super::load::Source;
use super::read::{integers, named, texts};
use super::rows::{Cluster, Columns, Weight, count};
use crate::quantile::nearest_rank;

/// Groups at most; what comes later is counted under [`OTHER`].
const GROUPS_MAX: usize = 10_000;
/// The template of paths beyond that.
const OTHER: &str = "{other}";

const METHOD: &str = "__method";
const PATH: &str = "__path";
const ROUTE: &str = "__route";
const CODE: &str = "__code";

/// Service, method and template.
type Key = (String, String, String);

/// Requests of one kind.
#[derive(Debug)]
pub(crate) struct Requests {
    durations: Vec<i64>,
    not_found: i64,
    without_route: i64,
    errors: i64,
    first: i64,
    last: i64,
    /// The latest of them: start, trace id, path.
    example: (i64, String, String),
    weight: Weight,
    /// By trace, because traces are sampled.
    clusters: HashMap<u128, Cluster>,
}

/// A group with its key.
pub(crate) type Row = (Key, Requests);

/// What is read of each span, as expressions over the columns of `spans`.
fn expressions(frame: &DataFrame) -> Result<Vec<Expr>> {
    let text = |keys: &[&str]| {
        let parts: Vec<String> =
            keys.iter().map(|key| format!("CAST(attributes['{key}'] AS VARCHAR)")).collect();
        frame.parse_sql_expr(&format!("coalesce({}, NULL)", parts.join(", ")))
    };
    Ok(vec![
        text(&["http.request.method", "http.method"])?.alias(METHOD),
        text(&["url.path", "http.target", "url.full", "http.url"])?.alias(PATH),
        text(&["http.route"])?.alias(ROUTE),
        text(&["http.response.status_code", "http.status_code"])?.alias(CODE),
    ])
}

/// The groups, most requests first.
pub(crate) async fn answer(source: &Source, range: TimeRange) -> Result<Vec<RecordBatch>> {
    let spans = source.tables.spans(&source.context, range)?;
    let is_server = spans.parse_sql_expr("kind = 'SERVER'")?;
    let spans = spans.filter(is_server)?;
    let mut columns = expressions(&spans)?;
    let plain = [
        column::TRACE_ID,
        column::SERVICE,
        column::STATUS,
        column::START,
        column::DURATION,
        column::WEIGHT,
    ];
    columns.extend(plain.map(ident));
    let spans = spans.select(columns)?;
    // What neither names a method nor a path is no HTTP request.
    let wanted = format!(
        "({METHOD} IS NOT NULL OR {PATH} IS NOT NULL) AND ({ROUTE} IS NULL OR {CODE} = '404')"
    );
    let wanted = spans.parse_sql_expr(&wanted)?;
    let spans = spans.filter(wanted)?;
    let mut groups: HashMap<Key, Requests> = HashMap::new();
    let mut requests = 0;
    let mut batches = spans.execute_stream().await?;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        requests += batch.num_rows();
        add(&batch, &mut groups)?;
        source.hold(requests * 100 + groups.capacity() * (size_of::<Row>() + 200))?;
    }
    let mut rows: Vec<Row> = groups.into_iter().collect();
    for (_, requests) in &mut rows {
        requests.durations.sort_unstable();
        for (_, cluster) in requests.clusters.drain() {
            requests.weight.add_variance(cluster);
        }
    }
    rows.sort_by(|(a, x), (b, y)| y.durations.len().cmp(&x.durations.len()).then_with(|| a.cmp(b)));
    Ok(vec![self::batch(&rows)?])
}

fn add(batch: &RecordBatch, groups: &mut HashMap<Key, Requests>) -> Result<()> {
    let read = |name| texts(batch, name);
    let (method, path, route, code) = (read(METHOD)?, read(PATH)?, read(ROUTE)?, read(CODE)?);
    let (trace, service) = (read(column::TRACE_ID)?, read(column::SERVICE)?);
    let status = read(column::STATUS)?;
    let start = integers(batch, column::START)?;
    let duration = integers(batch, column::DURATION)?;
    let weight = named(batch, column::WEIGHT)?.as_primitive::<Float64Type>();
    let some = |texts: &StringViewArray, row: usize| {
        texts.is_valid(row).then(|| texts.value(row).to_owned())
    };
    for row in 0..batch.num_rows() {
        let own_path = some(&path, row).unwrap_or_default();
        let mut template = template::of(&own_path);
        let method = some(&method, row).unwrap_or_default();
        let service = service.value(row).to_owned();
        if groups.len() >= GROUPS_MAX {
            let key = (service.clone(), method.clone(), template.clone());
            if !groups.contains_key(&key) {
                template = OTHER.to_owned();
            }
        }
        let group = groups.entry((service, method, template)).or_insert_with(Requests::none);
        group.durations.push(duration.value(row));
        group.not_found += i64::from(code.is_valid(row) && code.value(row) == "404");
        group.without_route += i64::from(route.is_null(row));
        group.errors += i64::from(status.value(row) == "ERROR");
        group.first = group.first.min(start.value(row));
        group.last = group.last.max(start.value(row));
        let trace = trace.value(row);
        group.weight.add_loose(weight.value(row));
        let key = u128::from_str_radix(trace, 16).unwrap_or_default();
        group.clusters.entry(key).or_default().add(weight.value(row));
        if (start.value(row), trace) >= (group.example.0, group.example.1.as_str()) {
            group.example = (start.value(row), trace.to_owned(), own_path);
        }
    }
    Ok(())
}

impl Requests {
    fn none() -> Self {
        Self {
            durations: Vec::new(),
            not_found: 0,
            without_route: 0,
            errors: 0,
            first: i64::MAX,
            last: i64::MIN,
            example: (i64::MIN, String::new(), String::new()),
            weight: Weight::default(),
            clusters: HashMap::new(),
        }
    }
}

/// The columns.
pub(crate) fn batch(rows: &[Row]) -> Result<RecordBatch> {
    let rank = |p: f64| move |(_, own): &Row| nearest_rank(&own.durations, p).unwrap_or(0);
    Columns::of(rows)
        .text("service", |((service, _, _), _)| service.as_str())
        .text("method", |((_, method, _), _)| method.as_str())
        .text("template", |((_, _, template), _)| template.as_str())
        .big("requests", |(_, own)| count(own.durations.len()))
        .big("not_found", |(_, own)| own.not_found)
        .big("without_route", |(_, own)| own.without_route)
        .big("errors", |(_, own)| own.errors)
        .big("p50_nano", rank(0.5))
        .big("p95_nano", rank(0.95))
        .big("max_nano", rank(1.0))
        .time("first_seen", |(_, own)| own.first)
        .time("last_seen", |(_, own)| own.last)
        .text("trace_id", |(_, own)| own.example.1.as_str())
        .text("path", |(_, own)| own.example.2.as_str())
        .float("weighted_requests", |(_, own)| own.weight.total())
        .float("weighted_requests_error", |(_, own)| own.weight.standard_error())
        .finish()
}

#[cfg(test)]
mod tests;
