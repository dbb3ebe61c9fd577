//! Setting values as users write them: `7d`, `64MiB`, `127.0.0.1:4317`, `off`.
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A setting's value: read from text, shown as text that reads back to the same value.
pub(crate) trait Value {
    /// Reads `text` in place of the present value.
    fn assign(&mut self, text: &str) -> Result<(), String>;
    /// The value as a user would write it.
    fn show(&self) -> String;
}

impl Value for String {
    fn assign(&mut self, text: &str) -> Result<(), String> {
        text.clone_into(self);
        Ok(())
    }
    fn show(&self) -> String {
        self.clone()
    }
}

/// Separated by commas.
impl Value for Vec<String> {
    fn assign(&mut self, text: &str) -> Result<(), String> {
        *self = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(Into::into)
            .collect();
        Ok(())
    }
    fn show(&self) -> String {
        self.join(",")
    }
}

impl Value for PathBuf {
    fn assign(&mut self, text: &str) -> Result<(), String> {
        *self = Self::from(text);
        Ok(())
    }
    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Value for Option<PathBuf> {
    fn assign(&mut self, text: &str) -> Result<(), String> {
        *self = (!text.is_empty()).then(|| PathBuf::from(text));
        Ok(())
    }
    fn show(&self) -> String {
        self.as_ref().map_or_else(String::new, |path| path.display().to_string())
    }
}

impl Value for bool {
    fn assign(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" | "" => false,
            other => return Err(format!("{other:?} is not true or false")),
        };
        Ok(())
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for u64 {
    fn assign(&mut self, text: &str) -> Result<(), String> {
        *self = parse_size(text)?;
        Ok(())
    }
    fn show(&self) -> String {
        show_size(*self)
    }
}

impl Value for usize {
    fn assign(&mut self, text: &str) -> Result<(), String> {
        *self = Self::try_from(parse_size(text)?).map_err(|_| format!("{text} is too large"))?;
        Ok(())
    }
    fn show(&self) -> String {
        show_size(*self as u64)
    }
}

/// A finite number, 0 or more.
impl Value for f64 {
    fn assign(&mut self, text: &str) -> Result<(), String> {
        let number: Result<Self, _> = text.trim().replace('_', "").parse();
        *self = number
            .ok()
            .filter(|number| number.is_finite() && *number >= 0.0)
            .ok_or_else(|| format!("{text:?} is not a number; write 0.1, 1 or 2.5"))?;
        Ok(())
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Duration {
    fn assign(&mut self, text: &str) -> Result<(), String> {
        *self = parse_duration(text)?;
        Ok(())
    }
    fn show(&self) -> String {
        show_duration(*self)
    }
}

/// `never` is `None`.
impl Value for Option<Duration> {
    fn assign(&mut self, text: &str) -> Result<(), String> {
        *self = parse_ttl(text)?;
        Ok(())
    }
    fn show(&self) -> String {
        self.map_or_else(|| "never".to_owned(), show_duration)
    }
}

/// `off` is `None`.
impl Value for Option<u64> {
    fn assign(&mut self, text: &str) -> Result<(), String> {
        *self = if text == "off" { None } else { Some(parse_size(text)?) };
        Ok(())
    }
    fn show(&self) -> String {
        self.map_or_else(|| "off".to_owned(), show_size)
    }
}

/// `off` is `None`.
impl Value for Option<SocketAddr> {
    fn assign(&mut self, text: &str) -> Result<(), String> {
        *self = match text {
            "off" => None,
            address => Some(address.parse().map_err(|_| {
                format!("{address:?} is not an address like 127.0.0.1:4317, nor off")
            })?),
        };
        Ok(())
    }
    fn show(&self) -> String {
        self.map_or_else(|| "off".to_owned(), |address| address.to_string())
    }
}

/// A TTL: a duration, or `never`.
///
/// # Errors
/// The text is neither; the message says what would be.
pub(crate) fn parse_ttl(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "never" | "none" => Ok(None),
        other => parse_duration(other).map(Some),
    }
}

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// `90s`, `5m`, `7d`, `1h30m`: whole numbers with units, biggest first.
///
/// # Errors
/// The text is not of that form, or does not fit.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration; write 90s, 5m, 12h or 7d");
    let mut rest = text.trim();
    let mut nanos = 0u64;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let part = number.checked_mul(*scale).ok_or_else(wrong)?;
        nanos = nanos.checked_add(part).ok_or_else(wrong)?;
        rest = tail;
    }
    Ok(Duration::from_nanos(nanos))
}

/// The shortest text in one unit that [`parse_duration`] reads back.
pub(crate) fn show_duration(duration: Duration) -> String {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    if nanos == 0 {
        return "0s".into();
    }
    let days_at_most = &UNITS[..7];
    for (unit, scale) in days_at_most.iter().rev() {
        if nanos % scale == 0 {
            return format!("{}{unit}", nanos / scale);
        }
    }
    format!("{nanos}ns")
}

const SIZES: [(&str, u64); 4] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a number or size; write 8, 100_000, 64MiB or 2GiB");
    let text = text.trim();
    let (number, scale) = SIZES
        .iter()
        .find_map(|(unit, scale)| Some((text.strip_suffix(unit)?.trim_end(), *scale)))
        .unwrap_or((text, 1));
    let number: u64 = number.replace('_', "").parse().map_err(|_| wrong())?;
    number.checked_mul(scale).ok_or_else(wrong)
}

fn show_size(number: u64) -> String {
    for (unit, scale) in SIZES {
        if number >= scale && number.is_multiple_of(scale) {
            return format!("{}{unit}", number / scale);
        }
    }
    number.to_string()
}
