use arrow::array::StringViewArray;

use super::*;

fn counts(texts: usize) -> Arc<Counts> {
    let values = StringViewArray::from_iter_values((0..texts).map(|text| text.to_string()));
    Arc::new(Counts { values: Arc::new(values), by_key: vec![1; texts], nulls: 7 })
}

#[test]
fn what_is_known_is_of_one_column_of_one_file_and_stays_within_the_bound() {
    let known = Learnt::default();
    known.put("a", 4, &counts(3));
    assert_eq!(known.find("a", 4).unwrap().nulls, 7);
    assert!(known.find("a", 5).is_none() && known.find("b", 4).is_none());
    let bytes = known.0.lock().unwrap().bytes;
    known.put("a", 4, &counts(3));
    assert_eq!(known.0.lock().unwrap().bytes, bytes, "it counts once");
    known.put("a", 6, &counts(COLUMN_BYTES_MAX / 8));
    assert!(known.find("a", 6).is_none(), "too many texts");
    for place in 10..2_000 {
        known.put("a", place, &counts(500));
        assert!(known.find("a", place).is_some());
        assert!(known.0.lock().unwrap().bytes <= BYTES_MAX);
    }
    assert!(known.find("a", 4).is_none());
}
