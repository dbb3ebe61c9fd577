//! A folder in memory that knows which bytes a power cut would leave, and fails where it is told to.
use std::collections::{BTreeMap, HashMap};
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use rand::Rng;

use crate::wal::{Append, Folder};

/// Unsynced bytes are lost or kept by blocks of this size.
const BLOCK: usize = 32;

/// What goes wrong, and at which step (the first is 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process dies before the step; every later step fails.
    CrashBefore(u64),
    /// The process dies after the step, before it hears of it.
    CrashAfter(u64),
    /// The step fails; of a write, the first half is there.
    FailOnce(u64, io::ErrorKind),
    /// From this step on, writes and syncs of files fail.
    FailWritesFrom(u64),
}

/// See the module. Clones share the content.
#[derive(Debug, Clone, Default)]
pub(crate) struct MemoryFolder {
    memory: Arc<Mutex<Memory>>,
}

#[derive(Debug, Default)]
struct Memory {
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    files: HashMap<u64, Content>,
    next_file: u64,
    steps: u64,
    fault: Option<Fault>,
    free_bytes: Option<u64>,
}

#[derive(Debug, Default, Clone)]
struct Content {
    written: Vec<u8>,
    durable: Vec<u8>,
    failed: bool,
}

/// Whether a step is carried out, and what it answers.
struct Verdict {
    carry_out: bool,
    answer: io::Result<()>,
}

impl MemoryFolder {
    /// Plants a fault, counted from now.
    pub(crate) fn plant(&self, fault: Fault) {
        let mut memory = self.lock();
        memory.steps = 0;
        memory.fault = Some(fault);
    }

    /// Nothing fails any more.
    pub(crate) fn heal(&self) {
        self.lock().fault = None;
    }

    /// Steps since the last fault was planted.
    pub(crate) fn steps(&self) -> u64 {
        self.lock().steps
    }

    /// Sets what [`Folder::free_bytes`] says.
    pub(crate) fn set_free_bytes(&self, bytes: u64) {
        self.lock().free_bytes = Some(bytes);
    }

    /// What a reader finds after the process was killed: everything written.
    pub(crate) fn after_kill(&self) -> Self {
        let memory = self.lock();
        let names = memory.names.clone();
        let files = memory.files.iter().map(|(file, content)| (*file, content.written.clone()));
        Self::of(&names, &files.collect(), memory.next_file)
    }

    /// What a reader finds after a power cut: everything synced, and of the rest whatever `random` leaves.
    pub(crate) fn after_power_cut(&self, random: &mut impl Rng) -> Self {
        let memory = self.lock();
        let mut names = BTreeMap::new();
        let mut files: Vec<u64> = memory.files.keys().copied().collect();
        // A file that took another's name is newer than it.
        files.sort_unstable();
        for file in files {
            // Each change of names is there or not, as a whole: a file has its old name or its new one.
            let side = if random.random() { &memory.names } else { &memory.durable_names };
            names.extend(
                side.iter().filter(|(_, named)| **named == file).map(|(n, f)| (n.clone(), *f)),
            );
        }
        let files = memory.files.iter();
        let files = files.map(|(file, content)| (*file, content.after_power_cut(random)));
        Self::of(&names, &files.collect(), memory.next_file)
    }

    fn of(names: &BTreeMap<String, u64>, files: &HashMap<u64, Vec<u8>>, next_file: u64) -> Self {
        let content = |bytes: &Vec<u8>| Content {
            written: bytes.clone(),
            durable: bytes.clone(),
            failed: false,
        };
        let memory = Memory {
            names: names.clone(),
            durable_names: names.clone(),
            files: files.iter().map(|(file, bytes)| (*file, content(bytes))).collect(),
            next_file,
            ..Memory::default()
        };
        Self { memory: Arc::new(Mutex::new(memory)) }
    }

    /// Replaces a file's content, durably.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let mut memory = self.lock();
        let file = memory.add(name);
        memory.durable_names.insert(name.to_owned(), file);
        let content = memory.files.get_mut(&file).unwrap();
        content.written = bytes.to_vec();
        content.durable = bytes.to_vec();
    }

    /// Names of files that end so, sorted.
    pub(crate) fn names(&self, suffix: &str) -> Vec<String> {
        self.lock().names.keys().filter(|name| name.ends_with(suffix)).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap()
    }
}

impl Content {
    fn after_power_cut(&self, random: &mut impl Rng) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        if random.random() {
            bytes.resize(self.written.len(), 0);
        }
        let length = bytes.len();
        for (at, block) in self.written.chunks(BLOCK).enumerate() {
            let from = at * BLOCK;
            let until = (from + block.len()).min(length);
            if from < until && random.random() {
                bytes[from..until].copy_from_slice(&block[..until - from]);
            }
        }
        bytes
    }
}

