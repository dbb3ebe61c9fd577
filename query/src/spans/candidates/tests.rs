use proptest::prelude::*;

use super::*;

fn left(ranges: &[Range<usize>], all: usize) -> Left {
    Left { ranges: ranges.to_vec(), all, is_decided: true }
}

fn rows(ranges: &[Range<usize>]) -> Vec<usize> {
    ranges.iter().flat_map(Clone::clone).collect()
}

/// Ranges of the rows that are marked.
fn ranges_of(marks: &[bool]) -> Vec<Range<usize>> {
    let mut all = left(std::slice::from_ref(&(0..marks.len())), marks.len());
    all.keep(marks);
    all.ranges
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_in_both_is_in_each(
        a in prop::collection::vec(any::<bool>(), 60),
        b in prop::collection::vec(any::<bool>(), 60),
    ) {
        let found = common(&ranges_of(&a), &ranges_of(&b));
        let truth: Vec<usize> = (0..60).filter(|row| a[*row] && b[*row]).collect();
        prop_assert_eq!(rows(&found), truth);
    }

    /// Whatever is left out by the bounds of pages, the first rows stay.
    #[test]
    fn pages_that_are_left_out_have_none_of_the_first_rows(
        values in prop::collection::vec(-20_i64..20, 1..80),
        marks in prop::collection::vec(any::<bool>(), 80),
        descending in any::<bool>(),
        count in 1_usize..30,
    ) {
        let first = First { column: "start".into(), descending, count };
        let pages: Vec<Page> = values.chunks(7).enumerate().map(|(number, chunk)| Page {
            rows: number * 7..number * 7 + chunk.len(),
            low: *chunk.iter().min().unwrap(),
            high: *chunk.iter().max().unwrap(),
        }).collect();
        let own = &marks[..values.len()];
        let mut left = left(&ranges_of(own), values.len());
        left.keep_pages(&pages, &first, None);
        let best = |rows: Vec<usize>| {
            let mut ranks: Vec<i64> = rows.iter().map(|row| first.rank(values[*row])).collect();
            ranks.sort_unstable_by_key(|rank| std::cmp::Reverse(*rank));
            ranks.truncate(count);
            ranks
        };
        let truth = (0..values.len()).filter(|row| own[*row]).collect();
        prop_assert_eq!(best(rows(&left.ranges)), best(truth));
    }
}

#[test]
fn few_rows_are_selected_and_many_are_read_whole() {
    assert!(matches!(left(&[], 100).rows(), Rows::None));
    assert!(matches!(left(std::slice::from_ref(&(0..90)), 100).rows(), Rows::All));
    let few = left(&[3..4, 50..52], 100).rows();
    assert!(matches!(few, Rows::Some(rows) if rows.row_count() == 3));
}
