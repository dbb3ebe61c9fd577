//! Statements that concern the session, not the spans: BEGIN, SET, SHOW and the like. They do no more than clients need
//! to feel at home.
use super::refusal::Refusal;

/// One statement of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// Nothing but blanks and comments.
    Empty,
    /// For the engine.
    Query,
    Begin,
    Commit,
    Rollback,
    /// Does nothing here; the tag that says it is done.
    Nothing(&'static str),
    /// Forgets a prepared statement, or all.
    Deallocate(Option<String>),
    Set {
        name: String,
        value: String,
    },
    Show(String),
    Reset(String),
}

/// The statements of `text`, split at semicolons outside of quotes and comments; empty ones are left out unless all are.
pub(super) fn statements(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut from = 0;
    let mut scan = Scan { text: text.as_bytes(), at: 0 };
    while let Some(byte) = scan.next_bare() {
        if byte == b';' {
            found.push(&text[from..scan.at - 1]);
            from = scan.at;
        }
    }
    found.push(&text[from..]);
    let is_empty = |statement: &&str| words(statement, 1).is_empty();
    if !found.iter().all(is_empty) {
        found.retain(|statement| !is_empty(statement));
    } else {
        found.truncate(1);
    }
    found
}

/// What `statement` is.
///
/// # Errors
/// It is one of ours, but not written as it must be.
pub(super) fn command(statement: &str) -> Result<Command, Refusal> {
    let words = words(statement, 12);
    let word = |index: usize| words.get(index).map_or("", String::as_str);
    Ok(match word(0) {
        "" => Command::Empty,
        "begin" => Command::Begin,
        "start" if word(1) == "transaction" => Command::Begin,
        "commit" | "end" => Command::Commit,
        "rollback" if word(1) == "to" || word(2) == "to" => Command::Nothing("ROLLBACK"),
        "rollback" | "abort" => Command::Rollback,
        "savepoint" => Command::Nothing("SAVEPOINT"),
        "release" => Command::Nothing("RELEASE"),
        "discard" => Command::Deallocate(None),
        "deallocate" => {
            let name = if word(1) == "prepare" { word(2) } else { word(1) };
            Command::Deallocate((name != "all").then(|| name.to_owned()))
        }
        "reset" => Command::Reset(word(1).to_owned()),
        "show" if !matches!(word(1), "tables" | "columns") => {
            let is_isolation = word(1) == "transaction" && word(2) == "isolation";
            let is_zone = word(1) == "time" && word(2) == "zone";
            Command::Show(match (is_isolation, is_zone) {
                (true, _) => "transaction_isolation".to_owned(),
                (_, true) => "timezone".to_owned(),
                _ => word(1).to_owned(),
            })
        }
        "set" => set(&words[1..])?,
        _ => Command::Query,
    })
}

/// `SET [SESSION | LOCAL] name {TO | =} value`, `SET TIME ZONE value`, `SET NAMES value`, `SET TRANSACTION ...`.
fn set(words: &[String]) -> Result<Command, Refusal> {
    let words = match words.first().map(String::as_str) {
        Some("session" | "local") => &words[1..],
        _ => words,
    };
    let word = |index: usize| words.get(index).map_or("", String::as_str);
    if matches!(word(0), "transaction" | "characteristics") {
        return Ok(Command::Nothing("SET"));
    }
    let (name, value) = match (word(0), word(1)) {
        ("time", "zone") => ("timezone", &words[2..]),
        ("names", _) => ("client_encoding", &words[1..]),
        (name, "to" | "=") => (name, &words[2..]),
        _ => return Err(Refusal::new("42601", "write SET name = value")),
    };
    Ok(Command::Set { name: name.to_owned(), value: value.join("") })
}

/// The first `max` words of `statement` in lower case: names, numbers, punctuation, and texts without their quotes.
fn words(statement: &str, max: usize) -> Vec<String> {
    let mut words = Vec::new();
    let mut scan = Scan { text: statement.as_bytes(), at: 0 };
    while words.len() < max
        && let Some(word) = scan.word()
    {
        words.push(word);
    }
    words
}

