use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

fn panics(supervisor: &Supervisor) -> Vec<(String, f64)> {
    let counted = supervisor.metrics().filter(|metric| metric.value > 0.0);
    counted.map(|metric| (metric.labels[0].1.clone(), metric.value)).collect()
}

#[tokio::test]
async fn a_task_that_keeps_nothing_begins_anew_after_a_panic() {
    let (supervisor, turns) = (Arc::new(Supervisor::default()), AtomicU32::new(0));
    let work = || async { assert!(turns.fetch_add(1, Ordering::Relaxed) >= 2, "as asked") };
    Arc::clone(&supervisor).again(Task::Compaction, work).await;
    assert_eq!(turns.into_inner(), 3);
    assert_eq!(panics(&supervisor), [("compaction".to_owned(), 2.0)]);
    assert_eq!(supervisor.failure(), None);
}

#[tokio::test]
async fn a_task_that_nothing_works_without_fails_the_store() {
    let supervisor = Arc::new(Supervisor::default());
    let watching = tokio::spawn({
        let supervisor = Arc::clone(&supervisor);
        async move { supervisor.failed().await }
    });
    Arc::clone(&supervisor).once(Task::Publisher, async {}).await;
    assert_eq!(supervisor.failure(), None, "an end is no panic");
    Arc::clone(&supervisor).once(Task::Flusher, async { panic!("as asked") }).await;
    assert_eq!(watching.await.unwrap(), "flusher");
    assert_eq!(panics(&supervisor), [("flusher".to_owned(), 1.0)]);
}
