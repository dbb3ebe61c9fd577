use super::*;

#[test]
fn refusals_during_a_pause_do_not_prolong_it() {
    let admission = Admission::new(&Config::default(), 0);
    let full =
        || Error::Storage(storage::Error::DiskFull { free_bytes: 7, retry_after: DISK_PAUSE });
    let pause = i64::try_from(DISK_PAUSE.as_nanos()).unwrap();
    let until = || admission.disk_full_until.load(Ordering::Relaxed);
    admission.note(&full(), 0);
    assert_eq!(until(), pause);
    admission.note(&full(), pause - 1);
    assert_eq!(until(), pause, "clients that keep trying would keep the door closed");
    admission.note(&full(), pause);
    assert_eq!(until(), 2 * pause, "the store was asked again, and refused again");
}
