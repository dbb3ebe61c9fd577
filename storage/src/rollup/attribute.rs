//! The attributes that tell body sizes and who was called; of each list the first that a span carries counts.

/// Bytes that a SERVER or CLIENT span says its request had, newest name first.
pub const REQUEST_SIZE: &[&str] = &[
    "http.request.body.size",
    "rpc.request.size",
    "http.request_content_length",
    "http.request_content_length_uncompressed",
    "http.request.size",
];
/// The same of its response.
pub const RESPONSE_SIZE: &[&str] = &[
    "http.response.body.size",
    "rpc.response.size",
    "http.response_content_length",
    "http.response_content_length_uncompressed",
    "http.response.size",
];
/// Bytes of a message's body.
pub const MESSAGE_SIZE: &[&str] = &[
    "messaging.message.body.size",
    "messaging.message.payload_size_bytes",
    "messaging.message_payload_size_bytes",
    "messaging.message.envelope.size",
];
/// What kind of database was called.
pub const DB_SYSTEM: &[&str] = &["db.system.name", "db.system", "db.type"];
/// Which one.
pub const DB_NAMESPACE: &[&str] = &["db.namespace", "db.name", "db.instance"];
/// What kind of queue a message was sent to.
pub const MESSAGING_SYSTEM: &[&str] = &["messaging.system"];
/// Which one.
pub const DESTINATION: &[&str] =
    &["messaging.destination.name", "messaging.destination", "message_bus.destination"];
/// Who was called, best name first.
pub const ADDRESS: &[&str] = &[
    "server.address",
    "peer.service",
    "service.peer.name",
    "net.peer.name",
    "peer.hostname",
    "http.host",
    "rpc.service",
    "network.peer.address",
    "net.peer.ip",
    "net.sock.peer.addr",
    "peer.ipv4",
    "peer.ipv6",
    "peer.address",
];
/// Of these the host tells who was called.
pub const URL: &[&str] = &["url.full", "http.url"];

/// All of them.
pub fn all() -> impl Iterator<Item = &'static str> {
    let lists = [REQUEST_SIZE, RESPONSE_SIZE, MESSAGE_SIZE, DB_SYSTEM, DB_NAMESPACE]
        .into_iter()
        .chain([MESSAGING_SYSTEM, DESTINATION, ADDRESS, URL]);
    lists.flatten().copied()
}

/// A size as it is written: a whole number of bytes, not below 0.
pub fn bytes(value: &str) -> Option<i64> {
    let bytes = value.parse::<i64>().ok().or_else(|| whole(value.parse().ok()?))?;
    (bytes >= 0).then_some(bytes)
}

/// A number that is whole and exact.
#[expect(clippy::cast_possible_truncation, reason = "checked to be a whole number in range")]
pub(crate) fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
}

/// The name of a database or queue: `postgresql/orders`.
pub fn joined(system: &str, rest: Option<&str>) -> String {
    rest.map_or_else(|| system.to_owned(), |rest| format!("{system}/{rest}"))
}

/// The host (and port) of a URL.
pub fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    Some(host).filter(|host| !host.is_empty())
}
