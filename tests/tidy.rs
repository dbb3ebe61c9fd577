//! The rules that no compiler checks: which crate may use which, what may not be in the tree.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Edges between our crates. A new one needs a decision record first.
const EDGES: &[(&str, &str)] = &[
    ("ingest", "storage"),
    ("query", "storage"),
    ("web", "query"),
    ("web", "storage"),
    ("server", "ingest"),
    ("server", "query"),
    ("server", "storage"),
    ("server", "web"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn crates_use_only_the_crates_they_may() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata");
    let packages = metadata["packages"].as_array().expect("packages");
    let ours: BTreeSet<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let mut found = BTreeSet::new();
    for package in packages {
        let name = package["name"].as_str().expect("name");
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let to = dependency["name"].as_str().expect("name");
            // Tests may use what they like; the product may not.
            if dependency["kind"].is_null() && ours.contains(to) {
                found.insert((name, to));
            }
        }
    }
    assert_eq!(found, EDGES.iter().copied().collect(), "see ARCHITECTURE.md before adding an edge");
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry")) {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() && !["target", "node_modules", ".git", "dist"].contains(&name.as_str()) {
            sources(&path, into);
        } else if matches!(
            path.extension().and_then(|e| e.to_str()),
            Some("rs" | "ts" | "tsx" | "py")
        ) {
            into.push(path);
        }
    }
}

#[test]
fn no_source_file_is_too_long_and_no_module_is_called_mod() {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    assert!(files.len() > 50, "the walk found {} files", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let in_tests =
            file.components().any(|part| part.as_os_str() == "tests") || name == "tests.rs";
        let lines = std::fs::read_to_string(&file).expect("UTF-8").lines().count();
        if name == "mod.rs" {
            wrong.push(format!("{}: name it after its folder", file.display()));
        }
        if lines > 600 && !in_tests {
            wrong.push(format!("{}: {lines} lines, 600 at most", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
