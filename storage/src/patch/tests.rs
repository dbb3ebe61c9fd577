use object_store::memory::InMemory;

use super::*;
use crate::testing::FailingStore;

fn rename(service: &str, name: &str, to: &str) -> What {
    What::Rename { service: service.into(), name: name.into(), to: to.into() }
}

fn note(trace: u128, text: &str) -> What {
    What::Note { trace_id: format!("{trace:032x}"), span_id: None, text: text.into() }
}

fn alias(trace: u128, alias: &str) -> What {
    What::Alias { trace_id: format!("{trace:032X}"), alias: alias.into() }
}

fn id(trace: u128) -> TraceId {
    TraceId(trace.to_be_bytes())
}

fn of(patches: Vec<What>) -> Patches {
    let numbered = (1..).zip(patches).map(|(number, what)| Patch { number, at_unix_nano: 0, what });
    Patches::of(numbered.collect())
}

#[track_caller]
fn shown(patches: Vec<What>, expected: [&str; 3]) {
    let patches = of(patches);
    assert_eq!(["a", "b", "c"].map(|name| patches.renames().name("shop", name)), expected);
    assert_eq!(patches.renames().name("other", "a"), "a");
}

#[test]
fn a_rename_concerns_what_is_shown_under_that_name() {
    let step = |name, to| rename("shop", name, to);
    shown(vec![], ["a", "b", "c"]);
    shown(vec![step("a", "b")], ["b", "b", "c"]);
    shown(vec![step("a", "b"), step("b", "c")], ["c", "c", "c"]);
    shown(vec![step("a", "b"), step("b", "a")], ["a", "a", "c"]);
    shown(vec![step("a", "b"), What::Retract { patch: 1 }], ["a", "b", "c"]);
    assert!(of(vec![step("a", "b"), What::Retract { patch: 1 }]).renames().is_empty());
    let both = of(vec![step("a", "x"), rename("b", "b", "y")]);
    let all: Vec<_> = both.renames().iter().collect();
    assert_eq!(all, [("b", "b", "y"), ("shop", "a", "x")]);
}

#[test]
fn the_latest_alias_of_a_name_counts_and_what_was_taken_back_does_not() {
    let patches = of(vec![alias(1, "order"), alias(2, "order"), note(1, "slow"), note(1, "again")]);
    assert_eq!((patches.find("order"), patches.find("other")), (Some(id(2)), None));
    assert_eq!(patches.of_trace(&id(1)).len(), 3);
    let patches = of(vec![alias(1, "order"), note(1, "slow"), What::Retract { patch: 1 }]);
    assert_eq!((patches.find("order"), patches.of_trace(&id(1)).len()), (None, 1));
    assert_eq!(patches.all().len(), 3, "nothing is forgotten");
}

#[tokio::test]
async fn patches_are_numbered_kept_and_seen_by_other_writers() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let none = Arc::new(Patches::default());
    let one = add(&store, &none, alias(1, "order"), 5).await.unwrap();
    // The other one knows nothing of it yet.
    let two = add(&store, &none, note(1, "slow"), 6).await.unwrap();
    assert_eq!(two.all().iter().map(|patch| patch.number).collect::<Vec<_>>(), [1, 2]);
    let seen = load(&store, &one).await.unwrap();
    assert_eq!(seen.all(), two.all());
    assert_eq!(seen.find("order"), Some(id(1)), "upper case digits are the same id");
    assert!(Arc::ptr_eq(&load(&store, &seen).await.unwrap(), &seen), "nothing new");

    store.put(&path(3), b"damaged".to_vec().into()).await.unwrap();
    let three = add(&store, &seen, rename("shop", "a", "b"), 7).await;
    let numbers: Vec<u64> = three.unwrap().all().iter().map(|patch| patch.number).collect();
    assert_eq!(numbers, [1, 2, 4], "a damaged patch hides nothing and keeps its number");

    let rest = forget(&store, &none, |trace| *trace == id(1)).await.unwrap();
    assert_eq!(rest.all().len(), 1);
    assert_eq!(load(&store, &none).await.unwrap().all(), rest.all());
}

#[tokio::test]
async fn a_patch_whose_writing_failed_can_be_written_again() {
    for after in [false, true] {
        let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let failing = FailingStore::over(&inner);
        let store: Arc<dyn ObjectStore> = Arc::clone(&failing) as _;
        failing.fail_change(0, after);
        let none = Arc::new(Patches::default());
        assert!(add(&store, &none, note(1, "x"), 1).await.is_err());
        let patches = add(&store, &none, note(1, "x"), 2).await.unwrap();
        assert_eq!(
            patches.all().len(),
            1 + usize::from(after),
            "a lost answer: it is there twice, with two numbers"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let none = Arc::new(Patches::default());
    let correction = |field: &str, value: &str| What::Correction {
        trace_id: "1".repeat(32),
        span_id: "2".repeat(16),
        fields: [(field.to_owned(), value.to_owned())].into(),
        attributes: BTreeMap::new(),
    };
    for wrong in [
        note(1, " "),
        note(1, &"x".repeat(4_097)),
        What::Note { trace_id: "7".into(), span_id: None, text: "x".into() },
        What::Note { trace_id: "1".repeat(32), span_id: Some("x".into()), text: "x".into() },
        alias(1, ""),
        alias(1, &"a".repeat(32)),
        rename("shop", "a", "a"),
        rename("shop", "a", ""),
        correction("colour", "red"),
        correction("status", "bad"),
        correction("name", &"x".repeat(5_000)),
        What::Retract { patch: 9 },
    ] {
        let error = add(&store, &none, wrong.clone(), 1).await.unwrap_err();
        assert_eq!(error.kind(), crate::Kind::Invalid, "{wrong:?}");
    }
    assert_eq!(add(&store, &none, correction("status", "OK"), 1).await.unwrap().all().len(), 1);
}
