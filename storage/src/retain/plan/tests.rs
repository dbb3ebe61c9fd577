use super::*;

#[test]
fn a_jump_needs_two_confirmations() {
    let hour = JUMP_NANO;
    let mut guard = ClockGuard::new(0);
    assert!(guard.confirms(hour));
    assert!(!guard.confirms(2 * hour + 1));
    assert!(!guard.confirms(2 * hour + 2));
    assert!(guard.confirms(2 * hour + 3));
    assert!(guard.confirms(0), "a step back deletes nothing that was not due before");
}

#[test]
fn a_date_expires_when_its_last_nanosecond_is_old_enough() {
    let date = NaiveDate::from_ymd_opt(1970, 1, 2).unwrap();
    let ttl = Duration::from_secs(10);
    assert_eq!(expires_unix_nano(date, ttl), 2 * NANOS_PER_DAY + 10 * NANOS_PER_SECOND);
    assert_eq!(expires_unix_nano(date, Duration::MAX), i64::MAX);
}
