use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use uuid::Uuid;

use super::pins::Pin;
use super::*;
use crate::compact::{Compactor, read};
use crate::config::Config;
use crate::flush::tests::{DAY, TestSpan, batch, span};
use crate::flush::{self};
use crate::id::{TraceId, WalSeq};
use crate::schema::{AttributeColumns, column};
use crate::table::Table;
use crate::table::place::Place;
use crate::testing::FailingStore;
use crate::time::{Clock, ManualClock, NANOS_PER_DAY, NANOS_PER_SECOND};

mod deletion;
mod history;

/// A table and its clock, which stands ten days after the spans' first.
struct Rig {
    table: Table,
    clock: Arc<ManualClock>,
    through: u64,
}

impl Rig {
    async fn over(store: Arc<dyn ObjectStore>) -> Self {
        let url = url::Url::parse("memory:///default/").unwrap();
        let place = Place::at(store, &Path::from("default"), &url).unwrap();
        let clock = Arc::new(ManualClock::at(DAY + 10 * NANOS_PER_DAY));
        let config = Config { ttl: None, ..Config::in_folder("unused") };
        let table =
            Table::open(place, &config, Uuid::nil(), Arc::clone(&clock) as _).await.unwrap();
        let through = table.state().wal_through.0;
        Self { table, clock, through }
    }

    async fn new() -> Self {
        Self::over(Arc::new(InMemory::new())).await
    }

    async fn set(&self, change: PolicyChange) {
        self.table.set_policy(&change).await.unwrap();
    }

    async fn rules(&self, rules: &[Rule]) {
        self.set(PolicyChange { rules: Some(rules.to_vec()), ..PolicyChange::default() }).await;
    }

    async fn ttl(&self, days: u64) {
        let ttl = Some(Some(Duration::from_secs(days * 86_400)));
        self.set(PolicyChange { ttl, ..PolicyChange::default() }).await;
    }

    async fn flush(&mut self, spans: &[TestSpan]) {
        self.through += 1;
        let columns = AttributeColumns::from_start();
        let batches = [batch(spans, Vec::new())];
        flush::flush(&self.table, &batches, &columns, WalSeq(self.through)).await.unwrap();
    }

    async fn pin(&self, trace: u128) {
        let id = TraceId(trace.to_be_bytes());
        let pin = Pin { trace_id: id.to_string(), at_unix_nano: 1, note: "why".into() };
        pins::pin(&self.table.place().tenant, &id, &pin).await.unwrap();
    }

    async fn compact(&self) -> usize {
        self.clock.set(self.clock.now_unix_nano() + 3_600 * NANOS_PER_SECOND);
        let (compactor, mut steps) = (Compactor::default(), 0);
        while let Some(merged) = compactor.step(&self.table, crate::Due::WhenQuiet).await.unwrap() {
            assert!(self.table.commit_merged(&merged).await.unwrap());
            steps += 1;
        }
        steps
    }

    /// Everything that is due goes; the receipts.
    async fn apply(&self) -> Vec<Receipt> {
        let mut receipts = Vec::new();
        while let Some(removal) = self.table.next_removal(receipts.is_empty()).await.unwrap() {
            receipts.push(self.table.commit_removal(&removal).await.unwrap().unwrap());
        }
        receipts
    }

    /// Of all live files: class, day (0 is the first), spans by id.
    async fn files(&self) -> BTreeSet<(String, i64, Vec<u64>)> {
        let state = self.table.state();
        let mut files = BTreeSet::new();
        for file in state.files.iter() {
            let day = (crate::file::start_of(file.date) - DAY) / NANOS_PER_DAY;
            let store = self.table.object_store();
            let batches = read::read(store, file, &state.columns).await.unwrap();
            let mut ids: Vec<u64> = batches
                .iter()
                .flat_map(|batch| {
                    let ids = batch.column(column::SPAN_ID).unwrap();
                    let ids = ids.as_fixed_size_binary();
                    (0..ids.len())
                        .map(|row| u64::from_be_bytes(ids.value(row).try_into().unwrap()))
                        .collect::<Vec<_>>()
                })
                .collect();
            ids.sort_unstable();
            files.insert((file.class().to_owned(), day, ids));
        }
        files
    }

