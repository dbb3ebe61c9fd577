use object_store::ObjectStoreExt;
use object_store::memory::InMemory;

use super::*;
use crate::config::Config;
use crate::table::place::Place;

/// Writes `pieces` of as many different bytes each, and reads the object back.
async fn round_trip(store: &Arc<dyn ObjectStore>, path: &str, pieces: usize, bytes: usize) {
    let mut upload = Upload::new(Arc::clone(store), path);
    let mut expected = Vec::new();
    for piece in 0..pieces {
        let fill = u8::try_from(piece % 251).unwrap();
        let piece: Vec<u8> = (0..bytes).map(|at| fill ^ at.to_le_bytes()[0]).collect();
        expected.extend_from_slice(&piece);
        upload.write(piece.into()).await.unwrap();
        assert!(store.head(&Path::from(path)).await.is_err(), "nobody sees a part of it");
    }
    let uploaded = upload.finish().await.unwrap();
    let found = store.get(&Path::from(path)).await.unwrap().bytes().await.unwrap();
    assert!(found == expected, "{pieces} pieces of {bytes}");
    assert_eq!(uploaded.bytes, expected.len() as u64);
    assert_eq!(uploaded.checksum, xxhash_rust::xxh3::xxh3_128(&expected));
}

#[tokio::test]
async fn small_and_large_objects_become_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let durable = Place::open(&Config::in_folder(folder.path())).unwrap().table;
    let stores: [Arc<dyn ObjectStore>; 2] = [Arc::new(InMemory::new()), durable];
    for store in &stores {
        round_trip(store, "small.parquet", 3, 100).await;
        // Three parts, cut elsewhere than the pieces.
        round_trip(store, "date=2026-11-21/large.parquet", 5, PART_BYTES / 2 + 7).await;
    }
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_no_object() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut upload = Upload::new(Arc::clone(&store), "large.parquet");
    upload.write(vec![1; PART_BYTES + 1].into()).await.unwrap();
    drop(upload);
    assert!(store.head(&Path::from("large.parquet")).await.is_err());
}
