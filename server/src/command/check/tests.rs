use serde_json::json;

use super::*;

#[test]
fn what_failed_is_named_with_its_examples() {
    let rows = [
        json!({"name": "fine", "passed": true, "tested": 3, "failed": 0, "expected": "x",
            "examples": ""}),
        json!({"name": "bad", "passed": false, "tested": 12, "failed": 2,
            "expected": "no span below with y", "examples": "a/b (1 found), c/d (2 found)"}),
    ];
    let words = in_words(&rows);
    let lines: Vec<&str> = words.lines().collect();
    assert_eq!(lines.len(), 7, "{words}");
    assert!(lines[1].starts_with("passed") && lines[1].ends_with("fine"), "{words}");
    assert!(lines[2].starts_with("FAILED") && lines[2].ends_with("bad"), "{words}");
    assert_eq!(
        lines[4..],
        ["bad: expected no span below with y", "  a/b (1 found)", "  c/d (2 found)"]
    );
}