    async fn expect(&self, files: &[(&str, i64, &[u64])]) {
        let files: BTreeSet<_> = files
            .iter()
            .map(|(class, day, ids)| ((*class).to_owned(), *day, ids.to_vec()))
            .collect();
        assert_eq!(self.files().await, files);
    }
}

/// A span of trace `id` with the same id, on a day after the first.
fn on(day: i64, id: u64) -> TestSpan {
    span(u128::from(id), id, None, DAY + day * NANOS_PER_DAY + i64::try_from(id).unwrap())
}

fn failed(span: TestSpan) -> TestSpan {
    TestSpan { status: "ERROR", ..span }
}

fn errors(days: Option<u64>) -> Rule {
    let ttl_seconds = days.map(|days| days * 86_400);
    Rule { class: "errors".into(), ttl_seconds, error: Some(true), ..Rule::default() }
}

fn health() -> Rule {
    Rule {
        class: "health".into(),
        ttl_seconds: Some(86_400),
        name: Some("GET /health".into()),
        ..Rule::default()
    }
}

#[tokio::test]
async fn the_first_rule_that_any_span_matches_decides_for_the_whole_trace_also_over_flushes() {
    let mut rig = Rig::new().await;
    rig.rules(&[errors(None), health()]).await;
    let probe = |id, trace| TestSpan { name: "GET /health", ..span(trace, id, None, DAY) };
    rig.flush(&[
        span(1, 1, None, DAY),
        failed(span(1, 2, Some(1), DAY + NANOS_PER_DAY)),
        span(2, 3, None, DAY),
        probe(4, 3),
        span(3, 5, Some(4), DAY),
        failed(probe(6, 4)),
    ])
    .await;
    rig.expect(&[
        ("errors", 0, &[1, 6]),
        ("errors", 1, &[2]),
        ("default", 0, &[3]),
        ("health", 0, &[4, 5]),
    ])
    .await;
    // Late spans: of a trace with an error, of a probe, of a probe that fails after all, of one that only now fails.
    rig.flush(&[
        span(1, 11, Some(1), DAY),
        span(3, 12, Some(4), DAY),
        failed(span(2, 13, Some(3), DAY)),
    ])
    .await;
    let files = rig.files().await;
    assert!(files.contains(&("errors".to_owned(), 0, vec![11, 13])), "{files:?}");
    assert!(files.contains(&("health".to_owned(), 0, vec![12])), "{files:?}");
    assert!(files.contains(&("default".to_owned(), 0, vec![3])), "what is in a file stays there");
}

#[tokio::test]
async fn compaction_never_mixes_classes() {
    let mut rig = Rig::new().await;
    rig.rules(&[errors(None)]).await;
    for id in 1..=3 {
        rig.flush(&[on(0, id), failed(on(0, id + 10))]).await;
    }
    assert_eq!(rig.compact().await, 2);
    rig.expect(&[("default", 0, &[1, 2, 3]), ("errors", 0, &[11, 12, 13])]).await;
}

