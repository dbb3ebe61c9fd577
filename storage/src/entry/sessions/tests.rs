use std::time::Duration;

use super::*;
use crate::testing::{CountDecode, entry};

fn sessions(turns_max: u32) -> Arc<Sessions> {
    let turns = Arc::new(Semaphore::new(turns_max as usize));
    Arc::new(Sessions { turns, turns_max, ..Sessions::new(Arc::new(CountDecode)) })
}

fn start(sessions: &Arc<Sessions>, body: &str) -> JoinHandle<Option<Decoded>> {
    Arc::clone(sessions).start(&Handle::current(), vec![entry(body)], Arc::default())
}

async fn decoded(decoding: JoinHandle<Option<Decoded>>) -> Decoded {
    decoding.await.unwrap().unwrap()
}

#[tokio::test]
async fn groups_are_decoded_in_their_order_each_after_the_one_before_is_visible() {
    let sessions = sessions(1);
    let [first, second, third] = ["1 1", "2 2", "3 3"].map(|body| start(&sessions, body));
    for (decoding, rows) in [(first, 1), (second, 2), (third, 3)] {
        let decoded = decoded(decoding).await;
        assert_eq!(decoded.batches[0].rows(), rows);
        assert_eq!(sessions.turns.available_permits(), 0, "none other runs");
        drop(decoded);
    }
    assert_eq!(sessions.turns.available_permits(), 1);
}

#[tokio::test]
async fn a_pause_begins_when_everything_decoded_is_visible() {
    let sessions = sessions(2);
    let first = decoded(start(&sessions, "1 1")).await;
    let pause = sessions.pause();
    tokio::pin!(pause);
    assert!(futures::poll!(&mut pause).is_pending(), "a group is decoded and not visible");
    let second = start(&sessions, "2 1");
    drop(first);
    let pause = pause.await;
    assert!(pause.is_some());
    assert!(!second.is_finished(), "it came after the pause");
    drop(pause);
    assert_eq!(decoded(second).await.batches.len(), 1);
}

#[tokio::test]
async fn a_group_that_panics_gives_its_turn_back() {
    let sessions = sessions(1);
    let decoded = decoded(start(&sessions, "panic")).await;
    assert_eq!((decoded.batches.len(), decoded.unreadable.as_slice()), (0, &[0][..]));
    drop(decoded);
    assert!(sessions.pause().await.is_some());
}

#[tokio::test]
async fn a_group_never_takes_the_turn_of_one_before_it() {
    let sessions = sessions(1);
    // On one thread: what `start` begins does not run before this test waits.
    let pause = sessions.pause().await;
    let first = start(&sessions, "1 1");
    drop(pause);
    let second = start(&sessions, "2 2");
    for (decoding, rows) in [(first, 1), (second, 2)] {
        // The publisher waits for the first group first; the second one's turn would not end before that.
        let decoded = tokio::time::timeout(Duration::from_secs(60), decoded(decoding)).await;
        assert_eq!(decoded.expect("its turn comes").batches[0].rows(), rows);
    }
}
