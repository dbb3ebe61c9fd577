use super::{Slice, hash};

#[test]
fn slices_share_no_trace_and_lose_none() {
    let mut slices = vec![Slice::ALL];
    for _ in 0..5 {
        slices = slices.iter().flat_map(|slice| slice.halves()).collect();
    }
    assert_eq!(slices.len(), 32);
    let mut sizes = vec![0; 32];
    // Ids that differ in one half only, as those of old tracers do.
    let ids = (0..2_000u128).flat_map(|number| [number, number << 64, number << 120 | 7]);
    for id in ids {
        let hash = hash(&id.to_be_bytes());
        let of: Vec<usize> = (0..32).filter(|at| slices[*at].contains(hash)).collect();
        assert_eq!(of.len(), 1, "{id}");
        sizes[of[0]] += 1;
    }
    assert!(sizes.iter().all(|size| (120..260).contains(size)), "{sizes:?}");
}
