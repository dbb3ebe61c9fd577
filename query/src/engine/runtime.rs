//! What all queries share: memory, spill space, caches, and the one object store that plans can reach.
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, TrackConsumersPool,
};
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use object_store::ObjectStore;
use url::Url;

use crate::spans::STORE_URL;
use crate::{Config, cache};

/// Memory in use by all queries, and how much there may be.
#[derive(Debug)]
pub(crate) struct Memory {
    used_bytes: AtomicUsize,
    bytes_max: usize,
    query_bytes_max: usize,
}

impl Memory {
    pub(crate) fn new(config: &Config) -> Self {
        // One query may use a quarter, so that one greedy query leaves room for three others.
        let share = config.memory_bytes_max / config.running_max.clamp(1, 4);
        Self {
            used_bytes: AtomicUsize::new(0),
            bytes_max: config.memory_bytes_max,
            query_bytes_max: share,
        }
    }

    /// Bytes in use now.
    pub(crate) fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// A pool for one query.
    pub(crate) fn pool(self: &Arc<Self>) -> Arc<dyn MemoryPool> {
        const CONSUMERS_NAMED: std::num::NonZeroUsize = std::num::NonZeroUsize::MIN;
        let share = FairSpillPool::new(self.query_bytes_max);
        let pool = QueryPool { share, all: Arc::clone(self) };
        Arc::new(TrackConsumersPool::new(pool, CONSUMERS_NAMED))
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = taken.saturating_add(bytes) <= self.bytes_max;
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    fn give_back(&self, bytes: usize) {
        self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The memory of one query: its own share, within what all have.
#[derive(Debug)]
struct QueryPool {
    share: FairSpillPool,
    all: Arc<Memory>,
}

impl fmt::Display for QueryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl MemoryPool for QueryPool {
    fn name(&self) -> &'static str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.share.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.share.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.share.grow(reservation, additional);
        self.all.used_bytes.fetch_add(additional, Ordering::Relaxed);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.share.shrink(reservation, shrink);
        self.all.give_back(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.share.try_grow(reservation, additional)?;
        if self.all.take(additional) {
            return Ok(());
        }
        self.share.shrink(reservation, additional);
        Err(DataFusionError::ResourcesExhausted("all queries together".into()))
    }

    fn reserved(&self) -> usize {
        self.share.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.share.memory_limit()
    }
}

/// Knows one store under one URL and refuses every other: SQL reaches no file and no network.
#[derive(Debug)]
struct OnlySpans(Arc<dyn ObjectStore>);

impl ObjectStoreRegistry for OnlySpans {
    fn register_store(
        &self,
        _url: &Url,
        _store: Arc<dyn ObjectStore>,
    ) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let is_spans = Url::parse(STORE_URL)
            .is_ok_and(|own| own.scheme() == url.scheme() && own.host_str() == url.host_str());
        if is_spans {
            return Ok(Arc::clone(&self.0));
        }
        exec_err!("queries read the stored spans and nothing else")
    }
}

/// The environment that all queries share; [`for_query`] gives each its own memory.
pub(crate) fn environment(
    config: &Config,
    object_store: Arc<dyn ObjectStore>,
) -> Result<Arc<RuntimeEnv>> {
    let mode = match &config.spill_dir {
        Some(folder) => DiskManagerMode::Directories(vec![folder.clone()]),
        None => DiskManagerMode::OsTmpDirectory,
    };
    let disk = DiskManagerBuilder::default()
        .with_mode(mode)
        .with_max_temp_directory_size(config.spill_bytes_max);
    RuntimeEnvBuilder::new()
        .with_disk_manager_builder(disk)
        .with_object_store_registry(Arc::new(OnlySpans(object_store)))
        .with_metadata_cache_limit(cache::share(config.cache_bytes, cache::FOOTERS))
        .build_arc()
}

/// `environment` with the memory of one query.
pub(crate) fn for_query(environment: &RuntimeEnv, memory: &Arc<Memory>) -> Arc<RuntimeEnv> {
    Arc::new(RuntimeEnv { memory_pool: memory.pool(), ..environment.clone() })
}
