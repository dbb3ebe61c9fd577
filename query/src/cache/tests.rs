use super::*;

#[test]
fn all_caches_together_hold_what_is_allowed() {
    let parts = [
        FOOTERS,
        DICTIONARIES,
        PAGES,
        TRACE_KEYS,
        CHOSEN,
        VOCABULARIES,
        SHAPES,
        LONGEST,
        BEGINNINGS,
        OPEN_TRACES,
        HOT_TRACES,
    ];
    assert_eq!(parts.iter().sum::<usize>(), PARTS);
    assert_eq!(share(BYTES_DEFAULT, PAGES), 80 << 20);
    let account = Account::of("pages", PAGES);
    assert_eq!(account.bytes_max(), 80 << 20);
    account.allow(64 << 20);
    let all: usize = parts.iter().map(|parts| share(64 << 20, *parts)).sum();
    assert!(all <= 64 << 20 && account.bytes_max() == share(64 << 20, PAGES));
    account.allow(0);
    assert_eq!(account.bytes_max(), 0);
}

#[test]
fn what_was_asked_for_is_counted_with_the_name_of_the_cache() {
    let account = Account::of("pages", PAGES);
    assert_eq!(account.count(Some(7)), Some(7));
    assert_eq!(account.count(None::<i32>), None);
    account.add(2, 3);
    let [bytes, hits, misses] = account.metrics(5);
    assert_eq!((bytes.value, hits.value, misses.value), (5.0, 3.0, 4.0));
    for metric in [bytes, hits, misses] {
        assert_eq!(metric.labels, [("cache", "pages".to_owned())]);
    }
}
