use std::future::pending;

use ingest::Decoder;
use storage::{Clock, ManualClock, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

use super::*;
use crate::Role;

struct Fixture {
    door: Postgres,
    auth: Auth,
    _folder: tempfile::TempDir,
}

/// A door to an empty table.
async fn fixture(require_tokens: bool) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(1_795_255_200_000_000_000));
    let decoder = Arc::new(Decoder::new(ingest::Config::default()));
    let config = storage::Config::in_folder(folder.path());
    let store = Store::open(config, decoder, Arc::clone(&clock)).await.unwrap();
    let auth = Auth::open(folder.path().join("tokens.json"), require_tokens, clock).unwrap();
    let engine = Engine::new(store, query::Config::default()).unwrap();
    let door = Postgres::new(engine, auth.clone(), Config::default(), "1.2.3");
    Fixture { door, auth, _folder: folder }
}

/// A client on a wire of its own.
struct Client {
    wire: DuplexStream,
    served: JoinHandle<()>,
}

impl Client {
    fn connect(fixture: &Fixture) -> Self {
        let (wire, theirs) = tokio::io::duplex(1 << 16);
        let door = fixture.door.clone();
        let peer = "192.0.2.1:1".parse().unwrap();
        let served = tokio::spawn(async move { door.serve(theirs, peer, pending()).await });
        Self { wire, served }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.wire.write_all(bytes).await.unwrap();
    }

    async fn message(&mut self, kind: u8, body: &[u8]) {
        let length = u32::try_from(body.len() + 4).unwrap();
        self.send(&[&[kind], &length.to_be_bytes()[..], body].concat()).await;
    }

    async fn start(&mut self, user: &str) {
        let body = format!("\0\x03\0\0user\0{user}\0database\0x\0\0");
        let length = u32::try_from(body.len() + 4).unwrap();
        self.send(&[&length.to_be_bytes()[..], body.as_bytes()].concat()).await;
    }

    /// The next message's kind and body.
    async fn next(&mut self) -> (char, Vec<u8>) {
        let kind = self.wire.read_u8().await.unwrap();
        let length = self.wire.read_u32().await.unwrap() as usize;
        let mut body = vec![0; length - 4];
        self.wire.read_exact(&mut body).await.unwrap();
        (char::from(kind), body)
    }

    /// Messages up to ReadyForQuery, as their kinds; with the bodies of errors.
    async fn until_ready(&mut self) -> String {
        let mut kinds = String::new();
        loop {
            let (kind, body) = self.next().await;
            kinds.push(kind);
            if kind == 'E' {
                kinds.push_str(&String::from_utf8_lossy(&body).replace('\0', " "));
            }
            if kind == 'Z' {
                return kinds;
            }
        }
    }

    async fn begin(fixture: &Fixture) -> Self {
        let mut client = Self::connect(fixture);
        client.start("me").await;
        let kinds = client.until_ready().await;
        assert!(kinds.starts_with("RS") && kinds.ends_with("SKZ"), "{kinds}");
        client
    }

    async fn query(&mut self, sql: &str) -> String {
        self.message(b'Q', format!("{sql}\0").as_bytes()).await;
        self.until_ready().await
    }

    /// What is left until the server closes.
    async fn rest(mut self) -> String {
        let mut rest = Vec::new();
        self.wire.read_to_end(&mut rest).await.unwrap();
        self.served.await.unwrap();
        String::from_utf8_lossy(&rest).replace('\0', " ")
    }
}

