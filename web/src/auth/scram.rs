//! SCRAM-SHA-256 (RFC 5802, RFC 7677): what is kept of a token so that its holder can prove that he has it without
//! sending it.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{Error, Result};

/// A token has 256 random bits, so that more rounds would only cost time: PostgreSQL's default.
const ITERATIONS: u32 = 4_096;
const SALT_BYTES: usize = 16;

type Key = [u8; 32];

/// What the server keeps of a password; neither the password nor a proof can be made of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Verifier {
    salt: Vec<u8>,
    iterations: u32,
    stored_key: Key,
    server_key: Key,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(..)")
    }
}

impl Verifier {
    /// Of `password`, with a salt of its own.
    pub(super) fn new(password: &str) -> Result<Self> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt)
            .map_err(|error| Error::Internal(format!("no random numbers: {error}")))?;
        Ok(Self::salted(password, &salt, ITERATIONS))
    }

    pub(crate) fn salted(password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = stretched(password, salt, iterations);
        let client_key = hmac(&salted, &[b"Client Key"]);
        Self {
            salt: salt.to_vec(),
            iterations,
            stored_key: Sha256::digest(client_key).into(),
            server_key: hmac(&salted, &[b"Server Key"]),
        }
    }

    /// What nobody's password fits, for names that do not exist: the same salt for the same name.
    pub(crate) fn of_nobody(name: &str, secret: &[u8]) -> Self {
        let salt = hmac(secret, &[b"salt", name.as_bytes()])[..SALT_BYTES].to_vec();
        let (stored_key, server_key) =
            (hmac(secret, &[b"stored", name.as_bytes()]), hmac(secret, &[b"server"]));
        Self { salt, iterations: ITERATIONS, stored_key, server_key }
    }

    /// The salt and the rounds, as the server's first message has them.
    pub(crate) fn challenge(&self) -> String {
        format!("s={},i={}", STANDARD.encode(&self.salt), self.iterations)
    }

    /// The server's signature over `exchange` where `proof` is right. Compares in constant time.
    pub(crate) fn check(&self, exchange: &str, proof: &[u8]) -> Option<String> {
        let proof: Key = proof.try_into().ok()?;
        let mut client_key = hmac(&self.stored_key, &[exchange.as_bytes()]);
        client_key.iter_mut().zip(proof).for_each(|(key, proof)| *key ^= proof);
        let is_right: bool = Sha256::digest(client_key).as_slice().ct_eq(&self.stored_key).into();
        let signature = hmac(&self.server_key, &[exchange.as_bytes()]);
        is_right.then(|| STANDARD.encode(signature))
    }

    /// As PostgreSQL writes it: `SCRAM-SHA-256$4096:SALT$STORED:SERVER`.
    pub(super) fn show(&self) -> String {
        let Self { salt, iterations, stored_key, server_key } = self;
        let [salt, stored, server] =
            [salt.as_slice(), stored_key, server_key].map(|bytes| STANDARD.encode(bytes));
        format!("SCRAM-SHA-256${iterations}:{salt}${stored}:{server}")
    }

    /// Reads what [`Verifier::show`] wrote.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (rounds, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = rounds.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let key = |text: &str| STANDARD.decode(text).ok()?.try_into().ok();
        Some(Self {
            salt: STANDARD.decode(salt).ok()?,
            iterations: iterations.parse().ok()?,
            stored_key: key(stored)?,
            server_key: key(server)?,
        })
    }
}

/// PBKDF2 with HMAC-SHA-256, one block.
fn stretched(password: &str, salt: &[u8], iterations: u32) -> Key {
    let mut round = hmac(password.as_bytes(), &[salt, &1_u32.to_be_bytes()]);
    let mut salted = round;
    for _ in 1..iterations {
        round = hmac(password.as_bytes(), &[&round]);
        salted.iter_mut().zip(round).for_each(|(all, one)| *all ^= one);
    }
    salted
}

/// What a client sends to prove that it has `password`.
#[cfg(test)]
pub(crate) fn prove(password: &str, salt: &[u8], iterations: u32, exchange: &str) -> Key {
    let mut key = hmac(&stretched(password, salt, iterations), &[b"Client Key"]);
    let stored_key: Key = Sha256::digest(key).into();
    let signature = hmac(&stored_key, &[exchange.as_bytes()]);
    key.iter_mut().zip(signature).for_each(|(key, signature)| *key ^= signature);
    key
}

/// HMAC-SHA-256 (RFC 2104) over the concatenation of `parts`.
fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    const BLOCK: usize = 64;
    let mut block = [0; BLOCK];
    match key.len() {
        0..=BLOCK => block[..key.len()].copy_from_slice(key),
        _ => block[..32].copy_from_slice(&Sha256::digest(key)),
    }
    let mut inner = Sha256::new_with_prefix(block.map(|byte| byte ^ 0x36));
    parts.iter().for_each(|part| inner.update(part));
    let outer = Sha256::new_with_prefix(block.map(|byte| byte ^ 0x5c));
    outer.chain_update(inner.finalize()).finalize().into()
}

#[cfg(test)]
mod tests;
