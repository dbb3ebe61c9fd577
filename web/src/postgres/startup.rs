//! From the first byte to the first ReadyForQuery: encryption (none), version, login, parameters.
use std::io;
use std::net::IpAddr;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Shared;
use super::cancel::{Entered, Key};
use super::command::Settings;
use super::input::{First, Input, Message, STARTUP_BYTES_MAX};
use super::output::{Output, Transaction};
use super::refusal::Refusal;
use super::scram::{self, Exchange};
use crate::Error;
use crate::auth::scram::Verifier;

/// Messages of the login: SASL, its numbers in AuthenticationRequest.
const SASL: u32 = 10;
const SASL_CONTINUE: u32 = 11;
const SASL_FINAL: u32 = 12;

/// The protocol's minor version that is spoken.
const MINOR: u16 = 0;

/// A client that is let in.
pub(super) struct Client<R, W> {
    pub(super) input: Input<R>,
    pub(super) output: Output<W>,
    pub(super) settings: Settings,
    pub(super) entered: Entered,
}

/// Lets a client in. `None`: it only wanted to cancel, was refused with words, or left.
pub(super) async fn begin<R, W>(
    shared: &Shared,
    mut input: Input<R>,
    mut output: Output<W>,
    address: IpAddr,
) -> io::Result<Option<Client<R, W>>>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let Some(parameters) = parameters(shared, &mut input, &mut output).await? else {
        return Ok(None);
    };
    let named = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let user = named("user").cloned().unwrap_or_default();
    if shared.auth.asks_for_tokens() {
        let login = Login { shared, address, input: &mut input, output: &mut output };
        if let Err(refusal) = login.run(&user).await? {
            return refuse(&mut output, &refusal).await;
        }
    }
    let mut settings = Settings::new(shared.version, &user);
    for (name, value) in &parameters {
        // What is asked for at the start and is not known is no reason to leave.
        if let Err(refusal) = settings.set(name, value) {
            tracing::debug!(name, refusal.message, "startup parameter left out");
        }
    }
    let Ok(entered) = shared.sessions.enter() else {
        return refuse(&mut output, &Refusal::fatal("58000", "no random numbers")).await;
    };
    output.authentication(0, &[]);
    for (name, value) in settings.reported() {
        output.parameter_status(name, &value);
    }
    let Key { process, secret } = entered.key;
    output.message(b'K', |out| {
        out.extend_from_slice(&process.to_be_bytes());
        out.extend_from_slice(&secret.to_be_bytes());
    });
    output.ready(Transaction::None);
    output.flush().await?;
    Ok(Some(Client { input, output, settings, entered }))
}

async fn refuse<T, W: AsyncWrite + Unpin>(
    output: &mut Output<W>,
    refusal: &Refusal,
) -> io::Result<Option<T>> {
    output.refuse(refusal);
    output.flush().await?;
    Ok(None)
}

/// The parameters of the session that the client begins.
async fn parameters<R, W>(
    shared: &Shared,
    input: &mut Input<R>,
    output: &mut Output<W>,
) -> io::Result<Option<Vec<(String, String)>>>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    // A client asks for each kind of encryption once at most.
    for _ in 0..3 {
        let first = match input.first().await? {
            None => return Ok(None),
            Some(Err(refusal)) => return refuse(output, &refusal).await,
            Some(Ok(first)) => first,
        };
        match first {
            First::Ssl | First::Gss => {
                output.byte(b'N');
                output.flush().await?;
            }
            First::Cancel { process, secret } => {
                let known = shared.sessions.cancel(Key { process, secret });
                tracing::debug!(process, known, "cancel request");
                return Ok(None);
            }
            First::Startup { minor, parameters } => {
                negotiate(output, minor, &parameters);
                return Ok(Some(parameters));
            }
            First::Unknown { major, minor } => {
                let words = format!("version {major}.{minor} of the protocol; 3.0 is spoken here");
                return refuse(output, &Refusal::fatal("0A000", words)).await;
            }
        }
    }
    refuse(output, &Refusal::fatal("08P01", "no startup message")).await
}

