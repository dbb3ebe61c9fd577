use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span as Sent;
use prost::Message as _;

use super::*;

/// Spans of `events`, by id, when no more than `window` bytes wait.
fn spans(events: &[String], window: usize) -> Result<Vec<Sent>> {
    let mut chrome = Chrome { waiting_bytes_max: window, ..Chrome::default() };
    let (mut requests, mut ready) = (Requests::default(), VecDeque::new());
    for (offset, event) in (0u64..).zip(events) {
        chrome.event(event.as_bytes(), &mut requests, (offset, &mut ready))?;
    }
    chrome.end(&mut requests, (events.len() as u64, &mut ready))?;
    requests.emit(0, &mut ready);
    let mut spans: Vec<Sent> = ready
        .iter()
        .flat_map(|piece| {
            ExportTraceServiceRequest::decode(&piece.body[..]).unwrap().resource_spans
        })
        .flat_map(|spans| spans.scope_spans)
        .flat_map(|spans| spans.spans)
        .map(|mut span| {
            // The trace is named by what was read until the first span was complete.
            span.trace_id.clear();
            span.links.iter_mut().for_each(|link| link.trace_id.clear());
            span
        })
        .collect();
    spans.sort_by(|one, other| one.span_id.cmp(&other.span_id));
    Ok(spans)
}

/// Slices three deep with an instant and a flow in each, on two threads; the outermost one ends last of all.
fn nested() -> Vec<String> {
    let mut events = vec![r#"{"ph":"B","pid":1,"tid":1,"ts":0,"name":"all"}"#.to_owned()];
    for ts in (10..20_000).step_by(20) {
        let tid = 1 + ts / 20 % 2;
        for event in [
            format!(r#""ph":"B","ts":{ts},"name":"outer""#),
            format!(r#""ph":"X","ts":{},"dur":10,"name":"inner","args":{{"n":{ts}}}"#, ts + 1),
            format!(r#""ph":"i","ts":{},"name":"instant""#, ts + 2),
            format!(r#""ph":"t","ts":{},"name":"flow","id":1"#, ts + 3),
            format!(r#""ph":"E","ts":{}"#, ts + 15),
        ] {
            events.push(format!(r#"{{"pid":1,"tid":{tid},{event}}}"#));
        }
    }
    events.push(r#"{"ph":"E","pid":1,"tid":1,"ts":30000}"#.to_owned());
    events
}

#[test]
fn a_file_larger_than_memory_is_for_gives_the_same_spans() {
    let events = nested();
    let whole = spans(&events, usize::MAX / 4).unwrap();
    assert_eq!(whole.len(), 2_001);
    for window in [10_000, 50_000, 200_000] {
        let windowed = spans(&events, window).unwrap();
        assert!(windowed == whole, "{window}");
    }
}

#[test]
fn slices_that_never_end_are_refused_before_memory_is_short() {
    let begin = |number: usize| format!(r#"{{"ph":"B","pid":1,"tid":1,"ts":{number},"name":"b"}}"#);
    let events: Vec<String> = (0..2_000).map(begin).collect();
    assert_eq!(spans(&events, 1 << 20).unwrap().len(), 2_000);
    let refused = spans(&events, 10_000).unwrap_err().to_string();
    assert!(refused.contains("open at once") && refused.contains("byte"), "{refused}");
    // At one and the same time there is no older half: all are placed.
    let same: Vec<String> = events.iter().map(|_| begin(7).replace("\"B\"", "\"X\"")).collect();
    assert_eq!(spans(&same, 500_000).unwrap().len(), 2_000);
}
