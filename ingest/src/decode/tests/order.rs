//! Fields in any order, parts of a message apart from each other.
use super::*;

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

/// A request with these fields of a ScopeSpans message.
fn request(scope_spans: &[Vec<u8>]) -> Vec<u8> {
    let resource =
        Resource { attributes: vec![pair("service.name", text("late"))], ..Default::default() };
    let resource_spans =
        [field(2, &scope_spans.concat()), field(1, &resource.encode_to_vec()), vec![0x58, 0x07]];
    field(1, &resource_spans.concat())
}

fn scope(name: &str, version: &str) -> Vec<u8> {
    let scope =
        InstrumentationScope { name: name.into(), version: version.into(), ..Default::default() };
    field(1, &scope.encode_to_vec())
}

#[test]
fn fields_may_come_in_any_order_and_unknown_ones_are_skipped() {
    let span = field(2, &span().encode_to_vec());
    let group = vec![0x7b, 0x08, 0x01, 0x7c]; // field 15: start group, one varint, end group
    let batch = decode(request(&[span, group, scope("lib", "2")]));
    assert_eq!(cell(&batch, "service", 0).as_deref(), Some("late"));
    assert_eq!(cell(&batch, "scope_name", 0).as_deref(), Some("lib"));
    assert_eq!(cell(&batch, "scope_version", 0).as_deref(), Some("2"));
}

#[test]
fn a_scope_that_goes_on_behind_its_spans_holds_for_all_of_them() {
    let one = field(2, &span().encode_to_vec());
    let two = field(2, &Span { span_id: vec![7; 8], ..span() }.encode_to_vec());
    let parts = [scope("first", "1"), one, scope("", "2"), two, scope("lib", "")];
    let other =
        [scope("other", ""), field(2, &Span { span_id: vec![8; 8], ..span() }.encode_to_vec())];
    let batch = decode([request(&parts), request(&other)].concat());
    for (row, name, version) in [(0, "lib", Some("2")), (1, "lib", Some("2")), (2, "other", None)] {
        assert_eq!(cell(&batch, "scope_name", row).as_deref(), Some(name));
        assert_eq!(cell(&batch, "scope_version", row).as_deref(), version);
    }
}
