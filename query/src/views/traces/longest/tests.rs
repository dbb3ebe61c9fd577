use storage::TraceId;

use super::*;

fn row(root: RootKeys, duration: i64) -> TraceRow {
    TraceRow {
        id: TraceId([0; 16]),
        service: root.0,
        name: root.1,
        start: 0,
        duration,
        first_start: 0,
        extent: 0,
        spans: 1,
        errors: 0,
        services: 1,
        depth: 1,
        is_error: false,
        weight: 1.0,
        bytes: 0,
    }
}

/// The durations of `rows` of the roots that `is_wanted`, above `bound`.
fn above(rows: &[TraceRow], is_wanted: impl Fn(RootKeys) -> bool, bound: i64) -> Vec<i64> {
    let wanted = rows.iter().filter(|row| is_wanted((row.service, row.name)));
    let mut found: Vec<i64> = wanted.map(|row| row.duration).filter(|own| *own > bound).collect();
    found.sort_unstable();
    found
}

#[test]
fn every_trace_that_lasts_longer_than_those_left_out_is_there() {
    let roots: [RootKeys; 3] = [(0, 1), (0, 2), (3, 1)];
    let all: Vec<TraceRow> = (0..300_u32)
        .map(|number| {
            let dice = number.wrapping_mul(0x9e37_79b9) >> 16;
            row(roots[dice as usize % 3], i64::from(dice % 40))
        })
        .chain([row((9, 9), 1)])
        .collect();
    let longest = LongestOf::of(&["a".into()], &all);
    assert!(longest.rows.is_sorted_by_key(|row| row.duration));
    assert!(longest.rows.len() < 12, "{}", longest.rows.len());
    for root in roots {
        let is_wanted = |own: RootKeys| own == root;
        let bound = longest.left_out(is_wanted).expect("each of the three has more");
        assert!(above(&all, is_wanted, bound - 1).len() > above(&all, is_wanted, bound).len());
        assert_eq!(above(&longest.rows, is_wanted, bound), above(&all, is_wanted, bound));
    }
    let bound = longest.left_out(|_| true).unwrap();
    assert_eq!(above(&longest.rows, |_| true, bound), above(&all, |_| true, bound));
    // All that begin with the rare one are there.
    assert_eq!(longest.left_out(|root| root == (9, 9)), None);
    assert_eq!(above(&longest.rows, |root| root == (9, 9), 0), [1]);
}

#[test]
fn what_is_kept_is_found_while_there_is_room() {
    let known = Longest::default();
    assert!(known.find("a").is_none());
    known.put("a", &RollupTraces::default());
    assert!(known.find("a").is_some() && known.find("b").is_none());
    let begun = Beginnings::default();
    let traces = Arc::new(HashSet::from_iter([[7; 16]]));
    begun.put(("a", "errors"), 50, &traces);
    assert_eq!(begun.find("a", "errors", 60), Some(Arc::clone(&traces)));
    // Of shorter ones there may be more.
    assert_eq!(begun.find("a", "errors", 49), None);
    assert_eq!(begun.find("a", "", 60), None);
    let many: HashSet<[u8; 16]> = (0..=8_192_u128).map(u128::to_be_bytes).collect();
    begun.put(("b", ""), 0, &Arc::new(many));
    assert_eq!(begun.find("b", "", 0), None);
}
