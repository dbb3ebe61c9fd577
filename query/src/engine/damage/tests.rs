use object_store::ObjectStoreExt;

use super::*;
use crate::fixture::{Table, batch, span};

async fn damaged(damage: &Damage) -> Vec<String> {
    damage.0.lock().await.damaged.iter().cloned().collect()
}

/// Deleted files stand for files that must not be read again: reading them would find them.
#[tokio::test]
async fn what_was_found_is_compared_first_and_the_rest_only_after_a_while() {
    let mut table = Table::default();
    for trace in 1..=3 {
        table.file(&batch(&[span(trace, 1, 0)], &[])).await;
    }
    let snapshot = table.snapshot();
    let path = |file: usize| object_store::path::Path::from(snapshot.files[file].path.as_str());
    let store = &snapshot.object_store;
    let whole = store.get(&path(0)).await.unwrap().bytes().await.unwrap();
    store.put(&path(0), whole.slice(1..).into()).await.unwrap();

    let (damage, error) = (Damage::default(), Error::new(Kind::Corrupt, "damaged"));
    let mut now = Instant::now();
    damage.name_at(now, &Error::new(Kind::Invalid, "a mistake"), &snapshot).await;
    assert!(damaged(&damage).await.is_empty());
    damage.name_at(now, &error, &snapshot).await;
    let first = vec![snapshot.files[0].path.clone()];
    assert_eq!(damaged(&damage).await, first);

    store.delete(&path(1)).await.unwrap();
    now += Duration::from_secs(60);
    damage.name_at(now, &error, &snapshot).await;
    assert_eq!(damaged(&damage).await, first, "the others were left alone");

    store.put(&path(0), whole.into()).await.unwrap();
    damage.name_at(now, &error, &snapshot).await;
    assert_eq!(damaged(&damage).await, [snapshot.files[1].path.clone()], "now it is another one");
    store.delete(&path(2)).await.unwrap();
    store.put(&path(1), "x".into()).await.unwrap();
    damage.name_at(now, &error, &snapshot).await;
    assert_eq!(damaged(&damage).await, [snapshot.files[1].path.clone()]);
}

#[tokio::test]
async fn the_whole_table_is_not_compared_at_every_error() {
    let mut table = Table::default();
    table.file(&batch(&[span(1, 1, 0)], &[])).await;
    let snapshot = table.snapshot();
    let (damage, error) = (Damage::default(), Error::new(Kind::Corrupt, "damaged"));
    let now = Instant::now();
    damage.name_at(now, &error, &snapshot).await;
    let path = object_store::path::Path::from(snapshot.files[0].path.as_str());
    snapshot.object_store.delete(&path).await.unwrap();
    damage.name_at(now, &error, &snapshot).await;
    assert!(damaged(&damage).await.is_empty(), "compared a moment ago");
    damage.name_at(now + Duration::from_secs(60), &error, &snapshot).await;
    assert_eq!(damaged(&damage).await.len(), 1);
}
