//! Time ranges as people write them: `-1h`, `now`, RFC 3339, dates, Unix numbers.
use arrow::array::timezone::Tz;
use arrow::compute::kernels::cast_utils::string_to_datetime;
use storage::TimeRange;
use storage::time::{NANOS_PER_DAY, NANOS_PER_SECOND};

/// Reads `from` and `to` (half open); an absent side is open.
///
/// # Errors
/// The text is no time, or the range is empty because it ends before it starts.
pub(crate) fn range(from: Option<i64>, to: Option<i64>) -> Result<TimeRange, String> {
    let range = TimeRange { from: from.unwrap_or(i64::MIN), until: to.unwrap_or(i64::MAX) };
    if range.from > range.until {
        return Err("the time range ends before it starts: swap from and to".to_owned());
    }
    Ok(range)
}

/// Reads one moment, as Unix nanoseconds. `now` is the moment that relative texts start from.
///
/// # Errors
/// The text is no time; the message lists the forms.
pub fn moment(text: &str, now: i64) -> Result<i64, String> {
    let trimmed = text.trim();
    relative(trimmed, now)
        .or_else(|| number(trimmed))
        .or_else(|| calendar(trimmed))
        .ok_or_else(|| not_a_time(text))
}

/// Reads a Unix time of unknown unit: seconds, milliseconds, microseconds or nanoseconds, told apart by size
/// (seconds up to the year 5138, milliseconds from 1973 on).
pub(crate) fn unix(number: i64) -> i64 {
    let factor = match number.unsigned_abs() {
        0..100_000_000_000 => NANOS_PER_SECOND,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    number.saturating_mul(factor)
}

fn not_a_time(text: &str) -> String {
    let shown: String = text.chars().take(60).collect();
    format!(
        "\"{shown}\" is not a time: write -1h, -30m, now, 2026-11-22, 2026-11-22T10:00:00Z or Unix seconds"
    )
}

/// `now`, `-1h`, `+5m`, `now-90s`, `-1h30m`.
fn relative(text: &str, now: i64) -> Option<i64> {
    let rest = match text.get(..3) {
        Some(word) if word.eq_ignore_ascii_case("now") => text[3..].trim_start(),
        _ => text,
    };
    if rest.is_empty() {
        return (text.len() >= 3).then_some(now);
    }
    if let Some(span) = rest.strip_prefix('-') {
        return Some(now.saturating_sub(duration(span.trim_start())?));
    }
    let span = rest.strip_prefix('+')?;
    Some(now.saturating_add(duration(span.trim_start())?))
}

/// Reads `250us`, `90s`, `1h30m`, `1.5h`, `7d` as nanoseconds: at least one number with a unit (ns, us, ms, s, m, h, d, w).
/// `None` for anything else.
pub fn duration(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0i64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..];
        let length = unit.find(|c: char| !c.is_alphabetic()).unwrap_or(unit.len());
        total = total.saturating_add(scaled(value, unit_nanos(&unit[..length])?));
        rest = unit[length..].trim_start();
    }
    (!text.is_empty()).then_some(total)
}

fn unit_nanos(unit: &str) -> Option<i64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" | "sec" => NANOS_PER_SECOND,
        "m" | "min" => 60 * NANOS_PER_SECOND,
        "h" => 3_600 * NANOS_PER_SECOND,
        "d" => NANOS_PER_DAY,
        "w" => 7 * NANOS_PER_DAY,
        _ => return None,
    })
}

/// A Unix number; whole numbers stay exact.
fn number(text: &str) -> Option<i64> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(unix(whole));
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let decimal = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') && digits.contains('.');
    if !decimal {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    let unit = unix(scaled(value, 1)) / scaled(value, 1).max(1);
    Some(scaled(value, unit.max(1)))
}

#[expect(clippy::cast_possible_truncation, reason = "a float cast saturates, which is meant")]
fn scaled(value: f64, factor: i64) -> i64 {
    (value * factor as f64).round() as i64
}

/// Dates and times of the calendar, UTC where they name no zone.
fn calendar(text: &str) -> Option<i64> {
    let utc: Tz = "+00:00".parse().ok()?;
    // A year alone ("2026") never comes here: it is a number.
    string_to_datetime(&utc, text).ok()?.timestamp_nanos_opt()
}

#[cfg(test)]
mod tests;
