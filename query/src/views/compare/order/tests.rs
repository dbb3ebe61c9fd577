use super::super::Counts;
use super::super::leaves::Leaves;
use super::super::significance::Table;
use super::super::weights::Estimates;
use super::*;

/// A value that 30 of 100 have on one side, and `baseline` of 1,000 on the other.
fn row(scope: Scope, key: &str, value: &str, (baseline, signature): (i64, u64)) -> Row {
    let with = Counts { selection: 30, baseline };
    let table = Table { with, all: Counts { selection: 100, baseline: 1_000 } };
    Row {
        scope,
        key: key.to_owned(),
        value: value.to_owned(),
        table,
        within: None,
        estimates: Some(Estimates::exactly(with)),
        leaves: Leaves::default(),
        signature,
        interval: None,
    }
}

/// Keys in order with the position of the finding that they belong to.
#[track_caller]
fn check(rows: Vec<Row>, expected: &[(&str, i64)]) {
    let ranked = ranked(rows, Vec::new());
    let found: Vec<(&str, i64)> =
        ranked.iter().map(|ranked| (ranked.row.key.as_str(), ranked.same_as)).collect();
    assert_eq!(found, expected);
    for (place, ranked) in (1..).zip(&ranked) {
        assert_eq!(ranked.position, place);
    }
}

#[test]
fn the_statement_comes_before_its_summary_and_the_name_of_a_server_before_its_address() {
    use Scope::{Attribute, Field};
    let (server, statement) = ((20, 7), (40, 3));
    check(
        vec![
            row(Attribute, "network.peer.address", "10.28.168.160", server),
            row(Field, "name", "SELECT items", statement),
            row(Attribute, "db.query.summary", "SELECT items", statement),
            row(Attribute, "server.address", "orders-pg-1.db.acme.internal", server),
            row(Attribute, "db.query.text", "SELECT id FROM items WHERE id = $1", statement),
        ],
        &[
            ("server.address", 1),
            ("network.peer.address", 1),
            ("db.query.text", 3),
            ("name", 3),
            ("db.query.summary", 3),
        ],
    );
}

#[test]
fn what_spans_did_comes_before_where_they_ran_and_the_service_before_its_machines() {
    use Scope::{Attribute, Field, Resource};
    let same = (20, 7);
    check(
        vec![
            row(Resource, "container.id", "b30f14b68f3106d14162434a265e914e", same),
            row(Resource, "k8s.node.name", "gke-prod-eu1-pool-2-a389c35a-p2vd", same),
            row(Field, "service", "order", same),
            row(Field, "scope_name", "io.opentelemetry.jdbc", same),
            row(Attribute, "db.namespace", "orders", same),
            row(Attribute, "thread.id", "39", same),
        ],
        &[
            ("db.namespace", 1),
            ("service", 1),
            ("scope_name", 1),
            ("k8s.node.name", 1),
            ("container.id", 1),
            ("thread.id", 1),
        ],
    );
}

#[test]
fn findings_that_are_equally_significant_do_not_mix() {
    use Scope::Attribute;
    // As many of either side have them, but others.
    check(
        vec![
            row(Attribute, "b", "some words here", (20, 1)),
            row(Attribute, "a", "many more words than there", (20, 2)),
            row(Attribute, "d", "few", (20, 1)),
            row(Attribute, "c", "words", (20, 2)),
        ],
        &[("a", 1), ("c", 1), ("b", 3), ("d", 3)],
    );
}
