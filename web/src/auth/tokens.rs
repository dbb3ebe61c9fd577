//! The file of tokens: hashes, roles, expiry. Written whole and atomically, mode 0600.
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Role;
use super::scram::Verifier;
use crate::{Error, Result};

/// Version of the file's layout.
const FORMAT: u32 = 1;
const NAME_BYTES_MAX: usize = 64;

/// A token's text. Neither printed nor stored by accident: [`Secret::expose`] is the only way out.
pub struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    pub(super) fn random() -> Result<Self> {
        let mut bits = [0u8; 32];
        getrandom::fill(&mut bits)
            .map_err(|error| Error::Internal(format!("no random numbers: {error}")))?;
        Ok(Self(format!("trc_{}", URL_SAFE_NO_PAD.encode(bits))))
    }

    /// The text, to be shown once to whom it is for.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// One token as the file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenEntry {
    /// For people.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// Whose table.
    pub tenant: String,
    /// Lower-case hex of the text's SHA-256.
    pub sha256: String,
    /// When it was made.
    pub created_unix_nano: i64,
    /// From when it is void; `None` = never.
    pub expires_unix_nano: Option<i64>,
    /// What a login by SCRAM is checked with; absent in tokens of version 0.1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scram_sha256: Option<String>,
}

impl TokenEntry {
    fn is_expired(&self, now: i64) -> bool {
        self.expires_unix_nano.is_some_and(|expires| expires <= now)
    }
}

/// What the file will say about a new token.
pub(super) fn entry(
    name: &str,
    role: Role,
    secret: &Secret,
    now: i64,
    lifetime: Option<Duration>,
) -> Result<TokenEntry> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Error::Invalid(format!(
            "a token's name has 1 to {NAME_BYTES_MAX} bytes without control characters"
        )));
    }
    let expires = |lifetime: Duration| {
        now.saturating_add(i64::try_from(lifetime.as_nanos()).unwrap_or(i64::MAX))
    };
    Ok(TokenEntry {
        name: name.to_owned(),
        role,
        tenant: "default".to_owned(),
        sha256: hex::encode(Sha256::digest(secret.expose())),
        created_unix_nano: now,
        expires_unix_nano: lifetime.map(expires),
        scram_sha256: Some(Verifier::new(secret.expose())?.show()),
    })
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    version: u32,
    tokens: Vec<TokenEntry>,
}

/// The file, and what it said when last read; another process (`spanlake token`) may change it at any time.
#[derive(Debug)]
pub(super) struct Tokens {
    file: PathBuf,
    stamp: Option<Stamp>,
    entries: Vec<TokenEntry>,
}

/// Tells one state of the file from another.
type Stamp = (SystemTime, u64, u64);

impl Tokens {
    pub(super) fn open(file: PathBuf) -> Result<Self> {
        let mut tokens = Self { file, stamp: None, entries: Vec::new() };
        tokens.entries()?;
        Ok(tokens)
    }

    /// The tokens now: reads the file again where it has changed.
    pub(super) fn entries(&mut self) -> Result<&[TokenEntry]> {
        let stamp = stamp(&self.file).map_err(|source| self.error("look at", source))?;
        if stamp != self.stamp {
            self.entries = match stamp {
                None => Vec::new(),
                Some(_) => self.read()?,
            };
            self.stamp = stamp;
        }
        Ok(&self.entries)
    }

    /// The role of the token with this text. Compares with every hash in constant time.
    pub(super) fn find(&mut self, text: &str, now: i64) -> Result<Option<Role>> {
        let digest = hex::encode(Sha256::digest(text));
        let mut found = None;
        for entry in self.entries()? {
            let same: bool = entry.sha256.as_bytes().ct_eq(digest.as_bytes()).into();
            if same && !entry.is_expired(now) {
                found = Some(entry.role);
            }
        }
        Ok(found)
    }

    /// The role and the verifier of the token called `name`, where it is valid and has one.
    pub(super) fn verifier(&mut self, name: &str, now: i64) -> Result<Option<(Role, Verifier)>> {
        let entry = self.entries()?.iter().find(|entry| entry.name == name);
        let entry = entry.filter(|entry| !entry.is_expired(now));
        Ok(entry
            .and_then(|entry| Some((entry.role, Verifier::read(entry.scram_sha256.as_deref()?)?))))
    }

    pub(super) fn add(&mut self, entry: TokenEntry) -> Result<()> {
        let mut entries = self.entries()?.to_vec();
        if entries.iter().any(|other| other.name == entry.name) {
            return Err(Error::Invalid(format!("there is a token named {:?} already", entry.name)));
        }
        entries.push(entry);
        self.write(entries)
    }

    pub(super) fn remove(&mut self, name: &str, now: i64) -> Result<bool> {
        let before = self.entries()?.to_vec();
        let (gone, left): (Vec<_>, Vec<_>) =
            before.into_iter().partition(|entry| entry.name == name);
        let rules = |entry: &TokenEntry| entry.role == Role::Admin && !entry.is_expired(now);
        if gone.iter().any(rules) && !left.iter().any(rules) {
            return Err(Error::Invalid(
                "this is the last admin token; create another before you revoke it".to_owned(),
            ));
        }
        if gone.is_empty() {
            return Ok(false);
        }
        self.write(left)?;
        Ok(true)
    }

    fn read(&self) -> Result<Vec<TokenEntry>> {
        let text = fs::read(&self.file).map_err(|source| self.error("read", source))?;
        let document: Document = serde_json::from_slice(&text)
            .map_err(|error| self.error("understand", io::Error::other(error)))?;
        if document.version != FORMAT {
            let words = format!("version {} is not known to this server", document.version);
            return Err(self.error("understand", io::Error::other(words)));
        }
        Ok(document.tokens)
    }

    fn write(&mut self, entries: Vec<TokenEntry>) -> Result<()> {
        let document = Document { version: FORMAT, tokens: entries };
        let text = serde_json::to_vec_pretty(&document)
            .map_err(|error| self.error("encode", io::Error::other(error)))?;
        replace(&self.file, &text).map_err(|source| self.error("write", source))?;
        self.stamp = stamp(&self.file).map_err(|source| self.error("look at", source))?;
        self.entries = document.tokens;
        Ok(())
    }

    fn error(&self, step: &'static str, source: io::Error) -> Error {
        Error::Tokens { step, path: self.file.display().to_string(), source }
    }
}

fn stamp(file: &Path) -> io::Result<Option<Stamp>> {
    match fs::metadata(file) {
        Ok(found) => Ok(Some((found.modified()?, found.len(), inode(&found)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
fn inode(found: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(found)
}

#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> u64 {
    0
}

/// Writes beside, fsyncs, renames over, fsyncs the folder: a crash leaves the old file or the new one.
fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let beside = file.with_extension(format!("json.{}", std::process::id()));
    let result = private(&beside).and_then(|mut out| {
        out.write_all(text)?;
        out.sync_all()?;
        fs::rename(&beside, file)?;
        File::open(folder)?.sync_all()
    });
    if result.is_err() {
        fs::remove_file(&beside).ok();
    }
    result
}

/// A new file that only its owner can read.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
