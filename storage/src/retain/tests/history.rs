//! Figures that outlive their spans; that views tell the same of them is tested by the crate that has views.
use super::*;
use crate::rollup::Sum;

async fn rig(days: u64) -> Rig {
    rig_over(Arc::new(InMemory::new()), days).await
}

async fn rig_over(store: Arc<dyn ObjectStore>, days: u64) -> Rig {
    let rig = Rig::over(store).await;
    let rollups = Some(Some(Duration::from_secs(days * 86_400)));
    rig.set(PolicyChange { rollups, ..PolicyChange::default() }).await;
    rig
}

/// Objects that hold figures.
async fn objects(rig: &Rig) -> usize {
    let store = rig.table.object_store();
    let all = futures::TryStreamExt::try_collect::<Vec<_>>(store.list(None)).await.unwrap();
    all.iter().filter(|object| object.location.as_ref().ends_with(".rollup")).count()
}

#[tokio::test]
async fn figures_stay_after_a_drop_until_their_own_time_is_over() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut rig = rig_over(Arc::clone(&store), 30).await;
    rig.flush(&[
        span(1, 1, None, DAY),
        span(1, 2, Some(1), DAY + 5),
        span(2, 3, None, DAY + NANOS_PER_DAY),
    ])
    .await;
    rig.ttl(9).await;
    let plan = rig.table.plan(&rig.table.state().policy).await.unwrap();
    let ends = DAY + 31 * NANOS_PER_DAY;
    assert_eq!(plan.loss.parts[0].rollups_until_unix_nano, Some(ends));
    let receipts = rig.apply().await;
    let kept = &receipts[0].rollups[0];
    assert_eq!((receipts[0].rollups.len(), kept.spans, kept.expires_unix_nano), (1, 2, ends));
    assert!(kept.minus.is_none() && kept.from_unix_nano <= DAY && DAY + 5 < kept.until_unix_nano);

    let (mut sum, mut minus) = (Sum::default(), Sum::default());
    let rollups = rig.table.rollups();
    rollups.add_kept(kept, crate::TimeRange::ALL, (&mut sum, &mut minus)).await.unwrap();
    assert_eq!(sum.figures.operations.values().map(|row| row.spans).sum::<i64>(), 2);
    let nothing = crate::TimeRange { from: DAY + NANOS_PER_DAY, until: i64::MAX };
    let mut sum = Sum::default();
    rollups.add_kept(kept, nothing, (&mut sum, &mut minus)).await.unwrap();
    assert_eq!(sum.figures.operations.len(), 0);

    // The rollups of the dropped file go with it, what is kept stays, also for whoever opens the table anew.
    rig.table.vacuum().await.unwrap();
    assert_eq!(objects(&rig).await, 2, "of the file that stays, and what is kept");
    let again = Rig::over(store).await;
    assert_eq!(again.table.state().receipts[0].rollups, receipts[0].rollups);
    again.clock.set(ends);
    again.table.vacuum().await.unwrap();
    assert_eq!(objects(&again).await, 1, "its time is over");
}

#[tokio::test]
async fn without_a_commit_nothing_is_kept() {
    let mut rig = rig(30).await;
    rig.flush(&[span(1, 1, None, DAY)]).await;
    rig.ttl(1).await;
    let removal = rig.table.next_removal(true).await.unwrap().unwrap();
    assert_eq!(removal.receipt.rollups.len(), 1);
    assert_eq!(objects(&rig).await, 2);
    drop(removal);
    rig.table.vacuum().await.unwrap();
    assert_eq!(objects(&rig).await, 1, "that of the live file");
    assert!(rig.table.state().receipts.is_empty());
}

#[tokio::test]
async fn a_rule_says_how_long_the_figures_of_its_class_stay() {
    let mut rig = rig(3).await;
    let rule = Rule {
        class: "errors".into(),
        ttl_seconds: Some(86_400),
        rollups_seconds: Some(40 * 86_400),
        error: Some(false),
        ..Rule::default()
    };
    rig.rules(&[rule]).await;
    rig.flush(&[span(1, 1, None, DAY)]).await;
    rig.ttl(1).await;
    let receipts = rig.apply().await;
    let rollups: Vec<_> = receipts.iter().flat_map(|receipt| &receipt.rollups).collect();
    let [kept] = rollups.as_slice() else { panic!("{receipts:?}") };
    assert_eq!((kept.class.as_str(), kept.expires_unix_nano), ("errors", DAY + 41 * NANOS_PER_DAY));
}
