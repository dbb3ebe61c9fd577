//! Views from rollups and views from spans are the same views.
use std::fmt::Write;

use super::estimates::Dice;
use super::*;

/// What rollups can tell.
const VIEWS: [View; 8] = [
    View::Traces,
    View::Operations,
    View::Network,
    View::NetworkOperations,
    View::Dependencies,
    View::Latency,
    View::LatencyHistogram,
    View::NetworkCaused,
];

/// Asks both ways: for everything, and for what lies between each two of `borders`.
pub(super) async fn say_the_same_as_spans(lake: &Lake, borders: &[&str]) {
    let config = Config { rollups: false, ..patient() };
    let raw = Engine::new(lake.store.clone(), config).unwrap();
    let ranges = borders.windows(2).map(|pair| (Some(pair[0]), Some(pair[1])));
    for range in ranges.chain([(None, None)]) {
        for view in VIEWS {
            let request = ViewRequest {
                from: range.0.map(str::to_owned),
                to: range.1.map(str::to_owned),
                // The other views order themselves.
                order: (view == View::Traces).then(|| "trace_id".into()),
                ..ViewRequest::everything(view)
            };
            let spans = raw.view(request.clone()).await.unwrap();
            assert!(source(&spans).starts_with("spans"), "{}", source(&spans));
            let rollups = lake.engine.view(request).await.unwrap();
            assert!(source(&rollups).starts_with("rollups"), "{view:?}: {}", source(&rollups));
            let notes = |answer: &crate::Answer| {
                answer.notes.iter().filter(|note| note.0 != "source").cloned().collect::<Vec<_>>()
            };
            assert_eq!(notes(&rollups), notes(&spans), "{view:?} {range:?}");
            equal(view, range.0.is_some(), &json(rollups).await, &json(spans).await);
        }
    }
}

pub(super) fn source(answer: &crate::Answer) -> String {
    answer.notes.iter().find(|note| note.0 == "source").unwrap().1.clone()
}

#[track_caller]
pub(super) fn equal(view: View, is_cut: bool, rollups: &[Value], spans: &[Value]) {
    assert_eq!(rollups.len(), spans.len(), "{view:?}\n{rollups:?}\n{spans:?}");
    for (own, expected) in rollups.iter().zip(spans) {
        for (column, value) in expected.as_object().unwrap() {
            let same = match column.as_str() {
                // Of a trace that crosses the border rollups count all spans where the first of them lies.
                name if is_cut && name.ends_with("_error") && value.is_number() => true,
                // Bounds hold; where something was taken away they may be wide.
                "first_seen" => own[column].as_str() <= value.as_str(),
                "last_seen" => own[column].as_str() >= value.as_str(),
                name if name.ends_with("_nano") && view == View::Latency => {
                    let (own, value) = (number(&own[column]), number(value));
                    (own - value).abs() as f64 <= value as f64 * 0.011
                }
                _ => &own[column] == value,
            };
            assert!(same, "{view:?} {column}\n{}", differences(rollups, spans));
        }
    }
}

/// The rows that only one of the two has.
fn differences(rollups: &[Value], spans: &[Value]) -> String {
    let mut lines = String::new();
    for (who, own, other) in [("rollups", rollups, spans), ("spans", spans, rollups)] {
        for row in own.iter().filter(|row| !other.contains(row)) {
            writeln!(lines, "{who}: {row}").unwrap();
        }
    }
    lines
}

/// 2026-11-22T08:00:00Z.
pub(super) const BEGIN: u64 = 1_795_334_400_000_000_000;
pub(super) const MINUTE: u64 = 60_000_000_000;

/// OTLP JSON of one span.
pub(super) struct Made {
    pub(super) service: u64,
    pub(super) json: String,
}

