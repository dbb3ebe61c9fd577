use std::collections::{HashMap, HashSet};

use super::model::{Ask, ENTRIES, SERVICES, Step};
use super::shop::operations;
use super::span::{Kind, Span};
use super::*;

const ORIGIN: i64 = 1_800_000_000 * NANOS_PER_SECOND;

fn shop(seed: u64) -> Shop {
    Shop::new(seed, 500.0, ORIGIN)
}

fn spans(shop: &Shop, from: i64, until: i64) -> Vec<Span> {
    let origin = ORIGIN / NANOS_PER_SECOND;
    (from..until).flat_map(|second| shop.second(origin + second)).collect()
}

#[test]
fn the_tables_name_only_what_exists() {
    let shop = shop(1);
    for entry in ENTRIES {
        shop.operation(entry.service, entry.name);
    }
    let mut steps: Vec<&Step> = Vec::new();
    for operation in operations() {
        shop.service(operation.service);
        steps.extend(operation.steps);
    }
    let mut sent = HashSet::new();
    while let Some(step) = steps.pop() {
        match step {
            Step::Call(service, name)
            | Step::Retry(service, name)
            | Step::Optional(service, name) => {
                shop.operation(service, name);
            }
            Step::Together(more) | Step::Cached(_, _, more) | Step::Sometimes(_, more) => {
                steps.extend(*more)
            }
            Step::Send(topic, _) => {
                sent.insert(*topic);
            }
            _ => {}
        }
    }
    let taken: HashSet<&str> = operations()
        .filter_map(|operation| match operation.ask {
            Ask::Topic(topic, _) | Ask::Batch(topic, _) => Some(topic),
            _ => None,
        })
        .collect();
    assert_eq!(sent, taken);
}

#[test]
fn the_same_seed_makes_the_same_spans() {
    assert_eq!(spans(&shop(7), 0, 3), spans(&shop(7), 0, 3));
    assert_ne!(spans(&shop(7), 0, 3), spans(&shop(8), 0, 3));
}

#[test]
fn the_rate_is_about_what_was_asked_for() {
    let made = spans(&shop(3), 0, 60).len() / 60;
    assert!((350..750).contains(&made), "{made} spans a second");
}

#[test]
fn parents_exist_and_synchronous_children_lie_within_them() {
    let spans = spans(&shop(2), 0, 20);
    let by_id: HashMap<_, _> = spans.iter().map(|span| ((span.trace, span.id), span)).collect();
    assert_eq!(by_id.len(), spans.len(), "ids are unique");
    for span in &spans {
        assert!(span.start < span.end, "{span:?}");
        for event in &span.events {
            assert!((span.start..=span.end).contains(&event.at), "{span:?}");
        }
        let Some(parent) = span.parent else { continue };
        let parent = by_id[&(span.trace, parent)];
        assert!(parent.start <= span.start, "{span:?} in {parent:?}");
        if span.kind != Kind::Consumer {
            assert!(span.end <= parent.end, "{span:?} in {parent:?}");
        }
    }
}

#[test]
fn thirty_services_speak_in_every_kind_with_links_errors_and_gaps_in_sizes() {
    let spans = spans(&shop(5), 0, 120);
    let services: HashSet<usize> = spans.iter().map(|span| span.service).collect();
    assert_eq!(services.len(), SERVICES.len());
    for kind in [Kind::Internal, Kind::Server, Kind::Client, Kind::Producer, Kind::Consumer] {
        assert!(spans.iter().any(|span| span.kind == kind), "{kind:?}");
    }
    let batches = spans.iter().filter(|span| span.links.len() > 1 && span.parent.is_none());
    assert!(batches.count() > 10);
    let exceptions = spans.iter().filter(|span| span.events.iter().any(|e| e.name == "exception"));
    assert!(exceptions.count() > 10);
    let roots: HashSet<&str> =
        spans.iter().filter(|s| s.parent.is_none()).map(|s| s.name.as_ref()).collect();
    assert!(roots.len() >= 12, "{roots:?}");
    let servers = spans.iter().filter(|span| span.kind == Kind::Server);
    let (with, without): (Vec<&Span>, Vec<&Span>) = servers.partition(|span| {
        span.attributes
            .iter()
            .any(|(key, _)| key.ends_with("request.body.size") || key.ends_with("request.size"))
    });
    assert!(with.len() > without.len() && !without.is_empty());
}

#[test]
fn incidents_stand_out() {
    let shop = shop(11);
    let slowest = |from: i64, until: i64| {
        let spans = spans(&shop, from, until);
        let slow = spans.iter().filter(|span| {
            span.attributes.iter().any(|(key, value)| {
                *key == "db.query.text" && *value == super::shop::SLOW_STATEMENT.into()
            })
        });
        slow.map(|span| span.end - span.start).max().unwrap()
    };
    // The first cycle's incident lasts from second 60 to 150.
    assert!(slowest(70, 140) > 4 * slowest(0, 55));
    let failed = |from: i64, until: i64| {
        let spans = spans(&shop, from, until);
        let payment = shop.service("payment");
        let bad = spans.iter().filter(|s| s.service == payment && s.version == "2.8.0");
        let bad: Vec<&Span> = bad.collect();
        (bad.len(), bad.iter().filter(|s| s.error.is_some()).count())
    };
    assert_eq!(failed(300, 355), (0, 0));
    let (new, errors) = failed(370, 440);
    assert!(new > 10 && errors * 8 > new, "{errors} of {new}");
}

#[test]
fn every_encoding_holds_every_span() {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use prost::Message;
    let spans = spans(&shop(9), 0, 2);
    let request = ExportTraceServiceRequest::decode(encode::protobuf(&spans).as_slice()).unwrap();
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    assert_eq!(scopes.map(|scope| scope.spans.len()).sum::<usize>(), spans.len());
    let json: serde_json::Value = serde_json::from_slice(&encode::json(&spans)).unwrap();
    let groups = json["resourceSpans"].as_array().unwrap().iter();
    let count = groups.map(|group| group["scopeSpans"][0]["spans"].as_array().unwrap().len());
    assert_eq!(count.sum::<usize>(), spans.len());
    let zipkin: serde_json::Value = serde_json::from_slice(&encode::zipkin(&spans)).unwrap();
    assert_eq!(zipkin.as_array().unwrap().len(), spans.len());
}

#[test]
fn a_shop_that_opens_again_goes_on_where_its_table_ends() {
    let now = ORIGIN / NANOS_PER_SECOND;
    assert_eq!(history_from(now, None), now - HISTORY_SECONDS);
    assert_eq!(history_from(now, Some(ORIGIN - 90 * NANOS_PER_SECOND + 5)), now - 89);
    assert_eq!(history_from(now, Some(ORIGIN - 3_600 * NANOS_PER_SECOND)), now - HISTORY_SECONDS);
    // A span of this very second: the next one is the first to be made.
    assert_eq!(history_from(now, Some(ORIGIN + 1)), now + 1);
}
