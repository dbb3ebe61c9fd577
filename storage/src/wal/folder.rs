//! The files of the log: the few steps it takes on a disk, behind a trait so that tests can make each of them fail.
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

/// A folder of small names without separators.
pub(crate) trait Folder: Send + Sync + fmt::Debug + 'static {
    /// Names of all files, in no order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// The whole content of a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// Makes a new file that can take `bytes` without needing more of the disk.
    fn create(&self, name: &str, bytes: u64) -> io::Result<Box<dyn Append>>;
    /// Opens a file to write over its content, with room for `bytes` as [`Folder::create`] gives it.
    fn reuse(&self, name: &str, bytes: u64) -> io::Result<Box<dyn Append>>;
    /// Cuts a file to `bytes` and syncs it.
    fn truncate(&self, name: &str, bytes: u64) -> io::Result<()>;
    /// Gives a file another name, replacing what had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Deletes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync(&self) -> io::Result<()>;
    /// Bytes that may still be written to the disk.
    fn free_bytes(&self) -> io::Result<u64>;
    /// For messages.
    fn path(&self, name: &str) -> PathBuf;
}

/// A file that is being written.
pub(crate) trait Append: Send + fmt::Debug {
    /// Writes all of `parts`, one after the other, from the offset `at` on.
    fn write_at(&mut self, at: u64, parts: &[IoSlice<'_>]) -> io::Result<()>;
    /// Makes everything written durable. After an error the file is not to be trusted any more.
    fn sync(&mut self) -> io::Result<()>;
    /// Gives back what was reserved beyond `bytes`.
    fn cut(&mut self, bytes: u64) -> io::Result<()>;
}

/// How names of files end that are being written whole.
pub(crate) const UNFINISHED: &str = ".new";

/// Writes `content` under `name` so that after a crash either all of it is there or none.
pub(crate) fn write_whole(folder: &dyn Folder, name: &str, content: &[u8]) -> io::Result<()> {
    let unfinished = format!("{name}{UNFINISHED}");
    match folder.remove(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = folder.create(&unfinished, 0)?;
    file.write_at(0, &[IoSlice::new(content)])?;
    file.sync()?;
    folder.rename(&unfinished, name)?;
    folder.sync()
}

/// A folder on the local disk; files are private (0600).
#[derive(Debug)]
pub(crate) struct Disk {
    path: PathBuf,
}

impl Disk {
    /// The existing folder at `path`.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
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
        Ok(Box::new(DiskFile { file }))
    }

    fn reuse(&self, name: &str, bytes: u64) -> io::Result<Box<dyn Append>> {
        let file = OpenOptions::new().write(true).open(self.path(name))?;
        if file.metadata()?.len() != bytes {
            file.set_len(bytes)?;
            reserve(&file, bytes)?;
        }
        Ok(Box::new(DiskFile { file }))
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
}

impl Append for DiskFile {
    fn write_at(&mut self, mut at: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let mut parts = parts.to_vec();
        let mut left: &mut [IoSlice<'_>] = &mut parts;
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            let some = &left[..left.len().min(PARTS_MAX)];
            match rustix::io::pwritev(&self.file, some, at) {
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

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }
}