#[tokio::test]
async fn a_class_leaves_by_its_own_age_and_one_that_no_rule_names_stays() {
    let mut rig = Rig::new().await;
    rig.rules(&[errors(Some(30)), health()]).await;
    let probe = TestSpan { name: "GET /health", ..on(7, 3) };
    rig.flush(&[on(0, 1), failed(on(0, 2)), probe, on(7, 4)]).await;
    rig.ttl(5).await;
    let plan = rig.table.plan(&rig.table.state().policy).await.unwrap();
    let part = |part: &LossPart| (part.class.clone(), part.rows, part.reason.clone());
    let parts: Vec<_> = plan.loss.parts.iter().map(part).collect();
    assert_eq!(parts, [("default".into(), 1, "ttl".into()), ("health".into(), 1, "ttl".into())]);
    assert_eq!((plan.loss.rows, plan.loss.traces, plan.loss.files), (2, 2, 2));
    let why: Vec<_> =
        plan.stays.iter().map(|part| (part.class.as_str(), part.why.as_str())).collect();
    assert_eq!(why, [("errors", "not old enough"), ("default", "not old enough")]);
    let receipts = rig.apply().await;
    assert_eq!((receipts.len(), receipts[0].loss.rows, receipts[0].reason.as_str()), (1, 2, "ttl"));
    rig.expect(&[("errors", 0, &[2]), ("default", 7, &[4])]).await;

    rig.rules(&[]).await;
    rig.clock.set(DAY + 900 * NANOS_PER_DAY);
    assert_eq!(rig.apply().await.len(), 1);
    rig.expect(&[("errors", 0, &[2])]).await;
    let plan = rig.table.plan(&rig.table.state().policy).await.unwrap();
    assert_eq!(plan.stays[0].why, "no rule names the class errors: kept until one does");
    rig.rules(&[errors(Some(30))]).await;
    rig.apply().await;
    rig.expect(&[]).await;
}

#[tokio::test]
async fn a_pinned_trace_is_copied_in_the_commit_that_drops_its_partition() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut rig = Rig::over(Arc::clone(&store)).await;
    let traced = |id, trace, day: i64| span(trace, id, None, DAY + day * NANOS_PER_DAY);
    rig.flush(&[traced(1, 1, 0), traced(2, 1, 1), traced(3, 2, 0), traced(4, 2, 8)]).await;
    rig.pin(1).await;
    rig.ttl(5).await;
    let plan = rig.table.plan(&rig.table.state().policy).await.unwrap();
    assert_eq!((plan.loss.rows, plan.loss.kept), (1, Kept { traces: 1, rows: 2 }));
    let version = rig.table.state().version.0;
    let receipts = rig.apply().await;
    assert_eq!(receipts[0].version, Some(version + 1), "one commit");
    rig.expect(&[("kept", 0, &[1]), ("kept", 1, &[2]), ("default", 8, &[4])]).await;
    assert_eq!(rig.apply().await, [], "copies that are wanted stay as they are");

    // A late span of the pinned trace comes to an old date, and stays as well.
    rig.flush(&[traced(5, 1, 0), traced(6, 3, 0)]).await;
    rig.apply().await;
    rig.expect(&[("kept", 0, &[1]), ("kept", 0, &[5]), ("kept", 1, &[2]), ("default", 8, &[4])])
        .await;

    let reopened = Rig::over(store).await;
    assert!(
        pins::unpin(&reopened.table.place().tenant, &TraceId(1u128.to_be_bytes())).await.unwrap()
    );
    let receipts = reopened.apply().await;
    assert_eq!(
        (receipts.len(), receipts[0].reason.as_str(), receipts[0].loss.rows),
        (1, "unpinned", 3)
    );
    reopened.expect(&[("default", 8, &[4])]).await;
}

#[tokio::test]
async fn the_latest_traces_of_each_root_operation_outlive_their_partition() {
    let mut rig = Rig::new().await;
    let rare = |day, id| TestSpan { name: "rare", ..on(day, id) };
    // Trace 2 of the rare operation has a child of another service; the usual one comes again on day 8.
    let child = TestSpan { service: "db", ..span(2, 20, Some(2), DAY + 5) };
    rig.flush(&[rare(0, 1), rare(0, 2), child, rare(0, 3), on(0, 4), on(0, 5)]).await;
    rig.flush(&[on(8, 6), on(8, 7)]).await;
    rig.ttl(5).await;
    rig.set(PolicyChange { keep_latest: Some(2), ..PolicyChange::default() }).await;
    let receipts = rig.apply().await;
    assert_eq!(receipts[0].loss.kept, Kept { traces: 2, rows: 3 });
    rig.expect(&[("kept", 0, &[2, 3, 20]), ("default", 8, &[6, 7])]).await;
    // A newer trace of the rare operation takes the place of the oldest with the next drop.
    rig.flush(&[rare(8, 8), on(1, 9)]).await;
    rig.apply().await;
    rig.expect(&[("kept", 0, &[3]), ("default", 8, &[6, 7]), ("default", 8, &[8])]).await;
}

