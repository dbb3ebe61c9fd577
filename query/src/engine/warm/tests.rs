use std::sync::atomic::{AtomicUsize, Ordering};

use storage::{ManualClock, Snapshot, SpanBatch};

use super::*;
use crate::fixture::{DAY, Table, batch, span};
use crate::{Config, Engine};

/// Runs [`keep`] over one file that does not change, while so many spans arrive in each round; says in how many rounds it
/// asked for what there is, and how often somebody else did: whoever reads ahead.
async fn rounds(arriving: &'static [usize]) -> (usize, usize) {
    let mut table = Table::default();
    table.file(&batch(&[span(1, 0x11, 0)], &[])).await;
    let quiet = table.snapshot();
    let one: Arc<SpanBatch> = Arc::new(batch(&[span(2, 0x21, 0)], &[]));
    let asked = Arc::new(AtomicUsize::new(0));
    let (snapshot, count) = (Arc::clone(&quiet), Arc::clone(&asked));
    // The engine asks once when it begins, and each round before and after its pause.
    let snapshots = move || {
        let call = count.fetch_add(1, Ordering::Relaxed);
        let spans = match call {
            0 => 0,
            call if call % 2 == 1 => 0,
            call => arriving.get(call / 2 - 1).copied().unwrap_or(0),
        };
        let hot = vec![Arc::clone(&one); spans].into();
        Arc::new(Snapshot { hot, ..snapshot.as_ref().clone() })
    };
    let engine =
        Engine::over(snapshots, Config::default(), Arc::new(ManualClock::at(DAY))).unwrap();
    // Nothing will change: it ends once it has read ahead.
    let (sender, changes) = watch::channel(0);
    drop(sender);
    keep(Arc::downgrade(&engine.shared), changes).await;
    let asked = asked.load(Ordering::Relaxed) - 1;
    // Before, after, for reading ahead, and a last time before and after, which finds that all is done.
    ((asked - 3) / 2, asked % 2)
}

#[tokio::test]
async fn new_files_are_read_ahead_once_few_enough_spans_arrive() {
    const CALM: usize = ARRIVING_MAX;
    const BUSY: usize = ARRIVING_MAX + 1;
    let (at_once, later) = tokio::join!(rounds(&[CALM]), rounds(&[BUSY, BUSY, CALM]));
    assert_eq!(at_once, (1, 1));
    assert_eq!(later, (3, 1));
}
