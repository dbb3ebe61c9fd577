//! What a list of traces begins with: the files, and the rows of traces with hot spans, of now or of a moment ago.
//!
//! All that is hot has to be read to know its traces, whatever a list wants of them. So this is done once for all who ask
//! while nothing changes; and while many spans arrive, it is given again for a while, as the answers of
//! [`crate::views::router`] are, and made anew by the same task. A list is then as of that moment, its files included, so that
//! it shows each trace once.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use datafusion::common::Result;

use super::hot::HotRows;
use crate::cache::{Account, HOT_TRACES};
use crate::spans::Tables;
use crate::views::load::Source;
use crate::views::router::Cache;
use crate::views::router::recent::{ARRIVED_MIN, DEAR, Seen};

/// The last beginning of a list. One that takes more than there is room for is not kept: then each list makes its own.
#[derive(Debug)]
pub(crate) struct Moments {
    kept: Mutex<Option<Kept>>,
    pub(crate) account: Account,
    /// Held by whoever makes one that was dear the last time.
    turn: tokio::sync::Mutex<()>,
}

impl Default for Moments {
    fn default() -> Self {
        let account = Account::of("hot_traces", HOT_TRACES);
        Self { kept: Mutex::default(), account, turn: tokio::sync::Mutex::default() }
    }
}

#[derive(Debug)]
struct Kept {
    moment: Arc<Moment>,
    made_unix_nano: i64,
    took: Duration,
    seen: Seen,
    /// It was given since though it was not of now.
    given: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Moment {
    /// The files of the moment, and no hot spans.
    pub(super) tables: Tables,
    pub(super) hot: Arc<HotRows>,
    /// The bytes of traces are known.
    bytes: bool,
}

/// What a list begins with, and how old that is in words, where it is not of now.
type Beginning = (Arc<Moment>, Option<String>);

/// What a list begins with; otherwise why rollups do not tell it.
pub(super) async fn begin(
    source: &Source,
    cache: &Cache,
    bytes: bool,
) -> Result<std::result::Result<Beginning, &'static str>> {
    if source.tables.snapshot.hot.is_empty() {
        let (tables, hot) = (source.tables.clone(), Arc::default());
        return Ok(Ok((Arc::new(Moment { tables, hot, bytes }), None)));
    }
    let lag_max = cache.recent.lag_max();
    let moments = &cache.moments;
    let _turn = match moments.find(bytes, &source.tables, lag_max) {
        Ok(beginning) => return Ok(Ok(cache.given(beginning))),
        Err(false) => None,
        // Of several who ask at once, one reads.
        Err(true) => Some(moments.turn.lock().await),
    };
    if let Ok(beginning) = moments.find(bytes, &source.tables, lag_max) {
        return Ok(Ok(cache.given(beginning)));
    }
    moments.account.add(0, 1);
    Ok(make(source, cache, bytes).await?.map(|moment| (moment, None)))
}

/// Makes what was given though it was not of now anew.
///
/// # Errors
/// Something cannot be read.
pub(crate) async fn renew(source: &Source, cache: &Cache) -> Result<()> {
    let Some(bytes) = cache.moments.wanted() else { return Ok(()) };
    if source.tables.snapshot.hot.is_empty() {
        cache.moments.forget();
        return Ok(());
    }
    let _turn = cache.moments.turn.lock().await;
    make(source, cache, bytes).await?.ok();
    Ok(())
}

async fn make(
    source: &Source,
    cache: &Cache,
    bytes: bool,
) -> Result<std::result::Result<Arc<Moment>, &'static str>> {
    let begun = Instant::now();
    let hot = match HotRows::of(source, cache, bytes).await? {
        Ok(hot) => Arc::new(hot),
        Err(reason) => return Ok(Err(reason)),
    };
    let files = Arc::clone(&source.tables.snapshot.files);
    let tables = source.tables.part(files, Arc::new([]));
    let moment = Arc::new(Moment { tables, hot, bytes });
    cache.moments.put(&moment, &source.tables, begun.elapsed());
    Ok(Ok(moment))
}

impl Cache {
    /// Sees to it that a beginning that is not of now is made anew.
    fn given(&self, beginning: Beginning) -> Beginning {
        self.moments.account.add(1, 0);
        if beginning.1.is_some() {
            self.recent.want();
        }
        beginning
    }
}

impl Moments {
    /// A beginning that will do. Without one, says whether making it was dear the last time.
    fn find(
        &self,
        bytes: bool,
        tables: &Tables,
        lag_max: Duration,
    ) -> std::result::Result<Beginning, bool> {
        let mut kept = self.lock();
        let Some(kept) = kept.as_mut() else { return Err(false) };
        if bytes && !kept.moment.bytes {
            return Err(kept.took >= DEAR);
        }
        let now = Seen::of(tables);
        if kept.seen.is_same(&now) {
            return Ok((Arc::clone(&kept.moment), None));
        }
        let elapsed = tables.now_unix_nano.saturating_sub(kept.made_unix_nano);
        let arrived = now.rows().saturating_sub(kept.seen.rows());
        let is_young =
            u64::try_from(elapsed).is_ok_and(|age| u128::from(age) <= lag_max.as_nanos());
        if kept.took < DEAR || kept.seen.lost(&now) || arrived < ARRIVED_MIN || !is_young {
            return Err(kept.took >= DEAR);
        }
        kept.given = true;
        let age = Duration::from_nanos(elapsed.unsigned_abs()).as_secs_f64();
        let words = format!("as of {age:.1} s ago, {arrived} spans came since");
        Ok((Arc::clone(&kept.moment), Some(words)))
    }

    fn put(&self, moment: &Arc<Moment>, tables: &Tables, took: Duration) {
        let fits = moment.hot.bytes() <= self.account.bytes_max();
        *self.lock() = fits.then(|| Kept {
            moment: Arc::clone(moment),
            made_unix_nano: tables.now_unix_nano,
            took,
            seen: Seen::of(tables),
            given: false,
        });
    }

    /// Whether one was given that was not of now: then whether it has the bytes of traces.
    fn wanted(&self) -> Option<bool> {
        self.lock().as_ref().filter(|kept| kept.given).map(|kept| kept.moment.bytes)
    }

    /// How long making anew takes what was given though it was not of now.
    pub(crate) fn expected(&self) -> Duration {
        let kept = self.lock();
        kept.as_ref().filter(|kept| kept.given).map_or(Duration::ZERO, |kept| kept.took)
    }

    /// Memory held, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().as_ref().map_or(0, |kept| kept.moment.hot.bytes())
    }

    fn forget(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