/// Tells a client of a newer minor version what is spoken here, and which of its options are not known.
fn negotiate<W: AsyncWrite + Unpin>(
    output: &mut Output<W>,
    minor: u16,
    parameters: &[(String, String)],
) {
    let unknown: Vec<&str> = parameters
        .iter()
        .filter(|(name, _)| name.starts_with("_pq_."))
        .map(|(name, _)| name.as_str())
        .collect();
    if minor == MINOR && unknown.is_empty() {
        return;
    }
    output.message(b'v', |out| {
        out.extend_from_slice(&(3_u32 << 16 | u32::from(MINOR)).to_be_bytes());
        out.extend_from_slice(&u32::try_from(unknown.len()).unwrap_or(0).to_be_bytes());
        for name in unknown {
            out.extend_from_slice(name.as_bytes());
            out.push(0);
        }
    });
}

/// A login by token.
struct Login<'a, R, W> {
    shared: &'a Shared,
    address: IpAddr,
    input: &'a mut Input<R>,
    output: &'a mut Output<W>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Login<'_, R, W> {
    async fn run(mut self, user: &str) -> io::Result<Result<(), Refusal>> {
        let verifier = match self.shared.auth.verifier(user, self.address) {
            Ok(found) => found.unwrap_or_else(|| nobody(user)),
            Err(error @ Error::TooManyAttempts { .. }) => {
                return Ok(Err(Refusal::fatal("28000", error.message())));
            }
            Err(error) => {
                error.log("postgres");
                return Ok(Err(Refusal::fatal("58030", error.message())));
            }
        };
        let outcome = self.exchange(verifier).await?;
        if outcome.as_ref().is_err_and(|refusal| *refusal == scram::wrong()) {
            self.shared.auth.login_failed(self.address);
        }
        Ok(outcome)
    }

    async fn exchange(&mut self, verifier: Verifier) -> io::Result<Result<(), Refusal>> {
        let offer = [scram::MECHANISM.as_bytes(), &[0, 0]].concat();
        let first = match self.ask(SASL, &offer).await?.and_then(scram::first_message) {
            Ok(first) => first,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let begun = nonce().and_then(|nonce| Exchange::begin(&first, verifier, &nonce));
        let exchange = match begun {
            Ok(exchange) => exchange,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let answer = self.ask(SASL_CONTINUE, exchange.challenge().as_bytes()).await?;
        match answer.and_then(scram::text).and_then(|last| exchange.end(&last)) {
            Ok(signature) => {
                self.output.authentication(SASL_FINAL, signature.as_bytes());
                Ok(Ok(()))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Sends a step of the login and waits for the answer to it.
    async fn ask(&mut self, code: u32, data: &[u8]) -> io::Result<Result<bytes::Bytes, Refusal>> {
        self.output.authentication(code, data);
        self.output.flush().await?;
        Ok(match self.input.next(STARTUP_BYTES_MAX).await? {
            Some(Ok(Message::Password(body))) => Ok(body),
            Some(Err(refusal)) => Err(refusal),
            Some(Ok(_)) => Err(Refusal::fatal("08P01", "a login was expected")),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        })
    }
}

fn nonce() -> Result<String, Refusal> {
    let mut bits = [0; 18];
    getrandom::fill(&mut bits).map_err(|_| Refusal::fatal("58000", "no random numbers"))?;
    Ok(STANDARD.encode(bits))
}

/// For names that are no token's: the exchange goes on and fails at its end.
fn nobody(user: &str) -> Verifier {
    static SECRET: LazyLock<[u8; 32]> = LazyLock::new(|| {
        let mut bits = [0; 32];
        // Without random numbers the salt could be told from a real one; the login fails all the same.
        let _ = getrandom::fill(&mut bits);
        bits
    });
    Verifier::of_nobody(user, SECRET.as_slice())
}
