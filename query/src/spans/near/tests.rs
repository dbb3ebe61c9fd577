use std::fs;

use super::*;

fn read(near: &mut Near, range: Range<u64>) -> io::Result<Bytes> {
    near.read(std::slice::from_ref(&range)).map(|read| read[0].clone())
}

fn scanned(metrics: &ExecutionPlanMetricsSet) -> Option<usize> {
    let sum = metrics.clone_inner().sum_by_name("bytes_scanned");
    sum.map(|sum| sum.as_usize())
}

#[test]
fn ranges_are_read_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    fs::write(&path, b"0123456789").unwrap();
    let metrics = ExecutionPlanMetricsSet::new();
    let mut near = Near::new(path, &metrics);
    assert_eq!(near.read(&[2..4, 4..4, 9..10]).unwrap(), ["23", "", "9"]);
    assert_eq!(scanned(&metrics), Some(3));
}

#[test]
fn what_is_not_there_is_an_error_before_memory_is_taken_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let metrics = ExecutionPlanMetricsSet::new();
    assert!(read(&mut Near::new(path.clone(), &metrics), 0..1).is_err());
    fs::write(&path, b"0123456789").unwrap();
    let mut near = Near::new(path, &metrics);
    assert!(read(&mut near, 8..11).is_err());
    assert!(read(&mut near, 0..u64::MAX).is_err());
    assert!(read(&mut near, Range { start: 9, end: 3 }).is_err());
    assert_eq!(read(&mut near, 8..10).unwrap(), "89");
}
