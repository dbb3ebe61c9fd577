use super::*;
use crate::spans::pick::held::Generation;

fn bytes(held: &Dictionaries) -> usize {
    let held = held.values.lock().unwrap();
    let sum = |generation: &Generation<Arc<Dictionary>>| -> usize {
        generation.by_place.values().map(|(it, _)| it.values.len() + ENTRY_BYTES).sum()
    };
    assert_eq!(held.young.bytes, sum(&held.young));
    assert_eq!(held.old.bytes, sum(&held.old));
    held.young.bytes + held.old.bytes
}

fn find(held: &Dictionaries, path: &str, place: u64) -> Option<Bytes> {
    held.find(&path.into(), place).map(|it| it.values.clone())
}

#[test]
fn what_is_asked_for_stays_within_the_bound_and_the_rest_goes() {
    let held = Dictionaries::default();
    let path: Arc<str> = "a.parquet".into();
    let values = Bytes::from(vec![7; 1 << 20]);
    for place in 0..200 {
        held.put((&path, place), values.clone(), false);
        assert_eq!(find(&held, "a.parquet", 0), Some(values.clone()), "asked for all the time");
        let bytes_max = held.values.lock().unwrap().account.bytes_max();
        assert!(bytes(&held) <= bytes_max + values.len() + ENTRY_BYTES);
    }
    assert_eq!(find(&held, "a.parquet", 20), None);
    assert_eq!(find(&held, "a.parquet", 199), Some(values));
    assert_eq!(find(&held, "b.parquet", 199), None);
}

#[test]
fn the_same_dictionary_counts_once_and_a_huge_one_is_not_kept() {
    let held = Dictionaries::default();
    let path: Arc<str> = "a.parquet".into();
    for _ in 0..100 {
        held.put((&path, 4), Bytes::from_static(b"words"), false);
    }
    assert_eq!(bytes(&held), 5 + ENTRY_BYTES);
    held.put((&path, 9), Bytes::from(vec![0; DICTIONARY_BYTES_MAX + 1]), true);
    assert_eq!(find(&held, "a.parquet", 9), None);
    held.each(&mut |account, _| account.allow(0));
    held.put((&path, 5), Bytes::from_static(b"words"), false);
    assert_eq!(find(&held, "a.parquet", 5), None, "there is no room");
    let mut names = Vec::new();
    held.each(&mut |account, bytes| names.push((account.metrics(bytes)[0].clone(), bytes)));
    let names = names.iter().map(|(metric, bytes)| (metric.labels[0].1.as_str(), *bytes));
    let expected = [("dictionaries", 5 + ENTRY_BYTES), ("pages", 0), ("trace_keys", 0)];
    assert_eq!(names.collect::<Vec<_>>(), expected);
}

#[test]
fn it_is_known_where_every_sixteenth_text_begins_up_to_damage() {
    let text = |number: usize| {
        let text = "x".repeat(number % 5);
        [&u32::try_from(text.len()).unwrap().to_le_bytes()[..], text.as_bytes()].concat()
    };
    let texts: Vec<Vec<u8>> = (0..40).map(text).collect();
    let begin = |number: usize| texts[..number].concat().len();
    let known = |values: &[u8]| -> Vec<usize> {
        starts(values).iter().map(|start| *start as usize).collect()
    };
    assert_eq!(known(&texts.concat()), [begin(0), begin(16), begin(32)]);
    assert_eq!(known(&texts.concat()[..begin(20) - 1]), [begin(0), begin(16)]);
    assert_eq!(known(&[255; 40]), [0]);
    assert_eq!(known(b""), [0; 0]);
}
