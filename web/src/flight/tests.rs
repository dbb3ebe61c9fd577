use axum::body::to_bytes;
use axum::http::StatusCode;
use ingest::Decoder;
use prost::Message;
use storage::{Clock, ManualClock, Store};
use tower::ServiceExt;

use super::messages::{Any, FlightDescriptor, FlightInfo, Handle, Prepared, Statement, Ticket};
use super::*;

async fn door(require_tokens: bool) -> (Router, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(1_795_255_200_000_000_000));
    let decoder = Arc::new(Decoder::new(ingest::Config::default()));
    let config = storage::Config::in_folder(folder.path());
    let store = Store::open(config, decoder, Arc::clone(&clock)).await.unwrap();
    let auth = Auth::open(folder.path().join("tokens.json"), require_tokens, clock).unwrap();
    let engine = Engine::new(store, query::Config::default()).unwrap();
    (router(engine, auth, "1.2.3"), folder)
}

fn framed(message: &impl Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[0], &length[..], &bytes].concat()
}

/// The status (of the header or the trailers) and the bytes of an answer.
async fn ask(door: &Router, method: &str, body: Vec<u8>) -> (String, Vec<u8>) {
    let request = Request::post(format!("/arrow.flight.protocol.FlightService/{method}"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .body(Body::from(body))
        .unwrap();
    let response = door.clone().oneshot(request).await.unwrap();
    let status = |headers: &HeaderMap| {
        let field = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap());
        format!("{} {}", field("grpc-status"), field("grpc-message"))
    };
    if response.headers().contains_key("grpc-status") {
        return (status(response.headers()), Vec::new());
    }
    use http_body_util::BodyExt;
    let all = response.into_body().collect().await.unwrap();
    let trailers = status(all.trailers().unwrap());
    (trailers, all.to_bytes().to_vec())
}

fn statement(sql: &str) -> Any {
    let statement = Statement { query: sql.to_owned(), transaction_id: None };
    Any::of("CommandStatementQuery", &statement)
}

async fn info(door: &Router, sql: &str) -> (String, FlightInfo) {
    let cmd = statement(sql).encode_to_vec().into();
    let descriptor = FlightDescriptor { kind: 2, cmd, path: Vec::new() };
    let (status, bytes) = ask(door, "GetFlightInfo", framed(&descriptor)).await;
    let info = bytes.get(5..).map(|bytes| FlightInfo::decode(bytes).unwrap());
    (status, info.unwrap_or_default())
}

#[tokio::test]
async fn a_statement_is_planned_then_fetched_by_its_ticket() {
    let (door, _folder) = door(false).await;
    let (status, info) = info(&door, "SELECT 1 AS one UNION ALL SELECT 2").await;
    assert_eq!(status, "0 ");
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let (status, rows) = ask(&door, "DoGet", framed(&ticket)).await;
    assert_eq!(status, "0 ");
    // Schema and rows: a frame each at least.
    let first = u32::from_be_bytes(rows[1..5].try_into().unwrap()) as usize;
    assert!(rows.len() > 5 + first + 5, "{} bytes", rows.len());
}

#[tokio::test]
async fn refusals_carry_their_code_and_words() {
    let (door, _folder) = door(false).await;
    for (sql, words) in [
        ("DELETE FROM spans", "3 DELETE FROM is not allowed"),
        ("SELECT nothing FROM spans", "3 no column"),
        ("SELEC 1", "3 the statement cannot be read"),
    ] {
        let (status, _) = info(&door, sql).await;
        assert!(status.starts_with(words), "{sql}: {status}");
    }
    let handle = Prepared { sql: "DROP TABLE spans".into(), values: bytes::Bytes::new() };
    let handle = Handle { handle: handle.encode_to_vec().into() };
    let ticket = Any::of("TicketStatementQuery", &handle).encode_to_vec().into();
    let (status, _) = ask(&door, "DoGet", framed(&Ticket { ticket })).await;
    assert!(status.starts_with("3 DROP TABLE is not allowed"), "a made-up ticket: {status}");
    let (status, _) = ask(&door, "DoExchange", Vec::new()).await;
    assert!(status.starts_with("12 "), "{status}");
}

#[tokio::test]
async fn broken_requests_are_refused() {
    let (door, _folder) = door(false).await;
    for (method, body) in [
        ("GetFlightInfo", vec![]),
        ("GetFlightInfo", vec![0, 0, 0]),
        ("GetFlightInfo", vec![0, 0xff, 0xff, 0xff, 0xff]),
        ("GetFlightInfo", vec![1, 0, 0, 0, 0]),
        ("GetFlightInfo", [framed(&Ticket::default()), framed(&Ticket::default())].concat()),
        ("DoGet", framed(&Ticket { ticket: vec![0xff; 9].into() })),
        ("DoGet", framed(&Ticket { ticket: vec![0x0a, 0x7f].into() })),
        ("DoPut", framed(&messages::FlightData::default())),
        ("DoAction", framed(&messages::Action { kind: "x".into(), body: vec![1].into() })),
        ("DoGet", vec![0; 5 << 20]),
    ] {
        let shown = format!("{method} {:?}", &body[..body.len().min(20)]);
        let (status, _) = ask(&door, method, body).await;
        assert!(status.starts_with("3 ") || status.starts_with("12 "), "{shown}: {status}");
    }
    let garbage = Prepared { sql: "SELECT $1".into(), values: vec![0xff; 64].into() };
    let handle = Handle { handle: garbage.encode_to_vec().into() };
    let ticket = Any::of("TicketStatementQuery", &handle).encode_to_vec().into();
    let (status, _) = ask(&door, "DoGet", framed(&Ticket { ticket })).await;
    assert!(status.starts_with("3 parameters"), "{status}");
    let plain = Request::post("/arrow.flight.protocol.FlightService/DoGet");
    let response = door.oneshot(plain.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(!to_bytes(response.into_body(), 1 << 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn where_tokens_are_needed_nothing_is_answered_without() {
    let (door, _folder) = door(true).await;
    for method in ["Handshake", "GetFlightInfo", "DoGet", "ListActions"] {
        let (status, _) = ask(&door, method, Vec::new()).await;
        assert!(status.starts_with("16 "), "{method}: {status}");
    }
}
