//! What was kept of spans that left the table.
use storage::TimeRange;
use storage::retain::KeptRollup;
use storage::rollup::Sum;
use storage::time::NANOS_PER_DAY;

use crate::views::load::Source;

/// What is kept in figures of spans that lie in `range`.
fn kept(source: &Source, range: TimeRange) -> impl Iterator<Item = &KeptRollup> {
    let (tables, now) = (&source.tables, source.tables.now_unix_nano);
    let all = tables.snapshot.receipts.iter().flat_map(|receipt| &receipt.rollups);
    all.filter(move |kept| kept.expires_unix_nano > now && kept.range().overlaps(&range))
}

/// Adds it to `sum`; says in words what it is, nothing where there is none.
pub(super) async fn add(source: &Source, range: TimeRange, sum: &mut Sum) -> Option<String> {
    let (mut told, mut minus) = (Told::default(), Sum::default());
    for kept in kept(source, range) {
        let rollups = &source.tables.snapshot.rollups;
        match rollups.add_kept(kept, range, (sum, &mut minus)).await {
            Some(()) => told.add(kept, range),
            None => told.lost += 1,
        }
    }
    sum.subtract(&minus);
    told.words()
}

/// True where something is kept of `range`.
pub(super) fn is_any(source: &Source, range: TimeRange) -> bool {
    kept(source, range).next().is_some()
}

/// That an answer from spans is without it; nothing where there is none.
pub(crate) fn left_out(source: &Source, range: TimeRange) -> Option<String> {
    let mut told = Told::default();
    kept(source, range).for_each(|kept| told.add(kept, range));
    let dates = told.dates()?;
    Some(format!("spans of {dates} were dropped; what their rollups tell is not in here"))
}

#[derive(Default)]
struct Told {
    first: Option<i64>,
    last: i64,
    /// The first of it goes then.
    expires: Option<i64>,
    is_cut: bool,
    lost: usize,
}

impl Told {
    fn add(&mut self, kept: &KeptRollup, range: TimeRange) {
        let all = kept.range();
        self.first = Some(self.first.unwrap_or(i64::MAX).min(all.from));
        self.last = self.last.max(all.until.saturating_sub(1));
        let expires = self.expires.unwrap_or(i64::MAX).min(kept.expires_unix_nano);
        self.expires = Some(expires);
        self.is_cut |= all.from < range.from || range.until < all.until;
    }

    fn dates(&self) -> Option<String> {
        let (first, last) = (date(self.first?), date(self.last));
        Some(if first == last { first } else { format!("{first} to {last}") })
    }

    fn words(&self) -> Option<String> {
        let mut words = match self.dates().zip(self.expires) {
            Some((dates, expires)) => {
                let until = date(expires.saturating_sub(1));
                format!("spans of {dates} dropped, from rollups until {until}")
            }
            None if self.lost > 0 => "spans were dropped".into(),
            None => return None,
        };
        if self.is_cut {
            words.push_str(", whole slots of time only");
        }
        if self.lost > 0 {
            words.push_str(&format!(", of which {} cannot be read", self.lost));
        }
        Some(words)
    }
}

/// The UTC date of a time.
fn date(unix_nano: i64) -> String {
    let days = i32::try_from(unix_nano.div_euclid(NANOS_PER_DAY)).unwrap_or(0);
    chrono::NaiveDate::from_epoch_days(days).map_or_else(String::new, |date| date.to_string())
}
