use super::*;

/// Rows of files: by file, by row group, traces.
fn rows(files: &[&[&[u64]]], links: &[(usize, u64, u64)]) -> Rows {
    let groups = |file: &&[&[u64]]| file.iter().map(|group| group.to_vec()).collect();
    let links = links.iter().map(|(file, from, to)| Link { file: *file, from: *from, to: *to });
    Rows { files: files.iter().map(groups).collect(), links: links.collect() }
}

#[test]
fn traces_in_several_files_are_split_and_those_in_several_row_groups_are_not() {
    let rows = rows(&[&[&[1, 1, 2], &[2, 3]], &[&[3, 4]], &[&[1, 5]]], &[]);
    assert_eq!(rows.split(&[]).traces, [1, 3]);
    assert_eq!(rows.split(&[2]).traces, [1, 3, 5]);
    assert_eq!(rows.in_several_groups(), Hashes::from_iter([1, 2, 3]));
    assert_eq!(rows.distinct(), [1, 2, 3, 4, 5]);
}

#[test]
fn a_link_to_another_file_makes_its_trace_split_and_brings_the_linked_one_along() {
    let files: &[&[&[u64]]] = &[&[&[1, 2, 3]], &[&[4, 3]]];
    let links = [(0, 1, 4), (0, 2, 1), (1, 4, 9)];
    let split = rows(files, &links).split(&[]);
    assert_eq!(split.traces, [1, 3], "2 links within its file, 4 to nowhere");
    let (own, all) = split.slice(0, 1);
    assert_eq!((own, all), (Hashes::from_iter([1, 3]), Hashes::from_iter([1, 3, 4])));
}

#[test]
fn every_split_trace_is_in_one_slice() {
    let hashes: Vec<u64> = (1..100).map(|number| number << 32).collect();
    let files: &[&[&[u64]]] = &[&[&hashes], &[&hashes]];
    let split = rows(files, &[]).split(&[]);
    let mut all: Vec<u64> = (0..7).flat_map(|number| split.slice(number, 7).0).collect();
    all.sort_unstable();
    assert_eq!(all, hashes);
}

#[test]
fn rows_of_a_group_come_as_ranges() {
    let rows = rows(&[&[&[7, 7, 1, 7]]], &[]);
    assert_eq!(rows.of_group((0, 0), &Hashes::from_iter([7])), [0..2, 3..4]);
    assert_eq!(rows.count(&Hashes::from_iter([7])), 3);
}
