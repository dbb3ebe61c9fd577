use proptest::prelude::*;

use super::*;

/// Parts of one group, and how much of it the next group writes over.
fn arbitrary_group() -> impl Strategy<Value = (Vec<Vec<u8>>, usize)> {
    let part = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..300),
        2 => (any::<u8>(), 0usize..20_000).prop_map(|(byte, length)| vec![byte; length]),
        1 => (any::<u8>(), 2_000_000usize..2_200_000).prop_map(|(byte, length)| vec![byte; length]),
    ];
    (prop::collection::vec(part, 0..6), 0usize..9_000)
}

fn written(folder: &Disk, groups: &[(Vec<Vec<u8>>, usize)], pads: bool) -> Vec<u8> {
    const RESERVED: u64 = 1 << 20;
    let mut file = folder.create("log", RESERVED).unwrap();
    let mut at = 128u64;
    file.write_at(0, &[IoSlice::new(&[7; 4096])]).unwrap();
    for (parts, back) in groups {
        let bytes: usize = parts.iter().map(Vec::len).sum();
        let end = at + bytes as u64;
        let zeros = if pads { end.next_multiple_of(4096) - end + 4096 } else { 0 };
        let zeros = vec![0; usize::try_from(zeros).unwrap()];
        let parts: Vec<IoSlice<'_>> =
            parts.iter().chain([&zeros]).map(|part| IoSlice::new(part)).collect();
        file.write_at(at, &parts).unwrap();
        file.sync().unwrap();
        at = (end + zeros.len() as u64).saturating_sub(*back as u64).max(128);
    }
    let content = folder.read("log").unwrap();
    folder.remove("log").unwrap();
    content
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    /// Whole blocks or not, over the end of the group before or not, larger than the buffer or not.
    #[test]
    fn writes_past_the_cache_leave_the_same_file(
        groups in prop::collection::vec(arbitrary_group(), 1..6),
        pads in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let expected = written(&Disk::cached(folder.path()), &groups, pads);
        let direct = written(&Disk::new(folder.path(), true), &groups, pads);
        prop_assert!(direct == expected, "{} and {} bytes", direct.len(), expected.len());
    }
}
