use super::*;

#[test]
fn ranges_have_in_common_what_lies_in_both() {
    let (a, b) = ([0..4, 6..9, 12..20], [2..7, 8..13, 13..14, 19..30]);
    assert_eq!(common(&a, &b), [2..4, 6..7, 8..9, 12..13, 13..14, 19..20]);
    assert!(common(&a, &[]).is_empty());
}
