//! Times and ids as text, written straight into bytes.
use storage::time::NANOS_PER_SECOND;

const DIGITS: &[u8; 200] = b"0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

/// `2026-11-21T10:00:00.123456789Z`, of seconds since 1970 and nanoseconds into the second.
pub(crate) fn timestamp(seconds: i64, nanos: u32, out: &mut Vec<u8>) {
    let day_seconds = u32::try_from(seconds.rem_euclid(86_400)).unwrap_or(0);
    date(seconds.div_euclid(86_400), out);
    out.push(b'T');
    pair(day_seconds / 3600, out);
    out.push(b':');
    pair(day_seconds / 60 % 60, out);
    out.push(b':');
    pair(day_seconds % 60, out);
    out.push(b'.');
    out.push(b'0' + u8::try_from(nanos / 100_000_000 % 10).unwrap_or(0));
    for scale in [1_000_000, 10_000, 100, 1] {
        pair(nanos / scale % 100, out);
    }
    out.push(b'Z');
}

/// A timestamp of `value` units, `per_second` of them in a second.
pub(crate) fn timestamp_of(value: i64, per_second: i64, out: &mut Vec<u8>) {
    let nanos = value.rem_euclid(per_second) * (NANOS_PER_SECOND / per_second);
    timestamp(value.div_euclid(per_second), u32::try_from(nanos).unwrap_or(0), out);
}

/// `2026-11-21`, of days since 1970 (proleptic Gregorian; Hinnant's `civil_from_days`).
pub(crate) fn date(days: i64, out: &mut Vec<u8>) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    match u32::try_from(year) {
        Ok(year) if year < 10_000 => {
            pair(year / 100, out);
            pair(year % 100, out);
        }
        _ => out.extend_from_slice(itoa::Buffer::new().format(year).as_bytes()),
    }
    out.push(b'-');
    pair(u32::try_from(month).unwrap_or(0), out);
    out.push(b'-');
    pair(u32::try_from(day).unwrap_or(0), out);
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    const NIBBLES: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(NIBBLES[usize::from(byte >> 4)]);
        out.push(NIBBLES[usize::from(byte & 15)]);
    }
}

fn pair(number: u32, out: &mut Vec<u8>) {
    let at = (number as usize % 100) * 2;
    out.extend_from_slice(&DIGITS[at..at + 2]);
}
