use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn a_second_lock_names_the_process_that_holds_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let first = Lock::take(folder.path()).unwrap();
    match Lock::take(folder.path()) {
        Err(Error::Locked { pid, path }) => {
            assert_eq!(pid, std::process::id());
            assert_eq!(path, folder.path());
        }
        other => panic!("expected Locked, got {other:?}"),
    }
    drop(first);
    Lock::take(folder.path()).unwrap();
}

#[test]
fn an_open_folder_is_made_private() {
    let folder = tempfile::tempdir().unwrap();
    let open = folder.path().join("data");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o755)).unwrap();
    create_private(&open).unwrap();
    assert_eq!(std::fs::metadata(&open).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn new_folders_and_lock_files_are_private() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a/b");
    create_private(&deep).unwrap();
    let _lock = Lock::take(&deep).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("a")), 0o700);
    assert_eq!(mode(&deep), 0o700);
    assert_eq!(mode(&deep.join(FILE)), 0o600);
}

#[test]
fn a_relative_folder_is_made_too() {
    // Below the target folder, where tests may write.
    let folder = tempfile::tempdir_in(".").unwrap();
    let relative = Path::new(folder.path().file_name().unwrap()).join("x/y");
    create_private(&relative).unwrap();
    assert!(folder.path().join("x/y").is_dir());
}
