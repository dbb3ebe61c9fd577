//! A server with less CPU than the machine has, so that a sender beside it can offer many times its capacity: a control
//! group of Linux, version 1 or 2. Making one needs root.
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Short, so that the server is not stopped for long at a time.
const PERIOD_MICROS: f64 = 10_000.0;

/// A group with its limit, as long as this lives and processes are in it.
#[derive(Debug)]
pub struct CpuLimit {
    folder: PathBuf,
}

impl CpuLimit {
    /// Holds the process `id` to `cpus` cores, all its threads together.
    ///
    /// # Errors
    /// Groups cannot be made here.
    pub fn new(id: u32, cpus: f64) -> Result<Self> {
        ensure!(cpus > 0.01, "too little CPU for a server: {cpus}");
        let quota = (cpus * PERIOD_MICROS).round();
        let name = format!("spanlake-bench-{id}");
        let first = Path::new("/sys/fs/cgroup/cpu");
        let (folder, limits) = if first.is_dir() {
            let limits = [
                ("cpu.cfs_period_us", PERIOD_MICROS.to_string()),
                ("cpu.cfs_quota_us", quota.to_string()),
            ];
            (first.join(name), limits.to_vec())
        } else {
            let limit = ("cpu.max", format!("{quota} {PERIOD_MICROS}"));
            (Path::new("/sys/fs/cgroup").join(name), vec![limit])
        };
        let words = "limit the server's CPU: needs root and a file system of control groups";
        fs::create_dir(&folder).context(words)?;
        let limit = Self { folder };
        for (file, value) in limits {
            fs::write(limit.folder.join(file), value).context(words)?;
        }
        fs::write(limit.folder.join("cgroup.procs"), id.to_string()).context(words)?;
        Ok(limit)
    }
}

impl Drop for CpuLimit {
    fn drop(&mut self) {
        // Only an empty group can go; where the process lives on, its limit stays.
        let _ = fs::remove_dir(&self.folder);
    }
}