/// Traces as bad as they come: several roots or none, parents that are missing, ids that two spans share, links, spans
/// that are ten minutes late, traces that were sampled.
pub(super) fn traces(dice: &mut Dice, from: u64, count: u64) -> Vec<Made> {
    let mut spans: Vec<Made> = Vec::new();
    let mut all: Vec<(u64, u64)> = Vec::new();
    for trace in 1..=count {
        let begin = from + dice.roll() % (10 * MINUTE);
        let sampled = dice.roll().is_multiple_of(4);
        for at in 0..1 + dice.roll() % 8 {
            let parent = match dice.roll() % 12 {
                _ if at == 0 => None,
                0 => None,
                1 => Some(999),
                _ => Some(1 + dice.roll() % at),
            };
            // Now and then the server half of the call before.
            let shares = at > 0 && dice.roll().is_multiple_of(9);
            let id = if shares { at } else { at + 1 };
            let kind = if shares { 2 } else { 1 + dice.roll() % 5 };
            let late = if dice.roll().is_multiple_of(10) { 10 * MINUTE } else { 0 };
            let start = begin + at * 3_000_000 + late;
            let end = start + 1 + dice.roll() % 90_000_000;
            let (service, name) = (dice.roll() % 4, dice.roll() % 3);
            let mut json = format!(
                r#"{{"traceId":"{trace:032x}","spanId":"{id:016x}","name":"op{name}","kind":{kind},"startTimeUnixNano":"{start}","endTimeUnixNano":"{end}""#
            );
            if let Some(parent) = parent {
                write!(json, r#","parentSpanId":"{parent:016x}""#).unwrap();
            }
            if sampled {
                json.push_str(r#","traceState":"ot=th:8""#);
            }
            if dice.roll().is_multiple_of(5) {
                json.push_str(r#","status":{"code":2}"#);
            }
            if kind == 5 && dice.roll().is_multiple_of(2) && !all.is_empty() {
                let (trace, span) = all[usize::try_from(dice.roll()).unwrap() % all.len()];
                write!(json, r#","links":[{{"traceId":"{trace:032x}","spanId":"{span:016x}"}}]"#)
                    .unwrap();
            }
            json.push_str(&attributes(dice));
            json.push('}');
            // A link to an id that two spans share may mean either of them, by where they lie.
            if shares {
                all.pop();
            } else {
                all.push((trace, id));
            }
            spans.push(Made { service, json });
        }
    }
    spans
}

fn attributes(dice: &mut Dice) -> String {
    let mut pairs = Vec::new();
    for key in ["http.request.body.size", "http.response.body.size", "messaging.message.body.size"]
    {
        if dice.roll().is_multiple_of(2) {
            let bytes = dice.roll() % 5_000;
            pairs.push(format!(r#"{{"key":"{key}","value":{{"intValue":"{bytes}"}}}}"#));
        }
    }
    for (key, value) in [("server.address", "bank"), ("db.system.name", "postgresql")] {
        if dice.roll().is_multiple_of(3) {
            pairs.push(format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#));
        }
    }
    format!(r#","attributes":[{}]"#, pairs.join(","))
}

pub(super) fn request(spans: &[Made]) -> Entry {
    let resources: Vec<String> = spans
        .iter()
        .map(|span| {
            format!(
                r#"{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"s{}"}}}}]}},"scopeSpans":[{{"spans":[{}]}}]}}"#,
                span.service, span.json
            )
        })
        .collect();
    Entry {
        format: ingest::decode::Format::OtlpJson.code(),
        received_unix_nano: 0,
        accept: TimeRange::ALL,
        body: format!(r#"{{"resourceSpans":[{}]}}"#, resources.join(",")).into(),
        deduplicate: false,
    }
}

/// What is wanted of `traces` is known before a row is made, and must be the same as what is left of all rows.
async fn lists_say_the_same_as_spans(lake: &Lake) {
    let config = Config { rollups: false, ..patient() };
    let raw = Engine::new(lake.store.clone(), config).unwrap();
    for wanted in [
        "ORDER BY start_time DESC LIMIT 5",
        "ORDER BY start_time LIMIT 5",
        "WHERE root_service = 's1' ORDER BY duration_nano DESC, trace_id LIMIT 7",
        "ORDER BY duration_nano DESC, trace_id LIMIT 3",
        "ORDER BY duration_nano DESC, trace_id LIMIT 30",
        "ORDER BY duration_nano, trace_id LIMIT 4",
        "WHERE root_error ORDER BY duration_nano DESC, trace_id LIMIT 2",
        "WHERE NOT root_error AND root_name IN ('op0', 'op2') ORDER BY duration_nano DESC, trace_id LIMIT 2",
        "WHERE root_service || root_name = 's2op1' AND services > 1 ORDER BY duration_nano DESC, trace_id LIMIT 2",
        "WHERE root_error AND root_service <> 's0' ORDER BY start_time DESC, trace_id LIMIT 3",
        "WHERE duration_nano > 60000000 ORDER BY start_time DESC, trace_id LIMIT 3",
        "WHERE errors > 0 AND spans >= 3 ORDER BY start_time DESC LIMIT 3",
        "WHERE NOT complete ORDER BY trace_id",
        "WHERE trace_id LIKE '%7' AND root_name <> 'op0' ORDER BY trace_id DESC",
        "WHERE extent_nano > duration_nano OR depth = 1 ORDER BY bytes DESC, trace_id LIMIT 4",
    ] {
        let sql = format!("SELECT trace_id, duration_nano, spans FROM traces() {wanted}");
        let own = json(lake.engine.sql(&sql, Vec::new()).await.unwrap()).await;
        let truth = json(raw.sql(&sql, Vec::new()).await.unwrap()).await;
        assert_eq!(own, truth, "{wanted}");
    }
}

/// What an answer was made of is told through every door: with the plan, once it has run.
async fn plans_tell_the_notes(lake: &Lake) {
    for view in ["latency()", "structure()", "traces() ORDER BY duration_nano DESC LIMIT 2"] {
        let plan = lake.sql(&format!("EXPLAIN ANALYZE SELECT * FROM {view}")).await;
        let plan = plan[0]["plan"].as_str().unwrap();
        assert!(plan.contains("notes=[") && plan.contains("source: "), "{plan}");
        let plan = lake.sql(&format!("EXPLAIN SELECT * FROM {view}")).await;
        assert!(plan.iter().all(|row| !row["plan"].as_str().unwrap().contains("notes=[")));
    }
}

/// Spans in their trees, and spans below others, are shown file by file, and must be the same as all at once.
async fn trees_say_the_same_as_spans(lake: &Lake) {
    let config = Config { rollups: false, ..patient() };
    let raw = Engine::new(lake.store.clone(), config).unwrap();
    let one = lake.sql("SELECT min(trace_id) AS id FROM spans").await;
    let one = one[0]["id"].as_str().unwrap();
    let of_one = format!("structure() WHERE trace_id = '{one}' ORDER BY span_id, nested_left");
    for wanted in [
        "structure() ORDER BY trace_id, nested_left, span_id",
        "structure() WHERE self_nano > 1000000 \
         ORDER BY start_time DESC, trace_id, nested_left, span_id LIMIT 6",
        "structure() WHERE depth > 1 AND service = 's1' \
         ORDER BY start_time, trace_id, nested_left, span_id LIMIT 3",
        &of_one,
        "structure() WHERE trace_id = 'FF'",
        "calls('s0', 's1') ORDER BY start_time DESC, trace_id, span_id, name, start_time, distance LIMIT 4",
        "descendants('service = ''s0''', 'name = ''op1''') \
         ORDER BY trace_id, span_id, name, start_time, distance",
        "descendants('duration_nano > 30000000', 'status = ''ERROR''') \
         ORDER BY start_time DESC, trace_id, span_id, name, start_time, distance LIMIT 4",
        "descendants('status = ''ERROR''', 'service <> ''s3''') \
         ORDER BY trace_id, span_id, name, start_time, distance",
        "descendants('kind = ''SERVER'' OR duration_nano % 2 = 0', 'true') \
         ORDER BY trace_id, span_id, name, start_time, distance",
        "descendants('service = name', 'true')",
    ] {
        let sql = format!("SELECT * FROM {wanted}");
        let own = json(lake.engine.sql(&sql, Vec::new()).await.unwrap()).await;
        let truth = json(raw.sql(&sql, Vec::new()).await.unwrap()).await;
        assert_eq!(own, truth, "{wanted}");
    }
}

/// Traces are split over files and the hot buffer at random; some ranges cut minutes, some lie between spans.
#[tokio::test]
async fn random_traces_add_up_however_they_are_split() {
    for seed in 0..4 {
        let mut dice = Dice(seed);
        let lake = Lake::empty().await;
        let mut spans = traces(&mut dice, BEGIN, 40);
        // Neighbours stay together mostly; some spans come much later or earlier than the rest of their trace.
        for at in 0..spans.len() {
            if dice.roll().is_multiple_of(5) {
                let other = usize::try_from(dice.roll()).unwrap() % spans.len();
                spans.swap(at, other);
            }
        }
        for piece in spans.chunks(spans.len() / 9 + 1) {
            lake.store.append(request(piece)).await.unwrap();
            if dice.roll().is_multiple_of(3) {
                lake.store.flush().await.unwrap();
                // What is known of the files before is used again.
                say_the_same_as_spans(&lake, &[]).await;
            }
        }
        let mut borders: Vec<u64> = (0..2).map(|_| BEGIN + dice.roll() % (25 * MINUTE)).collect();
        borders.push(BEGIN + 3 * MINUTE);
        borders.sort_unstable();
        let borders: Vec<String> = borders.iter().map(u64::to_string).collect();
        let borders: Vec<&str> = borders.iter().map(String::as_str).collect();
        println!("seed {seed}");
        say_the_same_as_spans(&lake, &borders).await;
        lists_say_the_same_as_spans(&lake).await;
        trees_say_the_same_as_spans(&lake).await;
        lake.store.flush().await.unwrap();
        plans_tell_the_notes(&lake).await;
        say_the_same_as_spans(&lake, &borders).await;
        lists_say_the_same_as_spans(&lake).await;
        trees_say_the_same_as_spans(&lake).await;
        lake.store.close().await.unwrap();
    }
}

/// Rollups have the names that were sent, some of which are shown as others: also as each other's.
#[tokio::test]
async fn renamed_operations_add_up_as_their_spans_do() {
    for is_sampled in [false, true] {
        let mut dice = Dice(7);
        let lake = Lake::empty().await;
        let mut spans = traces(&mut dice, BEGIN, 40);
        for span in spans.iter_mut().filter(|_| !is_sampled) {
            span.json = span.json.replace(r#","traceState":"ot=th:8""#, "");
        }
        for (number, piece) in spans.chunks(spans.len() / 5 + 1).enumerate() {
            lake.store.append(request(piece)).await.unwrap();
            if number < 4 {
                lake.store.flush().await.unwrap();
            }
        }
        let rename = |service: &str, name: &str, to: &str| storage::patch::What::Rename {
            service: service.into(),
            name: name.into(),
            to: to.into(),
        };
        // Two become one; then two change places.
        let one = [rename("s1", "op0", "op1")];
        let both = [rename("s2", "op0", "x"), rename("s2", "op1", "op0"), rename("s2", "x", "op1")];
        for renames in [&one[..], &both[..]] {
            for what in renames {
                lake.store.patch(what.clone()).await.unwrap();
            }
            renamed_views_are_equal(&lake, is_sampled).await;
        }
    }
}

async fn renamed_views_are_equal(lake: &Lake, is_sampled: bool) {
    let config = Config { rollups: false, ..patient() };
    let raw = Engine::new(lake.store.clone(), config).unwrap();
    for view in VIEWS.into_iter().filter(|view| *view != View::Traces) {
        let request = ViewRequest::everything(view);
        let spans = raw.view(request.clone()).await.unwrap();
        let rollups = lake.engine.view(request).await.unwrap();
        // Of sampled operations that become one, only spans tell the standard error.
        let expected = if is_sampled { "spans: sampled operations" } else { "rollups" };
        assert!(source(&rollups).starts_with(expected), "{view:?}: {}", source(&rollups));
        equal(view, false, &json(rollups).await, &json(spans).await);
    }
    let rows = lake.view(View::Operations).await;
    let shown = |name: &str| rows.iter().any(|row| row["service"] == "s1" && row["name"] == name);
    assert!(shown("op1") && !shown("op0"));
}
