use proptest::prelude::*;

use super::*;

fn names(count: u32) -> Arc<[Arc<str>]> {
    (0..count).map(|number| Arc::from(format!("name {number}"))).collect()
}

prop_compose! {
    fn any_row()(
        id in any::<[u8; 16]>(),
        keys in (0_u32..5, 0_u32..5),
        times in any::<[i64; 4]>(),
        counts in any::<[u32; 4]>(),
        is_error in any::<bool>(),
        weight in prop_oneof![Just(1.0), 0.0..1e9],
        bytes in any::<i64>(),
    ) -> TraceRow {
        let [start, duration, first_start, extent] = times;
        let [spans, errors, services, depth] = counts;
        TraceRow {
            id: TraceId(id), service: keys.0, name: keys.1,
            start, duration, first_start, extent, spans, errors, services, depth,
            is_error, weight, bytes,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rows_come_back_as_they_were(rows in prop::collection::vec(any_row(), 0..40)) {
        let mut rows = rows;
        rows.sort_by_key(|row| (row.start, row.id));
        // Keys are written as another list has them.
        let own = [4, 3, 2, 1, 0];
        let read = RollupTraces::parse(&write(&rows, &own), &names(5)).unwrap();
        prop_assert_eq!(read.rows().len(), rows.len());
        for (read, row) in read.rows().iter().zip(&rows) {
            let keys = (own[row.service as usize], own[row.name as usize]);
            prop_assert_eq!(*read, TraceRow { service: keys.0, name: keys.1, ..*row });
        }
    }

    #[test]
    fn damaged_bytes_are_refused_or_harmless(
        rows in prop::collection::vec(any_row(), 1..10),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut rows = rows;
        rows.sort_by_key(|row| (row.start, row.id));
        let mut bytes = write(&rows, &[0, 1, 2, 3, 4]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Some(read) = RollupTraces::parse(&bytes, &names(5)) {
            prop_assert!(read.rows().iter().all(|row| row.service < 5 && row.name < 5));
        }
        bytes.truncate(at);
        prop_assert!(at == 0 || RollupTraces::parse(&bytes, &names(5)).is_none());
    }
}
