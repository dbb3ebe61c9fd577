use super::*;

#[test]
fn whole_blocks_are_taken_and_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::fs::write(&path, vec![1; 4 * BLOCK]).unwrap();
    let Some(mut direct) = Direct::open(&path) else {
        return eprintln!("skipped: no writes past the cache in {}", folder.path().display());
    };
    let mut write = |at: u64, byte: u8, length: usize| {
        direct.write_at(at, &[IoSlice::new(&vec![byte; length])]).unwrap()
    };
    assert!(write(0, 2, BLOCK));
    assert!(write(100, 3, 2 * BLOCK - 100), "into a block that is known");
    assert!(!write(2 * BLOCK as u64, 4, 5), "not to the end of a block");
    assert!(!write(2 * BLOCK as u64 - 5, 4, 5), "into what may have changed");
    assert!(write(2 * BLOCK as u64, 5, BLOCK));
    let content = std::fs::read(&path).unwrap();
    let expected = [vec![2; 100], vec![3; 2 * BLOCK - 100], vec![5; BLOCK], vec![1; BLOCK]];
    assert!(content == expected.concat());
}
