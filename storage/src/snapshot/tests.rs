use super::*;

fn trace(number: u64) -> TraceId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    id[8..].copy_from_slice(&number.to_be_bytes());
    TraceId(id)
}

#[test]
fn a_filter_finds_what_was_added_and_rarely_more() {
    let mut filter = TraceFilter::with_capacity(10_000);
    (0..10_000).for_each(|number| filter.insert(&trace(number)));
    assert!((0..10_000).all(|number| filter.may_contain(&trace(number))));
    let wrong = (10_000..110_000).filter(|number| filter.may_contain(&trace(*number))).count();
    assert!(wrong < 1_500, "{wrong} of 100,000 absent traces passed the filter");
}

#[test]
fn the_filter_of_a_file_written_now_is_sharp_where_traces_are_long() {
    let hash = |number| xxhash_rust::xxh3::xxh3_64(&trace(number).0);
    let hashes: Vec<u64> = (0..10_000).map(hash).collect();
    let sharp = TraceFilter::of_hashes(&hashes, 40_000);
    assert!((0..10_000).all(|number| sharp.may_contain(&trace(number))));
    let wrong = |filter: &TraceFilter| {
        (10_000..110_000).filter(|number| filter.may_contain(&trace(*number))).count()
    };
    assert!(wrong(&sharp) < 5, "{} of 100,000 absent traces passed the filter", wrong(&sharp));
    let short = TraceFilter::of_hashes(&hashes, 39_999);
    assert!(wrong(&short) > 100, "short traces take no more memory than their bits");
}

#[test]
fn an_empty_filter_holds_nothing() {
    assert!(!TraceFilter::with_capacity(0).may_contain(&trace(1)));
    assert_eq!(TraceFilter::from_parts(Vec::new(), 7), None);
    assert_eq!(TraceFilter::from_parts(vec![1], 0), None);
}

#[test]
fn a_path_that_stores_spell_differently_is_not_plain() {
    assert!(is_plain("date=2026-11-21/part-0001_a.zstd.parquet"));
    for path in ["/etc/passwd", "date=2026/../../x", "class=a%20b/x", "class=a b/x", "class=ä/x"] {
        assert!(!is_plain(path), "{path}");
    }
}
