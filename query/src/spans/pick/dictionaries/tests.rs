use super::*;

fn bytes(held: &Dictionaries) -> usize {
    let held = held.values.lock().unwrap();
    let sum = |generation: &Generation<Bytes>| -> usize {
        generation.by_place.values().map(|(values, _)| values.len() + ENTRY_BYTES).sum()
    };
    assert_eq!(held.young.bytes, sum(&held.young));
    assert_eq!(held.old.bytes, sum(&held.old));
    held.young.bytes + held.old.bytes
}

#[test]
fn what_is_asked_for_stays_within_the_bound_and_the_rest_goes() {
    let held = Dictionaries::default();
    let path: Arc<str> = "a.parquet".into();
    let values = Bytes::from(vec![7; 1 << 20]);
    for place in 0..200 {
        held.put(&path, place, &values);
        assert_eq!(held.find(&path, 0), Some(values.clone()), "it is asked for all the time");
        assert!(bytes(&held) <= BYTES_MAX + values.len() + ENTRY_BYTES);
    }
    assert_eq!(held.find(&path, 20), None);
    assert_eq!(held.find(&path, 199), Some(values));
    assert_eq!(held.find(&"b.parquet".into(), 199), None);
}

#[test]
fn the_same_dictionary_counts_once_and_a_huge_one_is_not_kept() {
    let held = Dictionaries::default();
    let path: Arc<str> = "a.parquet".into();
    for _ in 0..100 {
        held.put(&path, 4, &Bytes::from_static(b"words"));
    }
    assert_eq!(bytes(&held), 5 + ENTRY_BYTES);
    held.put(&path, 9, &Bytes::from(vec![0; DICTIONARY_BYTES_MAX + 1]));
    assert_eq!(held.find(&path, 9), None);
}
