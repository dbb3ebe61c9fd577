use super::*;

fn rule(class: &str, ttl_seconds: Option<u64>) -> Rule {
    Rule { class: class.into(), ttl_seconds, ..Rule::default() }
}

#[track_caller]
fn is_wrong(rules: &[Rule], words: &str) {
    let error = Rule::check_all(rules).unwrap_err();
    assert!(matches!(&error, Error::Invalid(text) if text.contains(words)), "{error}");
}

#[test]
fn rules_that_cannot_stand_together_are_refused_with_words() {
    Rule::check_all(&[rule("errors", Some(1)), rule("errors", Some(1)), rule("slow-2_x", None)])
        .unwrap();
    is_wrong(
        &[rule("errors", Some(1)), rule("errors", None)],
        "rule 2: the class errors has another",
    );
    is_wrong(&[rule("kept", None)], "Spanlake's own");
    is_wrong(&[rule("default", None)], "Spanlake's own");
    is_wrong(&[rule("Errors", None)], "a-z");
    is_wrong(&[rule("", None)], "1 to 32");
    is_wrong(&vec![rule("a", None); 101], "at most 100");
}

#[test]
fn a_class_without_a_rule_stays_and_the_longest_counts_every_rule() {
    let mut policy = Policy::of(&Config::in_folder("unused"));
    let seconds = Duration::from_secs;
    policy.ttl.duration = Some(seconds(10));
    policy.rules = [rule("short", Some(1)), rule("long", Some(20))].into();
    assert_eq!(policy.lifetime("short"), Lifetime::For(seconds(1)));
    assert_eq!(policy.lifetime(DEFAULT_CLASS), Lifetime::For(seconds(10)));
    assert_eq!(policy.lifetime(KEPT_CLASS), Lifetime::Forever);
    assert_eq!(policy.lifetime("gone"), Lifetime::Unnamed);
    assert_eq!(policy.longest(), Some(seconds(20)));
    policy.rules = [rule("ever", None)].into();
    assert_eq!((policy.lifetime("ever"), policy.longest()), (Lifetime::Forever, None));
}

#[test]
fn a_rule_is_stored_with_its_conditions_only() {
    let mut stored = rule("slow", None);
    stored.slower_than_nano = Some(5);
    stored.attributes.insert("user.tier".into(), "gold".into());
    let text = serde_json::to_string(&stored).unwrap();
    let expected = r#"{"class":"slow","ttl_seconds":null,"slower_than_nano":5,"attributes":{"user.tier":"gold"}}"#;
    assert_eq!(text, expected);
    assert_eq!(serde_json::from_str::<Rule>(&text).unwrap(), stored);
    assert!(serde_json::from_str::<Rule>(r#"{"class":"a","ttl_seconds":1,"tenant":"x"}"#).is_err());
}
