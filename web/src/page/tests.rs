use super::*;

fn get(path: &str) -> Response {
    let uri: Uri = path.parse().unwrap();
    futures::executor::block_on(serve(Method::GET, uri, HeaderMap::new()))
}

#[test]
fn unknown_paths_are_the_page_itself() {
    for path in ["/", "/traces", "/trace/0123"] {
        let response = get(path);
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-cache");
    }
}

#[test]
fn unknown_files_and_api_paths_are_not_found() {
    for path in ["/assets/nothing.js", "/api/v2/sql", "/api", "/../etc/passwd.txt"] {
        assert_eq!(get(path).status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[test]
fn a_known_version_is_not_sent_again() {
    let tag = get("/").headers()[header::ETAG].clone();
    let mut headers = HeaderMap::new();
    headers.insert(header::IF_NONE_MATCH, tag);
    let again = futures::executor::block_on(serve(Method::GET, Uri::from_static("/"), headers));
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
}

#[test]
fn the_page_takes_no_other_methods() {
    let uri = Uri::from_static("/");
    let response = futures::executor::block_on(serve(Method::POST, uri, HeaderMap::new()));
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
}
