use super::*;

fn text(strings: &Strings, number: u32) -> String {
    String::from_utf8(strings.read().get(number).to_vec()).unwrap()
}

#[test]
fn equal_strings_get_equal_numbers_before_and_after_publishing() {
    let mut interner = Interner::default();
    let first: Vec<u32> = {
        let mut open = interner.open();
        ["x", "", "y", "x", ""].map(|text| open.intern(text.as_bytes())).into()
    };
    assert_eq!(first, [0, 1, 2, 0, 1]);
    assert_eq!(interner.strings().read().count(), 0, "private until published");
    assert_eq!(interner.publish(), 2 + 3 * BYTES_PER_STRING);
    let mut open = interner.open();
    let second = ["z", "y", "x", "z"].map(|text| open.intern(text.as_bytes()));
    drop(open);
    assert_eq!(second, [3, 2, 0, 3]);
    assert_eq!(interner.publish(), 1 + BYTES_PER_STRING);
    assert_eq!(interner.publish(), 0);
    let strings = Arc::clone(interner.strings());
    drop(interner);
    assert_eq!([0, 1, 2, 3].map(|number| text(&strings, number)), ["x", "", "y", "z"]);
}

#[test]
fn many_strings_stay_apart() {
    let mut interner = Interner::default();
    for round in 0..3u32 {
        let mut open = interner.open();
        for value in 0..1_000 * (round + 1) {
            assert_eq!(open.intern(value.to_string().as_bytes()), value);
        }
        drop(open);
        interner.publish();
    }
    assert!(interner.bytes() > 3_000 * BYTES_PER_STRING);
}

#[test]
fn what_is_no_utf8_is_replaced() {
    let mut interner = Interner::default();
    let mut open = interner.open();
    let bad = open.intern(b"a\xffb");
    assert_eq!(open.intern("a\u{fffd}b".as_bytes()), bad);
    drop(open);
    interner.publish();
    assert_eq!(text(interner.strings(), bad), "a\u{fffd}b");
}

#[test]
fn strings_found_lately_have_the_same_numbers_also_after_publishing() {
    let mut interner = Interner::default();
    let (mut one, mut other) = (Lately::default(), Lately::default());
    for _ in 0..3 {
        let mut open = interner.open();
        for value in 0..500u32 {
            // Neighbours share their ends, so that many meet in one place.
            let text = format!("{}{value:03}{}", "same-".repeat(3), "-same".repeat(3));
            assert_eq!(open.intern_again(&mut one, text.as_bytes()), value);
            assert_eq!(open.intern_again(&mut one, text.as_bytes()), value);
            assert_eq!(open.intern_again(&mut other, text.as_bytes()), value);
        }
        assert_eq!(open.intern_again(&mut one, b""), 500);
        let bad = open.intern_again(&mut one, b"a\xffb");
        assert_eq!(open.intern_again(&mut one, "a\u{fffd}b".as_bytes()), bad);
        assert_eq!(open.intern_again(&mut one, b"a\xffb"), bad);
        drop(open);
        interner.publish();
    }
}

#[test]
fn equality_is_that_of_the_bytes() {
    let text: Vec<u8> = (0..150).collect();
    for length in 0..text.len() {
        let one = &text[..length];
        let copy: Box<[u8]> = one.into();
        assert!(equal(one, &copy));
        assert!(!equal(one, &text[..=length]));
        for place in 0..length {
            let mut other = one.to_vec();
            other[place] ^= 1;
            assert!(!equal(one, &other), "byte {place} of {length}");
        }
    }
}
