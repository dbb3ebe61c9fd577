//! Attributes by OpenTelemetry's semantic conventions.
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::model::{Ask, CACHE, Database, Operation, Statement};
use super::span::{Attributes, Value};

type Random = ChaCha8Rng;

/// Around `bytes`.
fn size(bytes: i64, random: &mut Random) -> Value {
    Value::Int(bytes * random.random_range(60..=140) / 100)
}

fn split(name: &'static str, between: char) -> (&'static str, &'static str) {
    name.split_once(between).unwrap_or((name, ""))
}

/// A route with numbers in place of its parameters.
fn path(route: &str, random: &mut Random) -> String {
    let parts = route.split('/').map(|part| {
        if part.starts_with('{') {
            random.random_range(100..5_000).to_string()
        } else {
            part.into()
        }
    });
    parts.collect::<Vec<String>>().join("/")
}

fn method(word: &'static str) -> Value {
    Value::from(word.to_uppercase())
}

/// On the side that was asked.
pub(super) fn asked(
    operation: &Operation,
    failed: bool,
    sizes: bool,
    messages: usize,
    random: &mut Random,
) -> Attributes {
    match operation.ask {
        Ask::Http(name, request, response) => {
            let (verb, route) = split(name, ' ');
            let mut attributes = vec![
                ("http.request.method", method(verb)),
                ("http.route", route.into()),
                ("url.path", path(route, random).into()),
                ("url.scheme", "http".into()),
                ("server.address", operation.service.into()),
                ("network.protocol.version", "1.1".into()),
                ("http.response.status_code", Value::Int(if failed { 500 } else { 200 })),
            ];
            push_http_sizes(&mut attributes, sizes, [request, response], random);
            push_error(&mut attributes, failed, "500");
            if verb == "POST" && route.contains("checkout") {
                attributes.extend(basket(random));
            }
            attributes
        }
        Ask::Rpc(name, request, response) => {
            let mut attributes = rpc(name, failed);
            push_rpc_sizes(&mut attributes, sizes, [request, response], random);
            attributes
        }
        Ask::Topic(topic, bytes) | Ask::Batch(topic, bytes) => {
            let mut attributes = messaging(topic, "process", random);
            if matches!(operation.ask, Ask::Batch(..)) {
                let count = i64::try_from(messages).unwrap_or(i64::MAX);
                attributes.push(("messaging.batch.message_count", Value::Int(count)));
                attributes.push(("messaging.message.body.size", Value::Int(bytes * count)));
            } else if sizes {
                attributes.push(("messaging.message.body.size", size(bytes, random)));
            }
            attributes.push(("messaging.consumer.group.name", operation.service.into()));
            attributes
        }
        Ask::Job(name) => vec![("job.name", name.into()), ("job.manual", Value::Bool(false))],
    }
}

/// On the side that asks.
pub(super) fn asking(
    operation: &Operation,
    failed: bool,
    sizes: bool,
    again: u8,
    random: &mut Random,
) -> Attributes {
    let mut attributes = match operation.ask {
        Ask::Http(name, request, response) => {
            let (verb, route) = split(name, ' ');
            let url = format!("http://{}:8080{}", operation.service, path(route, random));
            let mut attributes = vec![
                ("http.request.method", method(verb)),
                ("url.full", url.into()),
                ("server.address", operation.service.into()),
                ("server.port", Value::Int(8080)),
                ("http.response.status_code", Value::Int(if failed { 500 } else { 200 })),
            ];
            push_http_sizes(&mut attributes, sizes, [request, response], random);
            push_error(&mut attributes, failed, "500");
            attributes
        }
        Ask::Rpc(name, request, response) => {
            let mut attributes = rpc(name, failed);
            attributes.push(("server.address", operation.service.into()));
            push_rpc_sizes(&mut attributes, sizes, [request, response], random);
            attributes
        }
        _ => Vec::new(),
    };
    if again > 0 {
        attributes.push(("http.request.resend_count", Value::Int(i64::from(again))));
    }
    attributes
}

fn push_error(attributes: &mut Attributes, failed: bool, kind: &'static str) {
    if failed {
        attributes.push(("error.type", kind.into()));
    }
}

fn push_http_sizes(
    attributes: &mut Attributes,
    known: bool,
    [request, response]: [i64; 2],
    random: &mut Random,
) {
    if known {
        attributes.push(("http.request.body.size", size(request, random)));
        attributes.push(("http.response.body.size", size(response, random)));
    }
}

fn push_rpc_sizes(
    attributes: &mut Attributes,
    known: bool,
    [request, response]: [i64; 2],
    random: &mut Random,
) {
    if known {
        attributes.push(("rpc.request.size", size(request, random)));
        attributes.push(("rpc.response.size", size(response, random)));
    }
}

fn rpc(name: &'static str, failed: bool) -> Attributes {
    let (service, call) = split(name, '/');
    let mut attributes = vec![
        ("rpc.system", "grpc".into()),
        ("rpc.service", service.into()),
        ("rpc.method", call.into()),
        ("rpc.grpc.status_code", Value::Int(if failed { 13 } else { 0 })),
    ];
    push_error(&mut attributes, failed, "INTERNAL");
    attributes
}

