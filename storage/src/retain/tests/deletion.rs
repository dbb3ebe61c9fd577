//! Deletion of traces: nothing of them stays in any file.
use super::*;

#[tokio::test]
async fn a_deletion_rewrites_only_the_files_that_hold_the_trace_in_one_commit() {
    let mut rig = Rig::new().await;
    rig.rules(&[errors(None)]).await;
    let traced = |id, trace, day: i64| span(trace, id, None, DAY + day * NANOS_PER_DAY);
    rig.flush(&[traced(1, 1, 0), traced(2, 2, 0), traced(3, 1, 1), failed(traced(4, 3, 0))]).await;
    rig.flush(&[failed(traced(5, 1, 2)), failed(traced(6, 4, 2))]).await;
    let untouched: Vec<String> = paths(&rig, "errors", 0);
    let selection = Selection::Traces(vec![TraceId(1u128.to_be_bytes()), TraceId([9; 16])]);
    let (files, traces, loss) = rig.table.find(&selection).await.unwrap();
    assert_eq!((files.len(), traces.len(), loss.rows), (3, 1, 3));
    let version = rig.table.state().version.0;
    let (removal, _) = rig.table.deletion_of(&selection).await.unwrap();
    let receipt = rig.table.commit_removal(&removal).await.unwrap().unwrap();
    assert_eq!((receipt.version, receipt.reason.as_str()), (Some(version + 1), "deletion"));
    assert_eq!((receipt.loss.rows, receipt.loss.traces, receipt.loss.files), (3, 1, 3));
    rig.expect(&[("default", 0, &[2]), ("errors", 0, &[4]), ("errors", 2, &[6])]).await;
    assert_eq!(paths(&rig, "errors", 0), untouched);
    let (again, _) = rig.table.deletion_of(&selection).await.unwrap();
    assert!(again.inputs.is_empty());
}

fn paths(rig: &Rig, class: &str, day: i64) -> Vec<String> {
    let date = crate::file::date_of(DAY + day * NANOS_PER_DAY);
    let state = rig.table.state();
    let files = state.files.iter().filter(|file| file.class() == class && file.date == date);
    files.map(|file| file.path.clone()).collect()
}

#[tokio::test]
async fn an_attribute_is_found_wherever_it_lies() {
    let mut rig = Rig::new().await;
    let with = |id, attributes| TestSpan { attributes: Some(attributes), ..on(0, id) };
    rig.flush(&[
        with(1, r#"{"user.id":"u-17","a":1}"#),
        with(2, r#"{"user.id":"u-18"}"#),
        TestSpan { resource: r#"{"service.name":"shop","user.id":"u-17"}"#, ..on(0, 3) },
        with(4, r#"{"user.id":17}"#),
        with(5, r#"{"user.\u0069d":"u-17"}"#),
        with(6, r#"{"other":"u-17"}"#),
    ])
    .await;
    let found = async |key: &str, value: &str| {
        let selection = Selection::Attribute { key: key.into(), value: value.into() };
        let (_, traces, _) = rig.table.find(&selection).await.unwrap();
        let mut traces: Vec<u128> = traces.into_iter().map(u128::from_be_bytes).collect();
        traces.sort_unstable();
        traces
    };
    assert_eq!(found("user.id", "u-17").await, [1, 3, 5]);
    assert_eq!(found("user.id", "17").await, [4]);
    assert_eq!(found("user.id", "u-1").await, [0u128; 0]);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_makes_a_deletion_fail_and_nothing_is_deleted() {
    let mut rig = Rig::new().await;
    rig.flush(&[on(0, 1)]).await;
    rig.flush(&[on(0, 1)]).await;
    let path = Path::from(rig.table.state().files[1].path.as_str());
    rig.table.object_store().put(&path, b"damaged".to_vec().into()).await.unwrap();
    let selection = Selection::Traces(vec![TraceId(1u128.to_be_bytes())]);
    assert!(rig.table.deletion_of(&selection).await.is_err());
    assert_eq!(rig.table.state().files.len(), 2);
}
