use proptest::prelude::*;

use super::*;

const SECOND: i64 = 1_000_000_000;

fn bucket(per_second: u64, burst_seconds: u64) -> Bucket {
    Bucket::new(per_second, Duration::from_secs(burst_seconds), 0)
}

#[test]
fn a_request_larger_than_the_burst_is_taken_and_paid_for() {
    let bucket = bucket(10, 1);
    assert_eq!(bucket.admits(0), Ok(()));
    bucket.take(0, 30);
    let wait = bucket.admits(0).unwrap_err();
    assert_eq!(wait.as_millis(), 2_000, "a debt of 20 at 10 a second");
    let wait = i64::try_from(wait.as_nanos()).unwrap();
    assert!(bucket.admits(wait - 1).is_err());
    assert_eq!(bucket.admits(wait), Ok(()));
}

#[test]
fn what_is_given_back_can_be_taken_again_but_never_exceeds_the_burst() {
    let bucket = bucket(10, 1);
    bucket.take(0, 11);
    assert!(bucket.admits(0).is_err());
    bucket.give_back(0, 11);
    bucket.give_back(0, 11);
    bucket.take(0, 11);
    assert!(bucket.admits(0).is_err());
}

#[test]
fn who_books_waits_behind_those_before_and_not_too_long() {
    let bucket = bucket(10, 1);
    let long = Duration::from_secs(2);
    let booked: Vec<_> = (0..5).map(|_| bucket.book(0, 10, long)).collect();
    let after = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(booked, [after(0), after(1), after(2), None, None]);
    assert_eq!(bucket.book(SECOND, 10, long), after(2), "what was too far away took nothing");
}

#[test]
fn a_clock_set_back_neither_fills_nor_locks() {
    let bucket = Bucket::new(10, Duration::from_secs(1), 3_600 * SECOND);
    bucket.take(3_600 * SECOND, 20);
    assert!(bucket.admits(0).is_err());
    assert_eq!(bucket.admits(SECOND), Ok(()), "a debt of 10 is paid in a second of the new time");
}

#[test]
fn a_rate_of_zero_is_one_and_extremes_do_not_overflow() {
    let bucket = Bucket::new(0, Duration::ZERO, i64::MIN);
    assert_eq!(bucket.per_second(), 1);
    assert_eq!(bucket.admits(i64::MAX), Ok(()));
    let bucket = Bucket::new(u64::MAX, Duration::MAX, i64::MIN);
    bucket.take(0, u64::MAX);
    bucket.give_back(i64::MAX, u64::MAX);
    assert_eq!(bucket.admits(i64::MIN), Ok(()));
}

proptest! {
    /// Whatever the requests, what got through is at most the burst, what has flown in, and the last request's debt;
    /// and a sender that comes back when told to is admitted.
    #[test]
    fn only_the_rate_gets_through(
        per_second in 1u64..10_000,
        burst_milli in 0u64..5_000,
        requests in prop::collection::vec((0i64..2 * SECOND, 0u64..20_000, any::<bool>()), 1..60),
    ) {
        let bucket = Bucket::new(per_second, Duration::from_millis(burst_milli), 0);
        let (mut now, mut taken, mut largest) = (0, 0u128, 0u128);
        for (pause, tokens, fails) in requests {
            now += pause;
            match bucket.admits(now) {
                Ok(()) => {
                    bucket.take(now, tokens);
                    if fails {
                        bucket.give_back(now, tokens);
                    } else {
                        taken += u128::from(tokens);
                        largest = largest.max(u128::from(tokens));
                    }
                }
                Err(wait) => {
                    let wait = i64::try_from(wait.as_nanos()).unwrap();
                    prop_assert!(bucket.admits(now + wait - 1).is_err());
                    now += wait;
                    prop_assert_eq!(bucket.admits(now), Ok(()));
                }
            }
            let rate = u128::from(per_second);
            let burst = (rate * u128::from(burst_milli) / 1_000).max(1);
            let flown = rate * u128::try_from(now).unwrap() / 1_000_000_000;
            prop_assert!(taken <= burst + flown + largest + 1, "{taken} of {burst} + {flown}");
        }
    }

    /// A sender that always has more to send gets all of the rate.
    #[test]
    fn all_of_the_rate_gets_through(per_second in 1u64..10_000, tokens in 1u64..500) {
        let bucket = Bucket::new(per_second, Duration::ZERO, 0);
        let (mut now, mut taken) = (0i64, 0u64);
        for _ in 0..200 {
            match bucket.admits(now) {
                Ok(()) => {
                    bucket.take(now, tokens);
                    taken += tokens;
                }
                Err(wait) => now += i64::try_from(wait.as_nanos()).unwrap(),
            }
        }
        let flown = i128::from(per_second) * i128::from(now) / NANOS;
        prop_assert!(i128::from(taken) + 1 >= flown, "{taken} of {flown}");
    }
}
