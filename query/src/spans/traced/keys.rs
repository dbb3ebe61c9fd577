//! The keys of a column by row, of one width: the rows with a key are found at the pace of memory.

/// See the module.
#[derive(Debug)]
pub(in crate::spans) enum RowKeys {
    Narrow(Vec<u16>),
    Wide(Vec<u32>),
}

/// Keys that are compared at once.
const BLOCK_ROWS: usize = 512;

impl RowKeys {
    /// For `rows` rows, with keys of a dictionary of `values` values.
    pub(super) fn new(rows: usize, values: usize) -> Self {
        if values <= 1 << u16::BITS {
            Self::Narrow(Vec::with_capacity(rows))
        } else {
            Self::Wide(Vec::with_capacity(rows))
        }
    }

    /// Adds `count` rows with `key`; `None` where the dictionary has no such key.
    pub(super) fn push(&mut self, key: u32, count: usize) -> Option<()> {
        match self {
            Self::Narrow(keys) => keys.extend(std::iter::repeat_n(u16::try_from(key).ok()?, count)),
            Self::Wide(keys) => keys.extend(std::iter::repeat_n(key, count)),
        }
        Some(())
    }

    pub(super) fn rows(&self) -> usize {
        match self {
            Self::Narrow(keys) => keys.len(),
            Self::Wide(keys) => keys.len(),
        }
    }

    /// What they take in memory.
    pub(in crate::spans) fn bytes(&self) -> usize {
        match self {
            Self::Narrow(keys) => keys.capacity() * size_of::<u16>(),
            Self::Wide(keys) => keys.capacity() * size_of::<u32>(),
        }
    }

    /// The rows with one of the keys `wanted`, which rise.
    pub(super) fn rows_with(&self, wanted: &[u32]) -> Vec<usize> {
        match (self, wanted) {
            (_, []) => Vec::new(),
            (Self::Narrow(keys), [wanted]) => {
                u16::try_from(*wanted).map_or_else(|_| Vec::new(), |wanted| equal(keys, wanted))
            }
            (Self::Wide(keys), [wanted]) => equal(keys, *wanted),
            (Self::Narrow(keys), _) => any(keys, wanted),
            (Self::Wide(keys), _) => any(keys, wanted),
        }
    }
}

/// The rows whose key is `wanted`.
fn equal<K: Copy + Eq>(keys: &[K], wanted: K) -> Vec<usize> {
    let mut rows = Vec::new();
    for (block, keys) in keys.chunks(BLOCK_ROWS).enumerate() {
        // Without a branch for each key: the processor compares many at once.
        if keys.iter().fold(false, |is_here, key| is_here | (*key == wanted)) {
            let here = keys.iter().enumerate().filter(|(_, key)| **key == wanted);
            rows.extend(here.map(|(row, _)| block * BLOCK_ROWS + row));
        }
    }
    rows
}

/// The rows whose key is one of `wanted`, which rise.
fn any<K: Copy + Into<u32>>(keys: &[K], wanted: &[u32]) -> Vec<usize> {
    let mut is_wanted = vec![false; wanted.last().map_or(0, |last| *last as usize + 1)];
    for key in wanted {
        is_wanted[*key as usize] = true;
    }
    let is_wanted = |key: K| is_wanted.get(key.into() as usize).copied().unwrap_or(false);
    keys.iter().enumerate().filter(|(_, key)| is_wanted(**key)).map(|(row, _)| row).collect()
}
