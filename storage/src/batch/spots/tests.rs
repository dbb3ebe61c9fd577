use proptest::prelude::*;

use super::*;

/// The column by the plain way: a row at a time.
fn expected(rows: usize, parts: &[(usize, Spots<i64>)]) -> Vec<Option<i64>> {
    let mut column = vec![None; rows];
    for (first, spots) in parts {
        match spots {
            Spots::Every(values) => {
                for (row, value) in values.iter().enumerate() {
                    column[first + row] = Some(*value);
                }
            }
            Spots::Rows(rows, values) => {
                for (row, value) in rows.iter().zip(values.iter()) {
                    column[first + *row as usize] = Some(*value);
                }
            }
            Spots::Runs(runs) => {
                for (from, until, value) in runs.iter() {
                    for row in *from..*until {
                        column[first + row as usize] = Some(*value);
                    }
                }
            }
        }
    }
    column
}

/// Spots of `rows` rows: every `step`th row, ranges of `step` rows, or all.
fn spots(kind: u8, rows: u32, step: u32) -> Spots<i64> {
    let numbers: Vec<u32> = (0..rows).filter(|row| row % step == 0).collect();
    match kind {
        0 => Spots::Every((0..i64::from(rows)).collect()),
        1 => {
            Spots::Rows(numbers.as_slice().into(), numbers.iter().copied().map(i64::from).collect())
        }
        _ => numbers.iter().map(|row| (*row, rows.min(row + step - 1), i64::from(*row))).collect(),
    }
}

impl FromIterator<(u32, u32, i64)> for Spots<i64> {
    fn from_iter<I: IntoIterator<Item = (u32, u32, i64)>>(runs: I) -> Self {
        Self::Runs(runs.into_iter().collect())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn parts_fill_their_rows_and_no_others(
        parts in prop::collection::vec((0u8..4, 0u32..70, 1u32..30), 0..5),
    ) {
        let mut placed = Vec::new();
        let mut rows = 0;
        for (kind, count, step) in parts {
            if kind < 3 {
                placed.push((rows, spots(kind, count, step)));
            }
            rows += count as usize;
        }
        let mut dense = Dense::new(rows);
        for (first, part) in &placed {
            dense.write(*first, part, |value| value);
        }
        let (values, nulls) = dense.finish();
        let valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        let found: Vec<Option<i64>> = (0..rows).map(|row| valid(row).then_some(values[row])).collect();
        prop_assert_eq!(found, expected(rows, &placed));
        prop_assert!(nulls.is_none_or(|nulls| nulls.null_count() > 0));
    }
}
