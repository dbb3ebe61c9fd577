use arrow::datatypes::Schema;

use super::*;
use crate::batch::{self, Columns, Interner, SpanBatch, Spots};
use crate::flush::tests::{DAY, TestSpan, batch, span};
use crate::schema::column;

fn named(names: &[&'static str]) -> Arc<SpanBatch> {
    let spans: Vec<TestSpan> =
        names.iter().map(|name| TestSpan { name, ..span(1, 1, None, DAY) }).collect();
    batch(&spans, Vec::new())
}

/// A batch whose names are numbers of `strings`.
fn numbered(names: Spots<u32>, rows: usize, strings: &Arc<Strings>) -> Arc<SpanBatch> {
    let records = named(&vec!["x"; rows]).records().clone();
    let mut values: Vec<Stored> =
        records.columns().iter().map(|array| Stored::Array(Arc::clone(array))).collect();
    values[records.schema().index_of(column::NAME).unwrap()] = Stored::Text(names);
    let schema = Arc::new(Schema::clone(&records.schema()));
    let strings = Arc::clone(strings);
    let columns = Columns { schema, values, strings, strings_bytes: 0, rows };
    Arc::new(SpanBatch::of_columns(columns, Vec::new()))
}

fn interner(texts: &[&str]) -> Interner {
    let mut interner = Interner::default();
    let mut open = interner.open();
    for text in texts {
        open.intern(text.as_bytes());
    }
    drop(open);
    interner.publish();
    interner
}

#[track_caller]
fn check(batches: &[Arc<SpanBatch>], expected: &[Option<&str>]) {
    let parts = batch::parts(batches, column::NAME);
    let words = Words::of(&parts);
    let text = |key: u32| (key != NULL).then(|| std::str::from_utf8((&words).get(key)).unwrap());
    assert_eq!(words.keys.iter().map(|key| text(*key)).collect::<Vec<_>>(), expected);
    // The same at other places: the rows in the opposite order.
    let places: Vec<u32> = (0..u32::try_from(expected.len()).unwrap()).rev().collect();
    let mut keys = vec![5; 3];
    with_texts(&parts, Some(&places), &mut keys, |keys, texts| {
        let found = keys.iter().rev().map(|key| {
            (*key != NULL).then(|| std::str::from_utf8(texts.get(*key)).unwrap().to_owned())
        });
        let expected: Vec<Option<String>> =
            expected.iter().map(|text| text.map(str::to_owned)).collect();
        assert_eq!(found.collect::<Vec<_>>(), expected);
        let mut distinct: Vec<&[u8]> =
            distinct(keys, texts.count()).map(|key| texts.get(key)).collect();
        let count = distinct.len();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), count, "equal texts have equal keys");
    });
}

#[test]
fn names_of_many_batches_have_one_numbering() {
    let batches = [named(&["a", "b", "a"]), named(&["c", "a"])];
    check(&batches, &[Some("a"), Some("b"), Some("a"), Some("c"), Some("a")]);
    check(&[], &[]);
}

#[test]
fn strings_that_batches_share_keep_their_numbers() {
    let interner = interner(&["unused", "b", "a", ""]);
    let strings = interner.strings();
    let batches = [
        numbered(Spots::Every([2, 1, 2].into()), 3, strings),
        numbered(Spots::Rows([1].into(), [3].into()), 3, strings),
        numbered(Spots::Runs([(0, 2, 1), (3, 4, 2)].into()), 4, strings),
    ];
    let (a, b) = (Some("a"), Some("b"));
    check(&batches, &[a, b, a, None, Some(""), None, b, b, None, a]);
}

#[test]
fn several_strings_and_arrays_are_merged() {
    let (first, second) = (interner(&["a", "b"]), interner(&["c", "b"]));
    let batches = [
        numbered(Spots::Every([0, 1].into()), 2, first.strings()),
        numbered(Spots::Rows([0].into(), [1].into()), 2, second.strings()),
        named(&["b", "c"]),
        numbered(Spots::Every([0].into()), 1, second.strings()),
    ];
    let (b, c) = (Some("b"), Some("c"));
    check(&batches, &[Some("a"), b, b, None, b, c, c]);
}
