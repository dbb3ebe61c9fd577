//! The files of the log: the few steps it takes on a disk, behind a trait so that tests can make each of them fail.
mod direct;
mod disk;

use std::fmt;
use std::io::{self, IoSlice};
use std::path::PathBuf;

pub(crate) use disk::Disk;

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