#[tokio::test]
async fn simple_queries_answer_with_rows_and_errors_leave_the_session_alive() {
    let fixture = fixture(false).await;
    let mut client = Client::begin(&fixture).await;
    assert_eq!(client.query("SELECT 1 AS a UNION ALL SELECT 2").await, "TDDCZ");
    assert_eq!(client.query("").await, "IZ");
    assert_eq!(client.query("SET application_name = 'x'; SHOW application_name").await, "SCTDCZ");
    let refused = client.query("SELECT no_such FROM spans").await;
    assert!(refused.contains("C42703") && refused.ends_with('Z'), "{refused}");
    let refused = client.query("SELECT 1; DROP TABLE spans").await;
    assert!(refused.starts_with('E') && refused.contains("one statement"), "{refused}");
    assert_eq!(client.query("BEGIN").await, "CZ");
    assert!(client.query("DELETE FROM spans").await.contains("C25006"));
    assert!(client.query("SELECT 1").await.contains("C25P02"));
    assert_eq!(client.query("COMMIT").await, "CZ");
    assert_eq!(client.query("SELECT 1").await, "TDCZ");
    client.message(b'X', b"").await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn prepared_statements_run_in_portions_and_errors_are_skipped_up_to_sync() {
    let fixture = fixture(false).await;
    let mut client = Client::begin(&fixture).await;
    let sql = "SELECT n + $1 FROM (VALUES (1), (2), (3)) AS t(n)";
    client.message(b'P', format!("s\0{sql}\0\0\x01\0\0\0\x14").as_bytes()).await;
    client.message(b'D', b"Ss\0").await;
    // Portal "p", one value in text, "10"; results in text.
    client.message(b'B', b"p\0s\0\0\0\0\x01\0\0\0\x0210\0\0").await;
    client.message(b'E', b"p\0\0\0\0\x02").await;
    client.message(b'E', b"p\0\0\0\0\0").await;
    client.message(b'S', b"").await;
    assert_eq!(client.until_ready().await, "1tT2DDsDCZ");
    client.message(b'B', b"p\0nothing\0\0\0\0\0\0\0").await;
    client.message(b'E', b"p\0\0\0\0\0").await;
    client.message(b'S', b"").await;
    let kinds = client.until_ready().await;
    assert!(kinds.starts_with('E') && kinds.contains("C26000") && kinds.ends_with('Z'), "{kinds}");
    assert!(!kinds[1..].contains("C34000"), "the Execute was skipped: {kinds}");
    client.message(b'C', b"Ss\0").await;
    client.message(b'S', b"").await;
    assert_eq!(client.until_ready().await, "3Z");
}

#[tokio::test]
async fn encryption_is_declined_and_newer_versions_are_negotiated() {
    let fixture = fixture(false).await;
    let mut client = Client::connect(&fixture);
    client.send(&[0, 0, 0, 8, 4, 210, 22, 47]).await;
    assert_eq!(client.wire.read_u8().await.unwrap(), b'N');
    client.send(&[0, 0, 0, 8, 4, 210, 22, 48]).await;
    assert_eq!(client.wire.read_u8().await.unwrap(), b'N');
    let body = "\0\x03\0\x02user\0me\0_pq_.new\0on\0\0";
    let length = u32::try_from(body.len() + 4).unwrap();
    client.send(&[&length.to_be_bytes()[..], body.as_bytes()].concat()).await;
    let (kind, body) = client.next().await;
    assert_eq!((kind, &body[..8]), ('v', &[0, 3, 0, 0, 0, 0, 0, 1][..]));
    assert!(client.until_ready().await.ends_with('Z'));
}

#[tokio::test]
async fn a_cancel_request_stops_the_statement_of_that_session_only() {
    let fixture = fixture(false).await;
    let mut client = Client::connect(&fixture);
    client.start("me").await;
    let key = loop {
        let (kind, body) = client.next().await;
        match kind {
            'K' => break body,
            'Z' => panic!("no key"),
            _ => {}
        }
    };
    client.until_ready().await;
    let cancel = async |key: &[u8]| {
        let mut other = Client::connect(&fixture);
        other.send(&[&[0, 0, 0, 16, 4, 210, 22, 46], key].concat()).await;
        assert_eq!(other.rest().await, "");
    };
    let mut wrong = key.clone();
    wrong[7] ^= 1;
    cancel(&wrong).await;
    let numbers = "(VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10))";
    let joins: Vec<String> = (0..12).map(|index| format!("{numbers} AS t{index}")).collect();
    // A condition on all of it, so that no statistics answer it.
    let sum: Vec<String> = (0..12).map(|index| format!("t{index}.column1")).collect();
    let (from, sum) = (joins.join(","), sum.join("+"));
    let sql = format!("SELECT count(*) FROM {from} WHERE {sum} > 1000\0");
    client.message(b'Q', sql.as_bytes()).await;
    // The statement is at work once the engine says so.
    let running = |door: &Postgres| {
        let metrics = door.shared.engine.metrics();
        metrics.iter().any(|m| m.name == "spanlake_queries_running" && m.value > 0.0)
    };
    while !running(&fixture.door) {
        tokio::task::yield_now().await;
    }
    cancel(&key).await;
    let kinds = client.until_ready().await;
    assert!(kinds.contains("C57014") && kinds.contains("user request"), "{kinds}");
    // A client that leaves takes its statement with it.
    client.message(b'Q', sql.as_bytes()).await;
    while !running(&fixture.door) {
        tokio::task::yield_now().await;
    }
    drop(client.wire);
    client.served.await.unwrap();
    while running(&fixture.door) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn broken_messages_end_the_session_with_words() {
    let fixture = fixture(false).await;
    for (first, words) in [
        (&[0, 0, 0, 4][..], "startup message"),
        (&[0xff; 8][..], "startup message"),
        (&[0, 1, 0, 0, 0, 3, 0, 0][..], "startup message"),
        (&[0, 0, 0, 9, 0, 3, 0, 0, b'x'][..], "text without its end"),
        (&[0, 0, 0, 8, 0, 2, 0, 0][..], "3.0 is spoken here"),
    ] {
        let mut client = Client::connect(&fixture);
        client.send(first).await;
        let answer = client.rest().await;
        assert!(answer.starts_with('E') && answer.contains(words), "{first:?}: {answer}");
    }
    for (message, words) in [
        (&b"Q\0\0\0\x03"[..], "a message of 3 bytes"),
        (b"Q\x7f\xff\xff\xff", "are taken"),
        (b"Q\0\0\0\x05x", "text without its end"),
        (b"Q\0\0\0\x06\xff\0", "not UTF-8"),
        (b"Q\0\0\0\x06\0x", "bytes after its end"),
        (b"B\0\0\0\x0a\0\0\x7f\xff\0\0", "more than 1000 values"),
        (b"B\0\0\0\x10\0\0\0\0\0\x01\0\0\0\x09x\0", "longer than the message"),
        (b"D\0\0\0\x06x\0", "neither a statement nor a portal"),
        (b"p\0\0\0\x05x", "nobody asked"),
        (b"F\0\0\0\x04", "there is no message"),
    ] {
        let mut client = Client::begin(&fixture).await;
        client.send(message).await;
        let answer = client.rest().await;
        assert!(answer.contains("FATAL") && answer.contains(words), "{message:?}: {answer}");
    }
}

#[tokio::test]
async fn where_tokens_are_needed_a_login_without_a_known_name_or_proof_fails() {
    let fixture = fixture(true).await;
    let token = fixture.auth.create("reader", Role::Query, None).unwrap();
    let sender = fixture.auth.create("sender", Role::Ingest, None).unwrap();
    for (user, password, lets_in) in [
        ("reader", token.expose(), true),
        ("reader", "trc_wrong", false),
        ("nobody", token.expose(), false),
        ("sender", sender.expose(), false),
    ] {
        let mut client = Client::connect(&fixture);
        client.start(user).await;
        let (kind, body) = client.next().await;
        assert_eq!((kind, &body[..]), ('R', &b"\0\0\0\x0aSCRAM-SHA-256\0\0"[..]));
        let kinds = login(&mut client, password).await;
        assert_eq!(kinds.ends_with('Z'), lets_in, "{user}: {kinds}");
        assert!(lets_in || kinds.contains("C28P01"), "{user}: {kinds}");
    }
}

/// The client's side of SCRAM; the messages that follow.
async fn login(client: &mut Client, password: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let first = "n=,r=abc";
    let mut body = b"SCRAM-SHA-256\0".to_vec();
    body.extend_from_slice(&u32::try_from(first.len() + 3).unwrap().to_be_bytes());
    body.extend_from_slice(format!("n,,{first}").as_bytes());
    client.message(b'p', &body).await;
    let (_, challenge) = client.next().await;
    let challenge = String::from_utf8(challenge[4..].to_vec()).unwrap();
    let part = |name: &str| {
        challenge.split(',').find_map(|part| part.strip_prefix(name)).unwrap().to_owned()
    };
    let salt = STANDARD.decode(part("s=")).unwrap();
    let unproven = format!("c=biws,r={}", part("r="));
    let exchange = format!("{first},{challenge},{unproven}");
    let proof = crate::auth::scram::prove(password, &salt, 4_096, &exchange);
    client.message(b'p', format!("{unproven},p={}", STANDARD.encode(proof)).as_bytes()).await;
    let mut kinds = String::new();
    loop {
        let (kind, body) = client.next().await;
        kinds.push(kind);
        if kind == 'E' {
            kinds.push_str(&String::from_utf8_lossy(&body).replace('\0', " "));
        }
        if matches!(kind, 'E' | 'Z') {
            return kinds;
        }
    }
}