#[tokio::test]
async fn size_takes_the_oldest_date_first_and_of_today_the_oldest_files() {
    let mut rig = Rig::new().await;
    rig.rules(&[errors(None)]).await;
    for (day, id) in [(10, 1), (0, 2), (10, 3), (1, 4)] {
        rig.flush(&[on(day, id)]).await;
    }
    rig.flush(&[failed(on(1, 5))]).await;
    let limit = async |rig: &Rig, files: u64| {
        let state = rig.table.state();
        let bytes = state.files.iter().map(|file| file.bytes).max().unwrap() * files;
        let change = PolicyChange { max_bytes: Some(Some(bytes)), ..PolicyChange::default() };
        rig.set(change).await;
        rig.apply().await
    };
    let receipts = limit(&rig, 4).await;
    assert_eq!((receipts.len(), receipts[0].reason.as_str()), (1, "max_bytes"));
    rig.expect(&[
        ("default", 1, &[4]),
        ("errors", 1, &[5]),
        ("default", 10, &[1]),
        ("default", 10, &[3]),
    ])
    .await;
    limit(&rig, 3).await;
    rig.expect(&[("default", 10, &[1]), ("default", 10, &[3])]).await;
    limit(&rig, 1).await;
    rig.expect(&[("default", 10, &[3])]).await;
}

#[tokio::test]
async fn a_write_that_fails_anywhere_in_a_removal_leaves_every_span_once_or_removes_it() {
    // A copy, its sidecar and rollup, the commit, the receipt; the sixth change does not happen.
    for (change, after) in (0..6).flat_map(|change| [(change, false), (change, true)]) {
        let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let mut rig = Rig::over(Arc::clone(&inner)).await;
        rig.flush(&[on(0, 1), on(0, 2), on(9, 3)]).await;
        rig.pin(1).await;
        rig.ttl(5).await;
        let failing = FailingStore::over(&inner);
        let rig = Rig::over(Arc::clone(&failing) as _).await;
        failing.fail_change(change, after);
        if let Ok(Some(removal)) = rig.table.next_removal(false).await {
            let _ = rig.table.commit_removal(&removal).await;
        }
        let before = [("default".to_owned(), 0, vec![1, 2]), ("default".to_owned(), 9, vec![3])];
        let done = [("kept".to_owned(), 0, vec![1]), ("default".to_owned(), 9, vec![3])];
        let reopened = Rig::over(inner).await;
        let found = reopened.files().await;
        assert!(
            found == BTreeSet::from(before) || found == BTreeSet::from(done.clone()),
            "{found:?}"
        );
        rig.table.refresh().await.unwrap();
        rig.apply().await;
        assert_eq!(rig.files().await, BTreeSet::from(done), "{change} {after}");
    }
}

#[tokio::test]
async fn a_removal_is_refused_where_compaction_was_faster_and_the_other_way_round() {
    let mut rig = Rig::new().await;
    for id in 1..=3 {
        rig.flush(&[on(0, id)]).await;
    }
    rig.ttl(5).await;
    let stale = rig.table.next_removal(false).await.unwrap().unwrap();
    assert_eq!(rig.compact().await, 1);
    assert_eq!(rig.table.commit_removal(&stale).await.unwrap(), None);
    rig.expect(&[("default", 0, &[1, 2, 3])]).await;
    assert_eq!(rig.apply().await.len(), 1, "prepared anew");
    rig.expect(&[]).await;
}

