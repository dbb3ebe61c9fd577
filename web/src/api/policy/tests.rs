use super::*;

fn change(text: &str) -> Result<PolicyChange> {
    serde_json::from_str::<ChangeText>(text).map_err(|e| Error::Invalid(e.to_string()))?.read()
}

#[test]
fn a_change_says_what_is_given_and_nothing_else() {
    let only = |text: &str| change(text).unwrap();
    assert_eq!(only(r#"{"ttl":null}"#), PolicyChange { ttl: Some(None), ..Default::default() });
    let never = PolicyChange { ttl: Some(None), ..Default::default() };
    assert_eq!(only(r#"{"ttl":"never"}"#), never);
    let off = PolicyChange { max_bytes: Some(None), ..Default::default() };
    assert_eq!(only(r#"{"max_bytes":null}"#), off);
    let both = PolicyChange { keep_latest: Some(0), rules: Some(Vec::new()), ..Default::default() };
    assert_eq!(only(r#"{"keep_latest":0,"rules":[]}"#), both);
    for wrong in [
        "{}",
        r#"{"ttl":7}"#,
        r#"{"ttl":"soon"}"#,
        r#"{"ttl":"0s"}"#,
        r#"{"days":7}"#,
        r#"{"rules":[{"class":"a"}]}"#,
        r#"{"rules":[{"class":"a","ttl":"1d","tenant":"x"}]}"#,
        r#"{"rules":[{"class":"a","ttl":"1d","slower_than":"long"}]}"#,
    ] {
        assert!(change(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_rule_reads_back_as_it_was_written() {
    let text = r#"{"class":"slow","ttl":"never","service":"cart","name":"GET /*","error":false,"root":true,"slower_than":"1500ms","attributes":{"user.tier":"gold"},"resource":{"region":"eu"}}"#;
    let read: RuleText = serde_json::from_str(text).unwrap();
    let rule = read.into_rule().unwrap();
    assert_eq!((rule.slower_than_nano, rule.ttl_seconds), (Some(1_500_000_000), None));
    assert_eq!(serde_json::to_string(&RuleText::from(&rule)).unwrap(), text);
    assert_eq!(print_duration(Duration::from_nanos(7)), "7ns");
    assert_eq!(print_duration(Duration::ZERO), "0ns");
}
