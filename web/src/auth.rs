//! Who may do what: tokens with roles, kept as hashes; a layer that asks for them.
//!
//! Owns `tokens.json` in the data folder. A token is `trc_` and 256 random bits; only its SHA-256 is kept. Where
//! the server is bound to loopback, ingest and queries need none; changing the table always needs the admin's.
mod attempts;
mod layer;
pub(crate) mod scram;
mod tokens;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use storage::Clock;

use self::attempts::Attempts;
pub use self::layer::{AuthLayer, AuthService};
pub use self::tokens::{Secret, TokenEntry};
use self::tokens::{Tokens, entry};
use crate::{Error, Result};

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Send spans.
    Ingest,
    /// Ask questions.
    Query,
    /// Both, and change the table.
    Admin,
}

impl Role {
    /// True where a token of this role may do what needs `other`.
    pub fn covers(self, other: Self) -> bool {
        self == Self::Admin || self == other
    }

    /// `ingest`, `query` or `admin`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Query => "query",
            Self::Admin => "admin",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "ingest" => Ok(Self::Ingest),
            "query" => Ok(Self::Query),
            "admin" => Ok(Self::Admin),
            other => Err(Error::Invalid(format!(
                "there is no role {other:?}; the roles are ingest, query and admin"
            ))),
        }
    }
}

/// The tokens of one data folder; cheap to clone.
#[derive(Debug, Clone)]
pub struct Auth {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tokens: Mutex<Tokens>,
    attempts: Mutex<Attempts>,
    clock: Arc<dyn Clock>,
    require_tokens: bool,
}

impl Auth {
    /// Reads the tokens of `file` (`<root>/tokens.json`; it need not exist). With `require_tokens` every role
    /// needs a token; without, only [`Role::Admin`] does.
    ///
    /// # Errors
    /// The file exists but cannot be read or is damaged: a server must not start then.
    pub fn open(file: PathBuf, require_tokens: bool, clock: Arc<dyn Clock>) -> Result<Self> {
        let tokens = Mutex::new(Tokens::open(file)?);
        let attempts = Mutex::new(Attempts::default());
        Ok(Self { shared: Arc::new(Shared { tokens, attempts, clock, require_tokens }) })
    }

    /// Where there is no token at all: makes the first, an admin's that never expires. Print it once.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn first_token(&self) -> Result<Option<Secret>> {
        if self.tokens().entries()?.is_empty() {
            return self.create("admin", Role::Admin, None).map(Some);
        }
        Ok(None)
    }

    /// Makes a token named `name`. This is the only moment at which its text exists.
    ///
    /// # Errors
    /// The name is taken, empty or longer than 64 bytes, or the file could not be written.
    pub fn create(&self, name: &str, role: Role, lifetime: Option<Duration>) -> Result<Secret> {
        let secret = Secret::random()?;
        let now = self.shared.clock.now_unix_nano();
        self.tokens().add(entry(name, role, &secret, now, lifetime)?)?;
        Ok(secret)
    }

    /// All tokens, without their texts, oldest first.
    ///
    /// # Errors
    /// The file could not be read.
    pub fn list(&self) -> Result<Vec<TokenEntry>> {
        Ok(self.tokens().entries()?.to_vec())
    }

    /// Makes the token `name` invalid at once. False where there is none of that name.
    ///
    /// # Errors
    /// It is the last admin token that has not expired, or the file could not be written.
    pub fn revoke(&self, name: &str) -> Result<bool> {
        let now = self.shared.clock.now_unix_nano();
        self.tokens().remove(name, now)
    }

    /// A layer that lets a request pass where it may do what needs `role`. On refusal the answer is 401, 403 or
    /// 429 as JSON (a gRPC client reads 401 as `UNAUTHENTICATED`).
    pub fn layer(&self, role: Role) -> AuthLayer {
        AuthLayer::new(self.clone(), role)
    }

    /// Decides about one request from `address`.
    ///
    /// # Errors
    /// Why it may not pass.
    pub fn check(&self, role: Role, headers: &HeaderMap, address: Option<IpAddr>) -> Result<()> {
        if role != Role::Admin && !self.shared.require_tokens {
            return Ok(());
        }
        let now = self.shared.clock.now_unix_nano();
        if let Some(retry_after) = self.attempts().blocked(address, now) {
            return Err(Error::TooManyAttempts { retry_after });
        }
        let text = bearer(headers).ok_or(Error::Unauthenticated(
            "this needs a token: send the header `Authorization: Bearer trc_...`",
        ))?;
        match self.tokens().find(text, now)? {
            Some(found) if found.covers(role) => Ok(()),
            Some(found) => Err(Error::Forbidden(format!(
                "this needs a token with the role {}; yours has the role {}",
                role.as_str(),
                found.as_str()
            ))),
            None => {
                self.attempts().failed(address, now);
                Err(Error::Unauthenticated("the token is not valid (wrong, revoked or expired)"))
            }
        }
    }

    /// True where questions need a token.
    pub(crate) fn asks_for_tokens(&self) -> bool {
        self.shared.require_tokens
    }

    /// What a login as the token called `name` from `address` is checked with; `None` where there is no such token,
    /// or none that may ask questions.
    ///
    /// # Errors
    /// Too many wrong tokens came from there; the file of tokens cannot be read.
    pub(crate) fn verifier(&self, name: &str, address: IpAddr) -> Result<Option<scram::Verifier>> {
        let now = self.shared.clock.now_unix_nano();
        if let Some(retry_after) = self.attempts().blocked(Some(address), now) {
            return Err(Error::TooManyAttempts { retry_after });
        }
        let found = self.tokens().verifier(name, now)?;
        Ok(found.filter(|(role, _)| role.covers(Role::Query)).map(|(_, verifier)| verifier))
    }

    /// Notes a login from `address` that failed.
    pub(crate) fn login_failed(&self, address: IpAddr) {
        let now = self.shared.clock.now_unix_nano();
        self.attempts().failed(Some(address), now);
    }

    fn tokens(&self) -> std::sync::MutexGuard<'_, Tokens> {
        self.shared.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempts(&self) -> std::sync::MutexGuard<'_, Attempts> {
        self.shared.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The token of `Authorization: Bearer TOKEN`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

#[cfg(test)]
mod tests;