/// Walks over a statement's text.
struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// The next byte outside of quotes and comments; those are passed over.
    fn next_bare(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.get(self.at)?;
            if !self.skip_comment() && !self.skip_quoted(byte) {
                self.at += 1;
                return Some(byte);
            }
        }
    }

    fn skip_comment(&mut self) -> bool {
        match (self.peek(0), self.peek(1)) {
            (b'-', b'-') => {
                while self.at < self.text.len() && self.peek(0) != b'\n' {
                    self.at += 1;
                }
            }
            (b'/', b'*') => {
                self.at += 2;
                let mut depth = 1;
                while depth > 0 && self.at < self.text.len() {
                    let step = match (self.peek(0), self.peek(1)) {
                        (b'/', b'*') => 1,
                        (b'*', b'/') => -1,
                        _ => 0,
                    };
                    depth += step;
                    self.at += if step == 0 { 1 } else { 2 };
                }
            }
            _ => return false,
        }
        true
    }

    /// `'...'` and `"..."`; a doubled quote is two texts, which comes to the same.
    fn skip_quoted(&mut self, quote: u8) -> bool {
        if !matches!(quote, b'\'' | b'"') {
            return false;
        }
        self.at += 1;
        while self.at < self.text.len() && self.peek(0) != quote {
            self.at += 1;
        }
        self.at = (self.at + 1).min(self.text.len());
        true
    }

    fn word(&mut self) -> Option<String> {
        loop {
            let byte = *self.text.get(self.at)?;
            let start = self.at;
            if byte.is_ascii_whitespace() || byte == b';' {
                self.at += 1;
            } else if self.skip_comment() {
            } else if self.skip_quoted(byte) {
                let inside = &self.text[start + 1..self.at.saturating_sub(1).max(start + 1)];
                return Some(String::from_utf8_lossy(inside).into_owned());
            } else {
                self.at += 1;
                if is_of_word(byte) {
                    while is_of_word(self.peek(0)) {
                        self.at += 1;
                    }
                }
                let word = String::from_utf8_lossy(&self.text[start..self.at]);
                return Some(word.to_ascii_lowercase());
            }
        }
    }
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.') || byte >= 0x80
}

