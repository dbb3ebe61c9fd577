use super::*;

#[test]
fn the_last_traces_are_remembered_and_the_oldest_forgotten() {
    let seen = Seen::with_generations_of(4);
    let trace = |number: u8| TraceId([number; 16]);
    (1..=9).for_each(|number| seen.add(&[[number; 16]]));
    assert!((5..=9).all(|number| seen.contains(&trace(number))));
    assert!(!(1..=4).any(|number| seen.contains(&trace(number))));
}
