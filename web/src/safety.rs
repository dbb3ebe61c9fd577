//! What every request passes before its route and every answer after it.
//!
//! A page in the user's browser must not reach this server: the `Host` must be ours (else 421, which stops DNS
//! rebinding) and whoever changes something must come from our own origin (else 403).
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;

use crate::state::Shared;
use crate::{Error, Result};

/// Header of request ids, in both directions.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// On every answer. `Permissions-Policy` names what browsers would otherwise grant.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request being handled by this task; a new one outside of any.
pub(crate) fn request_id() -> String {
    CURRENT.try_with(String::clone).unwrap_or_else(|_| new_id())
}

/// The outermost layer.
pub(crate) async fn guard(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let id = given_id(request.headers()).unwrap_or_else(new_id);
    let is_api = request.uri().path().starts_with("/api/");
    let mut response = CURRENT.scope(id.clone(), handle(&shared, request, next)).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_api {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

async fn handle(shared: &Shared, request: Request, next: Next) -> Response {
    if let Err(error) = admit(&shared.web.hosts, request.method(), request.uri(), request.headers())
    {
        return error.into_response();
    }
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => Error::Internal("a handler panicked".to_owned()).into_response(),
    }
}

/// Refuses foreign hosts and, where something may change, foreign origins.
fn admit(hosts: &[String], method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<()> {
    // Probes come by address; they learn and change nothing.
    if matches!(uri.path(), "/healthz" | "/readyz") && is_reading(method) {
        return Ok(());
    }
    let named = headers.get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    let authority = uri.authority().map(axum::http::uri::Authority::as_str);
    let host = authority.or(named).unwrap_or_default();
    for asked in [Some(host), named].into_iter().flatten() {
        if !is_ours(hosts, asked) {
            return Err(Error::Misdirected(asked.chars().take(100).collect()));
        }
    }
    if is_reading(method) { Ok(()) } else { same_origin(host, headers) }
}

fn is_reading(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Browsers send `Origin` with everything that is not a plain read; other clients do not.
fn same_origin(host: &str, headers: &HeaderMap) -> Result<()> {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let is_foreign = matches!(site, Some(site) if site != b"same-origin" && site != b"none");
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    let matches = |origin: &str| {
        let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host))
    };
    if is_foreign || origin.is_some_and(|origin| !matches(origin)) {
        return Err(Error::Forbidden("requests from other sites are refused".to_owned()));
    }
    Ok(())
}

/// `name`, `name:port`, `[v6]`, `[v6]:port`.
fn is_ours(hosts: &[String], asked: &str) -> bool {
    let name = match asked.rfind(':') {
        Some(colon) if !asked.ends_with(']') => {
            let port = &asked[colon + 1..];
            if !port.bytes().all(|digit| digit.is_ascii_digit()) {
                return false;
            }
            &asked[..colon]
        }
        _ => asked,
    };
    let always = ["localhost", "127.0.0.1", "[::1]"];
    let mut known = always.into_iter().chain(hosts.iter().map(String::as_str));
    known.any(|known| known.eq_ignore_ascii_case(name))
}

/// A client's own id, where it is harmless.
fn given_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    ((1..=64).contains(&id.len()) && id.bytes().all(is_plain)).then(|| id.to_owned())
}

fn new_id() -> String {
    let mut bits = [0u8; 8];
    match getrandom::fill(&mut bits) {
        Ok(()) => hex::encode(bits),
        Err(_) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests;
