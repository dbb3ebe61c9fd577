use object_store::ObjectStoreExt;
use object_store::memory::InMemory;

use super::*;

const FILE: &str = "date=2026-11-21/a.parquet";

async fn over(bytes_max: usize) -> (Arc<InMemory>, HotRanges) {
    let store = Arc::new(InMemory::new());
    let content: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    store.put(&Path::from(FILE), content.into()).await.unwrap();
    (Arc::clone(&store), HotRanges::new(store, bytes_max))
}

fn figures(ranges: &HotRanges) -> Vec<f64> {
    ranges.metrics().iter().map(|metric| metric.value).collect()
}

#[tokio::test]
async fn what_was_read_is_not_read_again() {
    let (store, ranges) = over(1 << 20).await;
    let path = Path::from(FILE);
    let first = ranges.get_range(&path, 5..9).await.unwrap();
    let both = ranges.get_ranges(&path, &[100..300, 7..8]).await.unwrap();
    assert_eq!(&first[..], [5, 6, 7, 8]);
    assert_eq!((both[0].len(), &both[1][..]), (200, &[7][..]));
    // Gone from below: what follows can only come from memory.
    store.delete(&path).await.unwrap();
    assert_eq!(ranges.get_range(&path, 5..9).await.unwrap(), first);
    assert_eq!(ranges.get_ranges(&path, &[7..8, 100..300]).await.unwrap(), [&both[1], &both[0]]);
    assert!(ranges.get_range(&path, 5..10).await.is_err());
    let held = (4 + 200 + 1 + 3 * ENTRY_BYTES) as f64;
    assert_eq!(figures(&ranges), [held, 3.0, 4.0]);
}

#[tokio::test]
async fn the_longest_unused_goes_first_and_large_ranges_do_not_come_in() {
    let budget = 16 * (1_000 + ENTRY_BYTES);
    let (store, ranges) = over(budget).await;
    let path = Path::from(FILE);
    let read = |number: u64| ranges.get_range(&path, number * 1_000..(number + 1) * 1_000);
    for number in 0..16 {
        read(number).await.unwrap();
    }
    read(0).await.unwrap();
    read(16).await.unwrap();
    ranges.get_range(&path, 0..2_000).await.unwrap();
    assert!(figures(&ranges)[0] <= budget as f64);
    store.delete(&path).await.unwrap();
    assert!(read(0).await.is_ok() && read(16).await.is_ok());
    assert!(read(1).await.is_err(), "it was unused for longest");
    assert!(ranges.get_range(&path, 0..2_000).await.is_err(), "it would take too much room");
}

#[tokio::test]
async fn what_may_change_is_always_read() {
    let (store, ranges) = over(1 << 20).await;
    let pointer = Path::from("_delta_log/_last_checkpoint");
    for word in ["one", "two"] {
        store.put(&pointer, word.into()).await.unwrap();
        let all = ranges.get_range(&pointer, 0..3).await.unwrap();
        assert_eq!(&all[..], word.as_bytes());
    }
}
