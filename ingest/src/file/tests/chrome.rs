//! Chrome's trace events: every mapping on small inputs, real files against their independent conversion, hostile
//! input.
use std::collections::HashMap;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::Span;

use super::jaeger::{of_pieces, shown, spans};
use super::*;

/// Spans by name.
fn by_name(events: &str) -> BTreeMap<String, (Span, Vec<KeyValue>)> {
    spans(events)
        .into_iter()
        .map(|(span, resource)| (span.name.clone(), (span, resource)))
        .collect()
}

fn event(fields: &str) -> String {
    format!(r#"{{"pid":1,"tid":2,{fields}}}"#)
}

fn array(events: &[&str]) -> String {
    let events: Vec<String> = events.iter().map(|fields| event(fields)).collect();
    format!("[{}]", events.join(",\n"))
}

fn times(span: &Span) -> (u64, u64) {
    (span.start_time_unix_nano, span.end_time_unix_nano)
}

#[test]
fn complete_and_begun_slices_nest_whatever_their_order() {
    let mut json = array(&[
        r#""ph":"X","name":"inner","ts":12.5,"dur":2.25,"cat":"a,b","args":{"n":1,"deep":{"x":[true,null]}}"#,
        r#""ph":"B","name":"outer","ts":10,"args":{"in":1}"#,
        r#""ph":"B","name":"last","ts":15"#,
        r#""ph":"E","ts":16,"name":"last""#,
        r#""ph":"E","ts":20,"args":{"out":2}"#,
        r#""ph":"M","name":"process_name","args":{"name":"Renderer"}"#,
        r#""ph":"M","name":"thread_name","args":{"name":"Main"}"#,
    ]);
    json.truncate(json.len() - 1);
    json.push_str(r#",{"ph":"X","name":"elsewhere","pid":1,"tid":3,"ts":11,"dur":1}]"#);
    let spans = by_name(&json);
    let [inner, outer, last, elsewhere] =
        ["inner", "outer", "last", "elsewhere"].map(|name| &spans[name]);
    assert_eq!((times(&inner.0), times(&outer.0)), ((12_500, 14_750), (10_000, 20_000)));
    assert_eq!(
        (&inner.0.parent_span_id, &last.0.parent_span_id),
        (&outer.0.span_id, &outer.0.span_id)
    );
    assert!(outer.0.parent_span_id.is_empty() && elsewhere.0.parent_span_id.is_empty());
    assert_eq!(shown(&outer.0.attributes), "in=IntValue(1) out=IntValue(2)");
    let attributes = shown(&inner.0.attributes);
    assert!(
        attributes.starts_with(r#"category=StringValue("a,b") deep=KvlistValue"#),
        "{attributes}"
    );
    assert_eq!(
        shown(&inner.1),
        r#"service.name=StringValue("Renderer") process.pid=IntValue(1) thread.id=StringValue("2") thread.name=StringValue("Main")"#
    );
    assert!(!shown(&elsewhere.1).contains("thread.name"));
    assert!(spans.values().all(|(span, _)| span.kind == 1 && span.trace_id == outer.0.trace_id));
}

#[test]
fn arrays_may_be_open_and_objects_may_have_anything_around() {
    let slice = event(r#""ph":"X","name":"s","ts":1,"dur":1"#);
    for json in [
        format!("[{slice},{slice}]"),
        format!("[{slice},\n{slice}"),
        format!("[\n{slice},\n{slice},\n"),
        format!(r#"{{"traceEvents":[{slice},{slice}],"metadata":{{"clock-domain":"x"}}}}"#),
        format!(
            r#"{{"displayTimeUnit":"ns","otherData":[1],"traceEvents":[{slice},{slice}],"systemTraceEvents":"{{"}}"#
        ),
    ] {
        assert_eq!(spans(&json).len(), 2, "{json}");
    }
    let two = format!(r#"{{"traceEvents":[{slice}]}}{{"traceEvents":[{slice},{slice}]}}"#);
    let traces: std::collections::BTreeSet<Vec<u8>> =
        spans(&two).into_iter().map(|(span, _)| span.trace_id).collect();
    assert_eq!(traces.len(), 2, "a trace a document");
}

#[test]
fn instants_are_events_of_the_slice_around_them_or_stand_alone() {
    let spans = by_name(&array(&[
        r#""ph":"i","name":"within","ts":12,"s":"t","args":{"n":1}"#,
        r#""ph":"I","name":"at the end","ts":20"#,
        r#""ph":"R","name":"after","ts":21"#,
        r#""ph":"X","name":"slice","ts":10,"dur":10"#,
    ]));
    let slice = &spans["slice"].0;
    let events: Vec<(&str, u64)> =
        slice.events.iter().map(|event| (event.name.as_str(), event.time_unix_nano)).collect();
    assert_eq!(events, [("within", 12_000), ("at the end", 20_000)]);
    assert_eq!(shown(&slice.events[0].attributes), "n=IntValue(1)");
    let alone = &spans["after"].0;
    assert_eq!(times(alone), (21_000, 21_000));
    assert_eq!(shown(&alone.attributes), r#"chrome.phase=StringValue("instant")"#);
    assert_eq!(spans.len(), 2);
}

#[test]
fn asynchronous_operations_nest_by_their_id() {
    let spans = by_name(&array(&[
        r#""ph":"b","cat":"net","id":"0x1","name":"request","ts":10"#,
        r#""ph":"b","cat":"net","id":"0x1","name":"dns","ts":11,"args":{"host":"h"}"#,
        r#""ph":"n","cat":"net","id":"0x1","name":"answer","ts":12"#,
        r#""ph":"b","cat":"net","id":"0x2","name":"other","ts":12"#,
        r#""ph":"e","cat":"net","id":"0x1","name":"dns","ts":13,"args":{"ok":true}"#,
        r#""ph":"e","cat":"net","id":"0x1","name":"request","ts":14"#,
        r#""ph":"S","cat":"cc","id":7,"name":"old","ts":15"#,
        r#""ph":"T","cat":"cc","id":7,"name":"old","ts":16,"args":{"step":"raster"}"#,
        r#""ph":"F","cat":"cc","id":7,"name":"old","ts":17"#,
        r#""ph":"e","cat":"net","id":"0x9","name":"nothing","ts":18"#,
    ]));
    let [request, dns, other, old] = ["request", "dns", "other", "old"].map(|name| &spans[name].0);
    assert_eq!((times(request), times(dns)), ((10_000, 14_000), (11_000, 13_000)));
    assert_eq!(dns.parent_span_id, request.span_id);
    assert_eq!(dns.events[0].name, "answer");
    assert!(shown(&dns.attributes).contains("host=") && shown(&dns.attributes).contains("ok="));
    assert!(shown(&other.attributes).contains("chrome.unclosed=BoolValue(true)"));
    assert_eq!(times(other), (12_000, 18_000), "the newest time of the file");
    assert_eq!((times(old), old.events.len()), ((15_000, 17_000), 1));
    assert!(shown(&old.attributes).contains(r#"chrome.phase=StringValue("async")"#));
}

#[test]
fn flows_link_a_slice_to_the_one_they_come_from() {
    let spans = by_name(&array(&[
        r#""ph":"f","cat":"c","id":1,"name":"flow","ts":30,"bp":"e""#,
        r#""ph":"X","name":"first","ts":10,"dur":5"#,
        r#""ph":"X","name":"second","ts":20,"dur":5"#,
        r#""ph":"X","name":"third","ts":29,"dur":5"#,
        r#""ph":"s","cat":"c","id":1,"name":"flow","ts":11"#,
        r#""ph":"t","cat":"c","id":1,"name":"flow","ts":21"#,
        r#""ph":"s","cat":"c","id":2,"name":"next","ts":31"#,
        r#""ph":"f","cat":"c","id":2,"name":"next","ts":38"#,
        r#""ph":"X","name":"fourth","ts":40,"dur":5"#,
    ]));
    let [first, second, third, fourth] =
        ["first", "second", "third", "fourth"].map(|name| &spans[name].0);
    let from = |span: &Span| -> Vec<Vec<u8>> {
        span.links.iter().map(|link| link.span_id.clone()).collect()
    };
    assert!(from(first).is_empty());
    assert_eq!(from(second), std::slice::from_ref(&first.span_id));
    assert_eq!(from(third), std::slice::from_ref(&second.span_id));
    assert_eq!(from(fourth), std::slice::from_ref(&third.span_id));
    assert_eq!(third.links[0].trace_id, third.trace_id);
    assert_eq!(shown(&fourth.links[0].attributes), r#"chrome.flow=StringValue("next")"#);
}

#[test]
fn what_has_no_place_is_counted() {
    let json = array(&[
        r#""ph":"X","name":"s","ts":1,"dur":1"#,
        r#""ph":"C","name":"memory","ts":1,"args":{"v":1}"#,
        r#""ph":"C","name":"memory","ts":2,"args":{"v":1}"#,
        r#""ph":"E","name":"s","ts":3"#,
        r#""ph":"X","name":"no time""#,
        r#""ph":"?","ts":1"#,
        r#""ph":"f","id":3,"ts":1"#,
    ]);
    let mut pieces = Pieces::open(Box::new(Cursor::new(json.into_bytes()))).unwrap();
    assert_eq!(pieces.by_ref().count(), 1);
    let left_out: BTreeMap<&str, u64> = pieces.left_out().into_iter().collect();
    let expected = [
        ("counters (C)", 2),
        ("ends of flows that did not begin", 1),
        ("ends of slices (E) that did not begin", 1),
        ("events of unknown phases", 1),
        ("events without a time", 1),
    ];
    assert_eq!(left_out, BTreeMap::from(expected));
}

#[test]
fn hostile_events_are_errors_with_a_position_or_refused_spans() {
    for fields in [
        r#""ph":"X","ts":"noon""#,
        r#""ph":"X","ts":[1]"#,
        r#""ph":"X","ts":1,"dur":{}"#,
        r#""ph":"X","ts":1e999"#,
        r#""ph":"X","ts":1,"ts":2"#,
    ] {
        let error = open(array(&[fields]).as_bytes()).unwrap_err().to_string();
        assert!(error.contains("byte"), "{fields}: {error}");
    }
    let deep = format!(r#""ph":"X","ts":1,"args":{{"a":{}{}}}"#, "[".repeat(400), "]".repeat(400));
    assert!(open(array(&[&deep]).as_bytes()).unwrap_err().to_string().contains("byte"));
    for fields in [r#""ph":"X","ts":-4,"dur":-5"#, r#""ph":"X","ts":1e300"#, r#""ph":"i","ts":-1"#]
    {
        assert_eq!(decode(&open(array(&[fields]).as_bytes()).unwrap()).rows(), 0, "{fields}");
    }
    let odd = r#""ph":"X","ts":"7","dur":-5,"name":7,"cat":[1],"args":"text","id":{"a":1}"#;
    let batch = decode(
        &open(
            array(&[odd, r#""ph":8,"ts":1"#, r#""ph":"B","ts":9"#, r#""ph":"E","ts":3"#])
                .as_bytes(),
        )
        .unwrap(),
    );
    assert_eq!(batch.rows(), 2);
    let cut = format!("[{},{{\"ph\":\"X\"", event(r#""ph":"X","name":"s","ts":1"#));
    let mut pieces = Pieces::open(Box::new(Cursor::new(cut.into_bytes()))).unwrap();
    assert_eq!(decode(&[pieces.next().unwrap().unwrap()]).rows(), 1, "what stands before the cut");
    assert!(pieces.next().unwrap().unwrap_err().to_string().contains("cut off"));
}

/// The conversion moved the clocks of these files, which count from the machine's start.
const MOVED: u64 = 1_600_000_000_000_000_000;

/// A span's facts, and its attributes. `thread.name` is left out of the conversion's resources where it is empty.
///
/// Attributes are compared of every 16th span: a debug build would take half a minute for all.
fn facts((span, resource): &(Span, Vec<KeyValue>), moved: u64) -> (String, Vec<String>) {
    let (start, end) = times(span);
    let (start, end) = (start + moved, end + moved);
    let head = format!("{:?} {} {} {start} {end}", span.parent_span_id, span.name, span.kind);
    if span.span_id[7] % 16 != 0 {
        return (head, Vec::new());
    }
    let attributes = span.attributes.iter().map(|pair| shown(std::slice::from_ref(pair))).collect();
    (head + &shown(resource).replace(r#" thread.name=StringValue("")"#, ""), attributes)
}

/// Facts by span id.
type Trace = HashMap<Vec<u8>, (String, Vec<String>)>;

/// The traces of a set, told apart by their numbers of spans.
fn by_trace(spans: Vec<(Span, Vec<KeyValue>)>, moved: u64) -> BTreeMap<usize, Trace> {
    let mut traces: HashMap<Vec<u8>, Trace> = HashMap::new();
    for span in spans {
        let facts = facts(&span, moved);
        traces.entry(span.0.trace_id).or_default().insert(span.0.span_id, facts);
    }
    traces.into_values().map(|trace| (trace.len(), trace)).collect()
}

/// Slices are what the conversion has, to the id. Beyond it we keep asynchronous operations and instants outside of
/// slices (spans with `chrome.phase`), instants within them (events), flows (links) and the arguments of ends.
fn check_set(folder: &Path, set: &str, expected: [usize; 4]) {
    let converted = of_pieces(&pieces(&folder.join(format!("converted/{set}.otlp.pb.gz"))));
    let mut converted = by_trace(converted, 0);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder.join(set))
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".json.gz"))
        .collect();
    files.sort();
    let mut counts = [0; 4];
    for path in files {
        let (slices, beyond): (Vec<_>, Vec<_>) = of_pieces(&pieces(&path))
            .into_iter()
            .partition(|(span, _)| span.attributes.iter().all(|pair| pair.key != "chrome.phase"));
        let sum =
            |count: fn(&Span) -> usize| slices.iter().map(|(span, _)| count(span)).sum::<usize>();
        counts[0] += slices.len();
        counts[1] += beyond.len();
        counts[2] += sum(|span| span.events.len());
        counts[3] += sum(|span| span.links.len());
        let ours = by_trace(slices, MOVED);
        assert_eq!(ours.len(), 1, "{path:?}: a trace a file");
        let (spans, ours) = ours.into_iter().next().unwrap();
        let theirs = converted.remove(&spans).unwrap();
        for (id, (head, attributes)) in ours {
            let theirs = &theirs[&id];
            assert_eq!(head, theirs.0, "{path:?} {}", hex::encode(&id));
            for attribute in &theirs.1 {
                assert!(attributes.contains(attribute), "{path:?} {attribute} {attributes:?}");
            }
        }
    }
    assert!(converted.is_empty(), "{:?}", converted.keys());
    assert_eq!(counts, expected, "{set}: slices, spans beyond them, events, links");
}

#[test]
fn lighthouse_traces_are_what_their_independent_conversion_says() {
    let Some(folder) = data() else { return };
    check_set(&folder, "chrome_lighthouse", [33_945, 560, 4_659, 436]);
}

/// With the trace of 66,373 spans.
#[test]
fn catapult_traces_are_what_their_independent_conversion_says() {
    let Some(folder) = data() else { return };
    check_set(&folder, "chrome_catapult", [129_907, 989, 1_803, 3_295]);
}