fn basket(random: &mut Random) -> Attributes {
    let items = random.random_range(1..7);
    let skus = (0..items).map(|_| format!("sku-{}", random.random_range(1_000..9_999)).into());
    let skus = Value::Texts(skus.collect());
    let cents = f64::from(random.random_range(900..42_000_u32));
    vec![
        ("shop.cart.items", Value::Int(items)),
        ("shop.cart.skus", skus),
        ("shop.total", Value::Double(cents / 100.0)),
        ("shop.express", Value::Bool(random.random_bool(0.2))),
    ]
}

const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1",
    "Shop/8.4 (Android 16; Pixel 9)",
];
const COUNTRIES: [&str; 6] = ["DE", "FR", "US", "GB", "JP", "BR"];

/// Who sent the first request.
pub(super) fn visitor(random: &mut Random) -> Attributes {
    let address = format!("198.51.100.{}", random.random_range(1..255));
    vec![
        ("client.address", address.into()),
        ("user_agent.original", AGENTS.choose(random).copied().unwrap_or_default().into()),
        ("geo.country.iso_code", COUNTRIES.choose(random).copied().unwrap_or_default().into()),
        ("enduser.pseudo.id", format!("u{:05}", random.random_range(0..20_000)).into()),
    ]
}

/// A statement at a database server.
pub(super) fn statement(
    database: &Database,
    Statement(operation, collection, text, _): &Statement,
    server: &'static str,
    failed: bool,
    random: &mut Random,
) -> Attributes {
    let mut attributes = vec![
        ("db.system.name", database.system.into()),
        ("db.namespace", database.namespace.into()),
        ("db.operation.name", (*operation).into()),
        ("db.collection.name", (*collection).into()),
        ("db.query.text", (*text).into()),
        ("server.address", server.into()),
        ("server.port", Value::Int(database.port)),
    ];
    if operation.eq_ignore_ascii_case("select") {
        attributes.push(("db.response.returned_rows", Value::Int(random.random_range(0..40))));
    }
    push_error(&mut attributes, failed, "40P01");
    attributes
}

/// A look into the cache.
pub(super) fn look_up(what: &'static str, hit: bool, random: &mut Random) -> Attributes {
    let server = CACHE.servers.choose(random).copied().unwrap_or_default();
    vec![
        ("db.system.name", CACHE.system.into()),
        ("db.namespace", CACHE.namespace.into()),
        ("db.operation.name", "GET".into()),
        ("db.query.text", format!("GET {what}:?").into()),
        ("server.address", server.into()),
        ("server.port", Value::Int(CACHE.port)),
        ("cache.hit", Value::Bool(hit)),
    ]
}

/// A request to somebody else's server.
pub(super) fn external(
    (verb, host, path): (&'static str, &'static str, &'static str),
    sizes: Option<[i64; 2]>,
    failed: bool,
    random: &mut Random,
) -> Attributes {
    let mut attributes = vec![
        ("http.request.method", verb.into()),
        ("url.full", format!("https://{host}{path}").into()),
        ("server.address", host.into()),
        ("server.port", Value::Int(443)),
        ("http.response.status_code", Value::Int(if failed { 503 } else { 200 })),
    ];
    push_http_sizes(&mut attributes, sizes.is_some(), sizes.unwrap_or_default(), random);
    push_error(&mut attributes, failed, "503");
    attributes
}

/// A message that is sent.
pub(super) fn sent(topic: &'static str, bytes: i64, random: &mut Random) -> Attributes {
    let mut attributes = messaging(topic, "send", random);
    attributes.push(("messaging.message.body.size", size(bytes, random)));
    attributes
}

fn messaging(topic: &'static str, operation: &'static str, random: &mut Random) -> Attributes {
    vec![
        ("messaging.system", "kafka".into()),
        ("messaging.destination.name", topic.into()),
        ("messaging.operation.type", operation.into()),
        ("messaging.destination.partition.id", random.random_range(0..6).to_string().into()),
        ("server.address", "kafka-1".into()),
        ("server.port", Value::Int(9092)),
    ]
}

/// Type and message of an exception, as a language would have it.
pub(super) fn exception(
    language: &'static str,
    random: &mut Random,
) -> (&'static str, &'static str) {
    let kind = match language {
        "java" => "java.lang.IllegalStateException",
        "python" => "ValueError",
        "nodejs" => "TypeError",
        "dotnet" => "System.InvalidOperationException",
        "ruby" => "ActiveRecord::StatementInvalid",
        "php" => "RuntimeException",
        _ => "*errors.errorString",
    };
    const WORDS: [&str; 4] = [
        "unexpected response from the store",
        "value must not be empty: currency",
        "connection pool exhausted after 30000 ms",
        "cannot read properties of undefined (reading 'amount')",
    ];
    (kind, WORDS.choose(random).copied().unwrap_or_default())
}

/// A stack trace, short.
pub(super) fn stack(service: &str, kind: &str) -> String {
    format!(
        "{kind}\n    at {service}.handle(handler:{})\n    at {service}.serve(server:41)",
        service.len() * 17
    )
}
