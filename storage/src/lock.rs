//! The lock file: one process per folder, for as long as it lives.
//!
//! Owns `LOCK`. The lock is the kernel's (`flock`), so it ends with the process, however that ends; the pid
//! inside is only for the message.
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::error::{Error, Result};

const FILE: &str = "LOCK";

/// Holds one folder until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of `folder`, which must exist.
    ///
    /// # Errors
    /// [`Error::Locked`] where another process (or another store of this one) holds it.
    pub(crate) fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let failed = |step| move |source| Error::File { step, path: folder.join(FILE), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed("open lock file"))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Error::Locked { path: folder.to_owned(), pid: read_pid(&mut file) });
            }
            Err(errno) => return Err(failed("lock")(errno.into())),
        }
        write_pid(&mut file).map_err(failed("write lock file"))?;
        Ok(Self { _file: file })
    }
}

fn read_pid(file: &mut File) -> u32 {
    let mut text = String::new();
    match file.take(32).read_to_string(&mut text) {
        Ok(_) => text.trim().parse().unwrap_or(0),
        Err(_) => 0,
    }
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// Creates `folder` and its parents for the owner only (0700); where it exists and others may enter it, takes that away.
///
/// # Errors
/// The step that failed.
pub(crate) fn create_private(folder: &Path) -> Result<()> {
    let failed = |step| move |source| Error::File { step, path: PathBuf::from(folder), source };
    let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(failed("create folder"))?;
    // A power cut must not take the folder away together with what was synced inside.
    for parent in missing.iter().filter_map(|folder| folder.parent()) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(failed("sync parent of"))?;
    }
    let permissions = std::fs::metadata(folder).map_err(failed("read folder"))?.permissions();
    if permissions.mode() & 0o077 != 0 {
        tracing::warn!(folder = %folder.display(), "data folder was open to others, made private");
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o700))
            .map_err(failed("make private"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
