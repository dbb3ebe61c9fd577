use super::*;

/// Numbers that look as if by chance, below 1,000.
fn dice(number: i64) -> i64 {
    i64::try_from((number.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 1_000)
        .unwrap()
}

/// A trace a second that lasts 100 to 200.
fn traces(count: i64) -> Vec<(i64, i64)> {
    (0..count).map(|second| (second * 1_000, 100 + dice(second) / 10)).collect()
}

#[test]
fn nothing_got_slow_where_only_chance_differs() {
    for count in [0, 1, 15, 40, 400, 4_000] {
        assert_eq!(slower(traces(count)), None, "{count}");
    }
    // All alike; slow all the time; one very slow trace; slow at one moment.
    assert_eq!(slower((0..100).map(|second| (second, 7)).collect()), None);
    let mut once = traces(400);
    for (place, (_, duration)) in once.iter_mut().enumerate() {
        *duration += if place == 200 || place % 20 == 0 { 100_000 } else { 0 };
    }
    assert_eq!(slower(once), None);
}

#[test]
fn half_of_the_traces_slow_for_a_while_are_found_with_what_they_lost() {
    let mut all = traces(400);
    let mut lost = 0;
    for (_, duration) in &mut all[100..160] {
        if *duration % 2 == 0 {
            *duration += 200;
            lost += 200;
        }
    }
    all.reverse();
    let found = slower(all).unwrap();
    let [from, until] = [found.stretch.from, found.stretch.until].map(|nanos| nanos / 1_000);
    assert!((90..125).contains(&from) && (145..170).contains(&until), "{found:?}");
    assert!((140..160).contains(&found.usual_nano), "{found:?}");
    assert!((lost - 2_000..lost + 500).contains(&found.lost_nano), "{lost} of {found:?}");
    assert!((lost / 2..=found.lost_nano).contains(&found.unusual_nano), "{found:?}");
}

#[test]
fn one_slow_trace_in_six_is_enough_where_all_others_are_alike() {
    let mut all: Vec<(i64, i64)> = (0..400).map(|second| (second, 5)).collect();
    all[100..200].iter_mut().step_by(6).for_each(|(_, duration)| *duration = 150);
    let found = slower(all).unwrap();
    assert_eq!((found.stretch.from, found.stretch.until), (100, 197));
    assert_eq!((found.usual_nano, found.lost_nano), (5, 17 * 145));
}

#[test]
fn what_differs_by_little_is_no_matter_however_certain() {
    let all: Vec<(i64, i64)> = (0..10_000)
        .map(|second| (second, 10_000 + dice(second) / 100 + if second < 5_000 { 20 } else { 0 }))
        .collect();
    assert_eq!(slower(all), None);
}

/// Traces that last about `usual`, give or take a third, and from one to another as `change` says.
fn shape(
    count: i64,
    usual: i64,
    (from, until): (i64, i64),
    change: impl Fn(i64, i64) -> i64,
) -> Vec<(i64, i64)> {
    let duration = |second: i64| {
        let own = usual * 2 / 3 + usual * 2 / 3 * dice(second) / 1_000;
        if (from..until).contains(&second) { change(second, own) } else { own }
    };
    (0..count).map(|second| (second, duration(second))).collect()
}

#[test]
fn some_very_slow_traces_are_found_where_most_are_as_always() {
    // One in six takes four times as long, which changes few ranks.
    let all =
        shape(600, 10_000, (200, 290), |second, own| if second % 6 == 0 { own * 4 } else { own });
    let found = slower(all).unwrap();
    assert!((190..=210).contains(&found.stretch.from), "{found:?}");
    assert!((280..=300).contains(&found.stretch.until), "{found:?}");
}

#[test]
fn what_is_unusual_comes_before_what_only_adds_up() {
    let ten_times = |_, own| own * 10;
    let more = |percent: i64| move |_: i64, own: i64| own * (100 + percent) / 100;
    let slowdown = |traces: Vec<(i64, i64)>| slower(traces).map(|found| found.slowdown);
    let outage = slowdown(shape(2_000, 100_000_000, (500, 700), ten_times)).unwrap();
    let drift = slowdown(shape(40_000, 100_000_000, (10_000, 30_000), more(12))).unwrap();
    let worse = slowdown(shape(40_000, 100_000_000, (10_000, 30_000), more(30))).unwrap();
    let few = slowdown(shape(400, 100_000_000, (100, 109), ten_times)).unwrap();
    assert!(outage > worse, "{outage} {worse}");
    // Half of all requests by a third matter more than nine slow ones.
    assert!(worse > few, "{worse} {few}");
    assert!(few > drift, "{few} {drift}");
}

#[test]
fn a_cache_that_misses_each_second_time_is_unusual_though_each_miss_takes_as_long_as_ever() {
    let miss = |second: i64, share: i64| if dice(second) < share { 1_000 } else { 100 };
    let all = (0..2_000).map(|second| {
        let share = if (800..1_000).contains(&second) { 500 } else { 100 };
        (second, miss(second, share))
    });
    let found = slower(all.collect()).unwrap();
    assert_eq!(found.usual_nano, 100);
    assert!(found.lost_nano > 50_000, "{found:?}");
    assert!(found.unusual_nano > found.lost_nano / 2, "{found:?}");
}