#[tokio::test]
async fn a_damaged_file_leaves_but_one_that_cannot_be_read_for_now_waits_where_something_is_pinned()
{
    let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let failing = FailingStore::over(&inner);
    let mut rig = Rig::over(Arc::clone(&failing) as _).await;
    rig.flush(&[on(0, 1)]).await;
    rig.pin(1).await;
    rig.ttl(5).await;
    failing.fail_reads(true);
    assert!(rig.table.next_removal(false).await.is_err());
    failing.fail_reads(false);
    let path = Path::from(rig.table.state().files[0].path.as_str());
    rig.table.object_store().put(&path, b"damaged".to_vec().into()).await.unwrap();
    assert_eq!(rig.apply().await.len(), 1);
    rig.expect(&[]).await;
}

#[tokio::test]
async fn nothing_goes_by_a_setting_that_cannot_be_read_or_while_the_table_is_held() {
    let mut rig = Rig::new().await;
    rig.flush(&[on(0, 1)]).await;
    rig.ttl(5).await;
    let mut policy = (*rig.table.state().policy).clone();
    policy.unreadable = true;
    let plan = rig.table.plan(&policy).await.unwrap();
    assert_eq!((plan.loss, plan.stays.len()), (Loss::default(), 1));

    let place = rig.table.place().clone();
    let config = Config { hold: true, ..Config::in_folder("unused") };
    let clock = Arc::clone(&rig.clock);
    let held = Table::open(place, &config, Uuid::nil(), clock as _).await.unwrap();
    assert!(held.next_removal(true).await.unwrap().is_none());
    assert!(rig.table.next_removal(false).await.unwrap().is_some());
}

#[tokio::test]
async fn the_policy_of_a_table_outranks_the_configuration_and_survives_a_reopen() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let rig = Rig::over(Arc::clone(&store)).await;
    assert!(!rig.table.state().policy.by_command);
    let change = PolicyChange {
        rules: Some(vec![errors(Some(3)), health()]),
        max_bytes: Some(Some(1 << 40)),
        keep_latest: Some(7),
        ..PolicyChange::default()
    };
    rig.set(change.clone()).await;
    let state = Rig::over(Arc::clone(&store)).await.table.state();
    let policy = &state.policy;
    assert_eq!((policy.rules.to_vec(), policy.by_command), (change.rules.unwrap(), true));
    assert_eq!((policy.max_bytes, policy.keep_latest), (Some(1 << 40), 7));
    assert_eq!(policy.ttl, Ttl { duration: None, by_command: false }, "left to the configuration");
    rig.set(PolicyChange { max_bytes: Some(None), ..PolicyChange::default() }).await;
    assert_eq!(Rig::over(store).await.table.state().policy.max_bytes, None);
    let wrong = PolicyChange { rules: Some(vec![Rule::default()]), ..PolicyChange::default() };
    assert!(rig.table.set_policy(&wrong).await.is_err());
}

#[tokio::test]
async fn what_was_stored_within_an_hour_is_known_after_a_restart() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut rig = Rig::over(Arc::clone(&store)).await;
    rig.rules(&[errors(None)]).await;
    rig.flush(&[failed(span(1, 1, None, DAY)), span(2, 2, None, DAY)]).await;
    let mut rig = Rig::over(Arc::clone(&store)).await;
    // A root each, so that only memory can tell that there is more of these traces.
    rig.flush(&[span(1, 3, None, DAY), span(2, 4, None, DAY), span(3, 5, None, DAY)]).await;
    rig.expect(&[
        ("errors", 0, &[1]),
        ("default", 0, &[2]),
        ("errors", 0, &[3]),
        ("default", 0, &[4, 5]),
    ])
    .await;
    let mut open = Vec::new();
    for file in rig.table.state().files.iter() {
        open.extend(rig.table.rollups().whole(file).await.unwrap().open().to_vec());
    }
    open.sort_unstable();
    assert_eq!(open, [1u128, 2].map(|trace| TraceId(trace.to_be_bytes())));

    let rig = Rig::over(store).await;
    rig.clock.set(rig.clock.now_unix_nano() + 7_200 * NANOS_PER_SECOND);
    assert!(rig.table.seen().contains(&TraceId(3u128.to_be_bytes())), "from the start");
}
