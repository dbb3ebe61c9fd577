use super::template;

#[test]
fn what_differs_from_request_to_request_is_folded() {
    for (path, expected) in [
        ("/orders/4711/items", "/orders/{number}/items"),
        ("https://shop.example:8080/a/b?x=/1#y", "/a/b"),
        ("https://shop.example", "/"),
        ("", "/"),
        ("//", "/"),
        ("/v1/users/6ba7b810-9dad-11d1-80b4-00c04fd430c8", "/v1/users/{id}"),
        ("/media/deadbeef01/cafe", "/media/{id}/cafe"),
        ("/u/jo@example.org", "/u/{id}"),
        ("/s/eyJhbGciOiJIUzI1NiJ9abc", "/s/{id}"),
        ("/wp-login.php", "/wp-login.php"),
        ("/a/b/c/d/e/f/g/h/i/j", "/a/b/c/d/e/f/g/h/…"),
        ("/Ä1/ß", "/Ä1/ß"),
    ] {
        assert_eq!(template::of(path), expected, "{path}");
    }
    assert_eq!(template::of(&format!("/{}", "é".repeat(100))).chars().count(), 41);
}
