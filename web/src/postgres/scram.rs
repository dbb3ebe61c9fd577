//! The server's side of a login by SCRAM-SHA-256: <https://www.postgresql.org/docs/16/sasl-authentication.html>.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, Bytes};

use super::refusal::Refusal;
use crate::auth::scram::Verifier;

/// The one mechanism that is offered.
pub(super) const MECHANISM: &str = "SCRAM-SHA-256";

/// An exchange after the client's first message.
#[derive(Debug)]
pub(super) struct Exchange {
    verifier: Verifier,
    /// `n,,` or `y,,`: repeated in the last message.
    header: String,
    nonce: String,
    client_first: String,
    server_first: String,
}

fn broken(words: &str) -> Refusal {
    Refusal::fatal("08P01", format!("invalid SCRAM message: {words}"))
}

/// The password is wrong, or there is no such token: not told apart.
pub(super) fn wrong() -> Refusal {
    Refusal::fatal(
        "28P01",
        "login failed: the user is a token's name and the password its text (trc_...); tokens of version 0.1.0 have to \
         be made anew for this door",
    )
}

/// Reads SASLInitialResponse: the mechanism, then the client's first message.
pub(super) fn first_message(mut body: Bytes) -> Result<String, Refusal> {
    let end = body.iter().position(|byte| *byte == 0).ok_or_else(|| broken("no mechanism"))?;
    if &body[..end] != MECHANISM.as_bytes() {
        return Err(Refusal::fatal("28000", format!("only {MECHANISM} is spoken here")));
    }
    body.advance(end + 1);
    if body.len() < 4 || body.get_u32() as usize != body.len() {
        return Err(broken("its length is wrong"));
    }
    text(body)
}

/// A message of the exchange as text.
pub(super) fn text(body: Bytes) -> Result<String, Refusal> {
    String::from_utf8(body.into()).map_err(|_| broken("not UTF-8"))
}

impl Exchange {
    /// Takes the client's first message; `nonce` is the server's part.
    pub(super) fn begin(first: &str, verifier: Verifier, nonce: &str) -> Result<Self, Refusal> {
        let mut parts = first.splitn(3, ',');
        let (flag, identity) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let client_first = parts.next().ok_or_else(|| broken("no header"))?;
        if !matches!(flag, "n" | "y") || !identity.is_empty() {
            return Err(broken("channel binding and other identities are not known here"));
        }
        let theirs = attribute(client_first, "r=").ok_or_else(|| broken("no nonce"))?;
        let nonce = format!("{theirs}{nonce}");
        let server_first = format!("r={nonce},{}", verifier.challenge());
        let (header, client_first) = (format!("{flag},,"), client_first.to_owned());
        Ok(Self { verifier, header, nonce, client_first, server_first })
    }

    /// What the server says to it.
    pub(super) fn challenge(&self) -> &str {
        &self.server_first
    }

    /// Takes the client's last message; gives the server's.
    pub(super) fn end(&self, last: &str) -> Result<String, Refusal> {
        let (unproven, proof) = last.rsplit_once(",p=").ok_or_else(|| broken("no proof"))?;
        let binding = attribute(unproven, "c=").unwrap_or_default();
        let nonce = attribute(unproven, "r=").unwrap_or_default();
        if binding != STANDARD.encode(&self.header) || nonce != self.nonce {
            return Err(broken("it does not belong to the first one"));
        }
        let proof = STANDARD.decode(proof).map_err(|_| broken("the proof is not base64"))?;
        let exchange = format!("{},{},{unproven}", self.client_first, self.server_first);
        let signature = self.verifier.check(&exchange, &proof).ok_or_else(wrong)?;
        Ok(format!("v={signature}"))
    }
}

/// The value of `name` in `a=1,b=2`.
fn attribute<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.split(',').find_map(|part| part.strip_prefix(name))
}
