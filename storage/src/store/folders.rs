//! The local folders of a store: where they lie, that only their owner may enter, and that one process holds them.
use std::path::{Path, PathBuf};

use crate::config::{Config, Location};
use crate::error::{Error, Result};
use crate::lock::{Lock, create_private};

/// Folders that exist, are private and are locked.
#[derive(Debug)]
pub(super) struct Folders {
    /// Where the log lies.
    pub(super) wal: PathBuf,
    /// The locks; they end with the last owner.
    pub(super) locks: Vec<Lock>,
}

impl Folders {
    /// Makes what is missing and takes the locks.
    pub(super) fn prepare(config: &Config) -> Result<Self> {
        check_tenant(&config.tenant)?;
        let table = match &config.location {
            Location::Folder(root) => Some(root.join(&config.tenant)),
            Location::ObjectStore { .. } => None,
        };
        let wal = match (&config.wal_dir, &table) {
            (Some(folder), _) => folder.clone(),
            (None, Some(table)) => table.join("wal"),
            (None, None) => {
                return Err(Error::Invalid(
                    "a table in an object store needs a local folder for its write-ahead log (wal_dir)".into(),
                ));
            }
        };
        let mut locks = Vec::new();
        if let Some(table) = &table {
            locks.push(claim(table)?);
        }
        if config.wal_dir.is_some() || table.is_none() {
            locks.push(claim(&wal)?);
        } else {
            create_private(&wal)?;
        }
        Ok(Self { wal, locks })
    }
}

fn claim(folder: &Path) -> Result<Lock> {
    create_private(folder)?;
    Lock::take(folder)
}

/// `^[a-z0-9][a-z0-9_-]{0,62}$`: the tenant is a folder name.
fn check_tenant(tenant: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let valid = tenant.len() <= 63
        && tenant.bytes().next().is_some_and(plain)
        && tenant.bytes().all(|byte| plain(byte) || byte == b'_' || byte == b'-');
    if valid {
        Ok(())
    } else {
        Err(Error::Invalid(format!(
            "tenant {tenant:?} must be 1 to 63 of a-z, 0-9, _ and -, and start with a letter or digit"
        )))
    }
}
