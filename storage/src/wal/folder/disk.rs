//! The log's folder on the local disk.
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

use super::direct::Direct;
use super::{Append, Folder};

/// A folder on the local disk; files are private (0600).
#[derive(Debug)]
pub(crate) struct Disk {
    path: PathBuf,
    direct: bool,
}

impl Disk {
    /// The existing folder at `path`. Every write goes to the page cache first.
    #[cfg(test)]
    pub(super) fn cached(path: &Path) -> Self {
        Self { path: path.to_owned(), direct: false }
    }

    /// The existing folder at `path`. Where `syncs` says that every group is synced at once, writes pass the page cache
    /// by: see [`Direct`].
    pub(crate) fn new(path: &Path, syncs: bool) -> Self {
        Self { path: path.to_owned(), direct: syncs }
    }

    /// `file`, which has room for `bytes`, for writing.
    fn append(&self, name: &str, file: File, bytes: u64) -> Box<dyn Append> {
        let direct = (self.direct && bytes > 0).then(|| Direct::open(&self.path(name))).flatten();
        Box::new(DiskFile { file, direct })
    }
}

impl Folder for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for file in std::fs::read_dir(&self.path)? {
            if let Ok(name) = file?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path(name))?;
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        Ok(content)
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Box<dyn Append>> {
        let file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path(name))?;
        if bytes > 0 {
            reserve(&file, bytes)?;
        }
        Ok(self.append(name, file, bytes))
    }

    fn reuse(&self, name: &str, bytes: u64) -> io::Result<Box<dyn Append>> {
        let file = OpenOptions::new().write(true).open(self.path(name))?;
        if file.metadata()?.len() != bytes {
            file.set_len(bytes)?;
            reserve(&file, bytes)?;
        }
        Ok(self.append(name, file, bytes))
    }

    fn truncate(&self, name: &str, bytes: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.path(name))?;
        file.set_len(bytes)?;
        file.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.path)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Reserves blocks, so that a full disk shows here and not in the middle of a group. Some file systems cannot.
fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    use rustix::io::Errno;
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Linux takes this many parts in one call (`IOV_MAX`).
const PARTS_MAX: usize = 1024;

#[derive(Debug)]
struct DiskFile {
    file: File,
    direct: Option<Direct>,
}

impl Append for DiskFile {
    fn write_at(&mut self, at: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        if let Some(direct) = &mut self.direct {
            match direct.write_at(at, parts) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                // A disk with other ideas of alignment: all of it goes the other way.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.direct = None,
                Err(error) => return Err(error),
            }
        }
        write_cached(&self.file, at, parts)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }
}

/// Writes all of `parts` by way of the page cache.
fn write_cached(file: &File, mut at: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
    let mut parts = parts.to_vec();
    let mut left: &mut [IoSlice<'_>] = &mut parts;
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        let some = &left[..left.len().min(PARTS_MAX)];
        match rustix::io::pwritev(file, some, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                at += written as u64;
                IoSlice::advance_slices(&mut left, written);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