/// Parameters that clients set and that change nothing here, with what SHOW says first.
const FREE: &[(&str, &str)] = &[
    ("application_name", ""),
    ("client_min_messages", "notice"),
    ("default_transaction_deferrable", "off"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "on"),
    ("extra_float_digits", "1"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("jit", "off"),
    ("lock_timeout", "0"),
    ("row_security", "on"),
    ("search_path", "public"),
    ("statement_timeout", "0"),
    ("synchronous_commit", "on"),
    ("transaction_deferrable", "off"),
    ("transaction_isolation", "read committed"),
    ("transaction_read_only", "on"),
];

/// Parameters with one value only: value, and the other ways to write it.
const FIXED: &[(&str, &str, &[&str])] = &[
    ("bytea_output", "hex", &[]),
    ("client_encoding", "UTF8", &["utf-8", "unicode", "'utf8'"]),
    ("datestyle", "ISO, MDY", &["iso", "iso,mdy", "iso,ymd", "iso,dmy"]),
    ("integer_datetimes", "on", &[]),
    ("intervalstyle", "iso_8601", &["postgres"]),
    ("is_superuser", "off", &[]),
    ("max_identifier_length", "63", &[]),
    ("server_encoding", "UTF8", &[]),
    ("standard_conforming_strings", "on", &["true", "1"]),
];

/// The parameters of one session.
#[derive(Debug)]
pub(super) struct Settings {
    version: String,
    user: String,
    set: Vec<(&'static str, String)>,
}

impl Settings {
    pub(super) fn new(version: &str, user: &str) -> Self {
        // Clients choose their catalogue queries by the number.
        let version = format!("15.0 (Spanlake {version})");
        Self { version, user: user.to_owned(), set: Vec::new() }
    }

    /// What a client is told of the session without asking, in the spelling that drivers look for.
    pub(super) fn reported(&self) -> Vec<(&'static str, String)> {
        let names = [
            "server_version",
            "server_encoding",
            "client_encoding",
            "application_name",
            "default_transaction_read_only",
            "in_hot_standby",
            "is_superuser",
            "session_authorization",
            "DateStyle",
            "IntervalStyle",
            "TimeZone",
            "integer_datetimes",
            "standard_conforming_strings",
        ];
        let value = |name| self.show(name).unwrap_or_default();
        names.into_iter().map(|name| (name, value(name))).collect()
    }

    /// The value of a parameter.
    ///
    /// # Errors
    /// There is none of that name.
    pub(super) fn show(&self, name: &str) -> Result<String, Refusal> {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "server_version" => return Ok(self.version.clone()),
            "server_version_num" => return Ok("150000".to_owned()),
            "session_authorization" | "role" => return Ok(self.user.clone()),
            "timezone" => return Ok("UTC".to_owned()),
            "in_hot_standby" => return Ok("off".to_owned()),
            _ => {}
        }
        let set = self.set.iter().find(|(set, _)| *set == name).map(|(_, value)| value.clone());
        let free = || FREE.iter().find(|(free, _)| *free == name).map(|(_, value)| *value);
        let fixed = || FIXED.iter().find(|(fixed, ..)| *fixed == name).map(|(_, value, _)| *value);
        set.or_else(|| free().or_else(fixed).map(str::to_owned)).ok_or_else(|| unknown(&name))
    }

    /// Takes a new value; the known ones change nothing but what SHOW says.
    ///
    /// # Errors
    /// There is no parameter of that name, or this one cannot have that value.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        const VALUE_BYTES_MAX: usize = 256;
        let name = name.to_ascii_lowercase();
        // Times carry their zone, always UTC, so that no reader is misled.
        if matches!(name.as_str(), "timezone" | "user" | "database" | "options" | "replication") {
            return Ok(());
        }
        if let Some((_, only, others)) = FIXED.iter().find(|(fixed, ..)| *fixed == name) {
            let is = |other: &&str| other.eq_ignore_ascii_case(&value.replace(' ', ""));
            if value.eq_ignore_ascii_case(only) || value == "default" || others.iter().any(is) {
                return Ok(());
            }
            let words = format!("{name} is {only} here; it cannot become {value:?}");
            return Err(Refusal::new("22023", words));
        }
        let Some((free, _)) = FREE.iter().find(|(free, _)| *free == name) else {
            return Err(unknown(&name));
        };
        let kept = value.chars().take(VALUE_BYTES_MAX).collect();
        self.reset(free);
        self.set.push((free, kept));
        Ok(())
    }

    /// Takes back what was set; `all` takes back everything.
    pub(super) fn reset(&mut self, name: &str) {
        self.set.retain(|(set, _)| name != "all" && *set != name);
    }

    /// How long a statement may take as the client wishes; `None` where it does not say.
    pub(super) fn statement_timeout(&self) -> Option<std::time::Duration> {
        let value = self.show("statement_timeout").ok()?;
        let value = value.trim();
        let digits = value.len() - value.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = value.split_at(digits);
        let millis = match unit.trim() {
            "" | "ms" => 1,
            "s" => 1_000,
            "min" => 60_000,
            _ => return None,
        };
        let millis = number.parse::<u64>().ok()?.checked_mul(millis)?;
        (millis > 0).then(|| std::time::Duration::from_millis(millis))
    }
}

fn unknown(name: &str) -> Refusal {
    let name: String = name.chars().take(64).collect();
    Refusal::new(
        "42704",
        format!(
            "unrecognized configuration parameter {name:?}; SET is not allowed to change how queries run"
        ),
    )
}

#[cfg(test)]
mod tests;
