use super::*;

fn node<'a>(id: &'a str, parent: Option<&'a str>, start: i64) -> Node<'a> {
    Node { id, parent, start, duration: 1, is_callee: false }
}

#[test]
fn parents_come_before_children_and_siblings_by_start() {
    let nodes = [
        node("d", Some("b"), 40),
        node("c", Some("a"), 30),
        node("b", Some("a"), 20),
        node("a", None, 10),
    ];
    let tree = Tree::of(&nodes);
    assert_eq!(tree.order, [3, 2, 0, 1]);
    assert_eq!(tree.depths, [2, 1, 1, 0]);
    assert_eq!(tree.root, Some(3));
    assert!(tree.missing.is_empty());
}

#[test]
fn a_missing_parent_is_named_once_and_its_children_are_tops() {
    let nodes = [node("b", Some("x"), 20), node("c", Some("x"), 10)];
    let tree = Tree::of(&nodes);
    assert_eq!(tree.missing, ["x"]);
    assert_eq!(tree.order, [1, 0]);
    assert_eq!(tree.root, None);
    assert_eq!(tree.head(&nodes), Some(1));
}

#[test]
fn circles_and_spans_that_are_their_own_parent_have_a_place() {
    let nodes = [node("a", Some("b"), 10), node("b", Some("a"), 20), node("c", Some("c"), 30)];
    let tree = Tree::of(&nodes);
    assert_eq!(tree.order, [2, 0, 1]);
    assert_eq!(tree.depths, [0, 1, 0]);
}

#[test]
fn the_callee_of_a_shared_id_stands_below_its_caller() {
    let callee = Node { is_callee: true, ..node("b", Some("a"), 21) };
    let nodes = [node("a", None, 10), callee, node("b", Some("a"), 20), node("c", Some("b"), 30)];
    let tree = Tree::of(&nodes);
    assert_eq!(tree.order, [0, 2, 1, 3]);
    assert_eq!(tree.depths, [0, 2, 1, 3]);
}

#[test]
fn a_chain_of_a_hundred_thousand_does_not_overflow_the_stack() {
    let ids: Vec<String> = (0..100_000).map(|id| id.to_string()).collect();
    let nodes: Vec<Node<'_>> = ids
        .iter()
        .enumerate()
        .map(|(at, id)| node(id, at.checked_sub(1).map(|above| ids[above].as_str()), at as i64))
        .collect();
    assert_eq!(Tree::of(&nodes).depths[99_999], 99_999);
}
