use super::*;

fn wishes(of: &[(u32, u32)]) -> Vec<Wish> {
    let wish = |&(readers, rate)| Wish { readers: f64::from(readers), rate: f64::from(rate) };
    of.iter().map(wish).collect()
}

#[track_caller]
fn check(of: &[(u32, u32)], budget: f64, expected: f64) {
    let found = level(wishes(of), budget);
    assert!((found - expected).abs() < 1e-9 || found == expected, "{found} of {expected}");
}

#[test]
fn what_fits_is_not_held_back() {
    check(&[], 10.0, f64::INFINITY);
    check(&[(1, 1_000), (10, 100)], 2_000.0, f64::INFINITY);
}

#[test]
fn modest_wishes_are_met_whole_and_the_others_share_alike() {
    // 100 readers with 20 each take 2,000 of 10,000; the other 200 get 40 each.
    check(&[(100, 1_000), (100, 20), (100, 500)], 10_000.0, 40.0);
    // Whoever wants nothing takes nothing from the others.
    check(&[(900, 0), (100, 1_000)], 5_000.0, 50.0);
    check(&[(1, 100_000)], 5_000.0, 5_000.0);
}

#[test]
fn all_readers_together_stay_within_the_budget() {
    let of = [(3, 7), (50, 90), (1, 4_000), (12, 250), (700, 33)];
    for budget in [1.0, 100.0, 5_000.0, 25_000.0, 30_000.0] {
        let level = level(wishes(&of), budget);
        let given: f64 = wishes(&of).iter().map(|wish| wish.readers * wish.rate.min(level)).sum();
        let all: f64 = wishes(&of).iter().map(|wish| wish.readers * wish.rate).sum();
        assert!((given - budget.min(all)).abs() < 1e-6, "{given} of {budget}");
    }
}

#[test]
fn tokens_flow_in_and_a_second_of_them_is_kept() {
    let start = Instant::now();
    let bucket = Bucket::new(100.0, start);
    assert_eq!(bucket.tokens(100.0, start), 100);
    assert_eq!(bucket.tokens(100.0, start + Duration::from_millis(250)), 25);
    bucket.settle(5, 20, 100.0);
    assert_eq!(bucket.tokens(100.0, start + Duration::from_millis(250)), 5);
    assert_eq!(bucket.tokens(100.0, start + Duration::from_secs(60)), 100);
    // A lower rate holds from now on, also for what was kept.
    bucket.settle(100, 0, 100.0);
    assert_eq!(bucket.tokens(10.0, start + Duration::from_secs(60)), 10);
}

#[test]
fn a_wish_follows_what_was_wanted_and_fades_slowly() {
    let start = Instant::now();
    let bucket = Bucket::new(1_000.0, start);
    assert_eq!(bucket.wish(), 1_000.0);
    bucket.tokens(1_000.0, start + Duration::from_millis(500));
    bucket.settle(0, 400, 1_000.0);
    assert_eq!(bucket.wish(), 800.0);
    bucket.tokens(1_000.0, start + Duration::from_millis(1_000));
    bucket.settle(0, 0, 1_000.0);
    assert_eq!(bucket.wish(), 400.0);
    bucket.tokens(1_000.0, start + Duration::from_millis(1_500));
    bucket.settle(0, 100_000, 1_000.0);
    assert_eq!(bucket.wish(), 1_000.0, "never more than the limit");
}
