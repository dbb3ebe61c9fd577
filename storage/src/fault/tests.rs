use std::collections::BTreeMap;
use std::path::Path;

use super::*;

/// By name, how often the sources pass a point.
fn passed(folder: &Path, found: &mut BTreeMap<String, usize>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            passed(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for call in text.split("fault::point(\"").skip(1) {
            *found.entry(call.split('"').next().unwrap().to_owned()).or_default() += 1;
        }
    }
}

#[test]
fn every_point_is_passed_at_one_place_and_every_place_has_a_point() {
    let mut found = BTreeMap::new();
    passed(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let mut expected: Vec<(String, usize)> =
        POINTS.iter().map(|point| ((*point).to_owned(), 1)).collect();
    expected.sort();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_point_that_is_none_is_refused() {
    assert!(arm("flush: nowhere", 0).unwrap_err().contains("flush: nowhere"));
}