impl Memory {
    fn add(&mut self, name: &str) -> u64 {
        self.next_file += 1;
        let file = self.next_file;
        self.files.insert(file, Content::default());
        self.names.insert(name.to_owned(), file);
        file
    }

    fn find(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn step(&mut self, writes: bool) -> Verdict {
        self.steps += 1;
        let dead = || Err(io::Error::other("the process is dead"));
        let (carry_out, answer) = match self.fault {
            Some(Fault::CrashBefore(step)) if self.steps >= step => (false, dead()),
            Some(Fault::CrashAfter(step)) if self.steps >= step => (self.steps == step, dead()),
            Some(Fault::FailOnce(step, kind)) if self.steps == step => (false, Err(kind.into())),
            Some(Fault::FailWritesFrom(step)) if writes && self.steps >= step => {
                (false, Err(io::Error::other("the disk is broken")))
            }
            _ => (true, Ok(())),
        };
        Verdict { carry_out, answer }
    }
}

impl Folder for MemoryFolder {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let memory = self.lock();
        let file = memory.find(name)?;
        Ok(memory.files[&file].written.clone())
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Box<dyn Append>> {
        let mut memory = self.lock();
        let verdict = memory.step(false);
        if !verdict.carry_out {
            return Err(verdict.answer.expect_err("a step that is not carried out fails"));
        }
        if memory.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = memory.add(name);
        let reserved = usize::try_from(bytes).unwrap();
        memory.files.get_mut(&file).unwrap().written = vec![0; reserved];
        verdict.answer?;
        Ok(Box::new(MemoryFile { folder: self.clone(), file }))
    }

    fn reuse(&self, name: &str, bytes: u64) -> io::Result<Box<dyn Append>> {
        let mut memory = self.lock();
        let verdict = memory.step(false);
        if !verdict.carry_out {
            return Err(verdict.answer.expect_err("a step that is not carried out fails"));
        }
        let file = memory.find(name)?;
        let content = memory.files.get_mut(&file).unwrap();
        content.written.resize(usize::try_from(bytes).unwrap(), 0);
        verdict.answer?;
        Ok(Box::new(MemoryFile { folder: self.clone(), file }))
    }

    fn truncate(&self, name: &str, bytes: u64) -> io::Result<()> {
        let mut memory = self.lock();
        let verdict = memory.step(true);
        if verdict.carry_out {
            let file = memory.find(name)?;
            let content = memory.files.get_mut(&file).unwrap();
            content.written.truncate(usize::try_from(bytes).unwrap());
            content.durable = content.written.clone();
        }
        verdict.answer
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut memory = self.lock();
        let verdict = memory.step(false);
        if verdict.carry_out {
            let file = memory.find(from)?;
            memory.names.remove(from);
            memory.names.insert(to.to_owned(), file);
        }
        verdict.answer
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut memory = self.lock();
        let file = memory.find(name)?;
        let verdict = memory.step(false);
        if verdict.carry_out {
            memory.names.retain(|_, named| *named != file);
        }
        verdict.answer
    }

    fn sync(&self) -> io::Result<()> {
        let mut memory = self.lock();
        let verdict = memory.step(false);
        if verdict.carry_out {
            memory.durable_names = memory.names.clone();
        }
        verdict.answer
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.lock().free_bytes.unwrap_or(u64::MAX))
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("memory").join(name)
    }
}

#[derive(Debug)]
struct MemoryFile {
    folder: MemoryFolder,
    file: u64,
}

impl Append for MemoryFile {
    fn write_at(&mut self, at: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let mut memory = self.folder.lock();
        let verdict = memory.step(true);
        let content = memory.files.get_mut(&self.file).unwrap();
        assert!(!content.failed, "a file that failed once is written again");
        let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        if !verdict.carry_out {
            content.failed = true;
            bytes.truncate(bytes.len() / 2);
        }
        let at = usize::try_from(at).unwrap();
        let end = at + bytes.len();
        let length = content.written.len().max(end);
        content.written.resize(length, 0);
        content.written[at..end].copy_from_slice(&bytes);
        verdict.answer
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut memory = self.folder.lock();
        let verdict = memory.step(true);
        let content = memory.files.get_mut(&self.file).unwrap();
        assert!(!content.failed, "a file that failed once is synced again");
        if verdict.carry_out {
            content.durable = content.written.clone();
        } else {
            content.failed = true;
        }
        verdict.answer
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        let mut memory = self.folder.lock();
        let verdict = memory.step(false);
        if verdict.carry_out {
            let content = memory.files.get_mut(&self.file).unwrap();
            content.written.truncate(usize::try_from(bytes).unwrap());
        }
        verdict.answer
    }
}
