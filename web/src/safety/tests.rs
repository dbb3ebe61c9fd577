use super::*;

fn try_admit(method: &Method, uri: &str, pairs: &[(&'static str, &str)]) -> Result<()> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    admit(&["spans.example".to_owned()], method, &uri.parse().unwrap(), &headers)
}

#[test]
fn only_our_host_names_are_answered() {
    for host in ["localhost:8080", "127.0.0.1", "[::1]:8080", "[::1]", "SPANS.example:443"] {
        assert!(try_admit(&Method::GET, "/", &[("host", host)]).is_ok(), "{host}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:8080",
        "",
        "::1",
        "localhost:80:80",
        "localhost:evil",
    ] {
        let result = try_admit(&Method::GET, "/", &[("host", host)]);
        assert!(matches!(result, Err(Error::Misdirected(_))), "{host}");
    }
    let without = try_admit(&Method::GET, "/", &[]);
    assert!(matches!(without, Err(Error::Misdirected(_))));
}

#[test]
fn the_authority_of_the_uri_counts_as_well() {
    let good = "http://localhost:8080/api/v1/status";
    assert!(try_admit(&Method::GET, good, &[]).is_ok());
    assert!(try_admit(&Method::GET, good, &[("host", "evil.example")]).is_err());
    let bad = "http://evil.example/api/v1/status";
    assert!(try_admit(&Method::GET, bad, &[("host", "localhost")]).is_err());
}

#[test]
fn probes_are_answered_by_any_name() {
    assert!(try_admit(&Method::GET, "/healthz", &[("host", "10.0.0.7:8080")]).is_ok());
    assert!(try_admit(&Method::POST, "/healthz", &[("host", "10.0.0.7:8080")]).is_err());
}

#[test]
fn other_sites_cannot_post() {
    let post = |pairs: &[(&'static str, &str)]| {
        let mut all = vec![("host", "localhost:8080")];
        all.extend_from_slice(pairs);
        try_admit(&Method::POST, "/api/v1/sql", &all)
    };
    assert!(post(&[]).is_ok());
    assert!(post(&[("origin", "http://localhost:8080")]).is_ok());
    assert!(post(&[("sec-fetch-site", "same-origin")]).is_ok());
    for origin in ["null", "http://evil.example", "http://localhost:9999", "localhost:8080"] {
        assert!(matches!(post(&[("origin", origin)]), Err(Error::Forbidden(_))), "{origin}");
    }
    assert!(post(&[("sec-fetch-site", "cross-site")]).is_err());
    assert!(post(&[("sec-fetch-site", "same-site")]).is_err());
}

#[test]
fn a_harmless_request_id_is_kept() {
    let given = |id: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_str(id).unwrap());
        given_id(&headers)
    };
    assert_eq!(given("abc-123_X"), Some("abc-123_X".to_owned()));
    assert_eq!(given("a b"), None);
    assert_eq!(given(&"x".repeat(65)), None);
    assert_eq!(new_id().len(), 16);
}
