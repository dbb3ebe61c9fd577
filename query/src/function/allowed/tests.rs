use super::*;

#[test]
fn every_listed_function_exists() {
    let check = |list: &str, names: Vec<String>| {
        let missing: Vec<_> =
            list.split_ascii_whitespace().filter(|name| !names.iter().any(|n| n == name)).collect();
        assert!(missing.is_empty(), "listed, but unknown: {missing:?}");
    };
    check(SCALAR, scalar().iter().map(|f| f.name().to_owned()).collect());
    check(AGGREGATE, aggregate().iter().map(|f| f.name().to_owned()).collect());
    check(WINDOW, window().iter().map(|f| f.name().to_owned()).collect());
    let names: Vec<_> = GROWING.iter().map(|(name, _)| *name).collect();
    assert!(names.iter().all(|name| is_listed(SCALAR, name)), "{names:?}");
}

#[test]
fn functions_that_tell_of_the_server_or_make_things_of_any_size_are_not_there() {
    let names: Vec<_> = scalar().iter().map(|f| f.name().to_owned()).collect();
    for name in
        ["input_file_name", "file_row_index", "version", "range", "generate_series", "array_repeat"]
    {
        assert!(!names.iter().any(|n| n == name), "{name}");
    }
}
