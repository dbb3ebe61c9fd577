//! Readers of the live tail beside the sender: what they cost ingest.
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::server::Server;

/// What each reader asks for, in turn: narrow filters mostly, which few spans match, and everything at a low rate.
const FILTERS: [&str; 10] = [
    "service=service-01&kind=server",
    "service=service-02&kind=client",
    "service=service-03&status=error",
    "service=service-04&min_duration=50ms",
    "service=service-05&attribute=http.request.method%3DPOST",
    "status=error",
    "min_duration=500ms",
    "root=true&limit=50",
    "limit=100",
    "limit=20",
];
/// One reader in this many takes nothing at all, of everything.
const STALLED_EVERY: usize = 20;
/// How often the sockets are read.
const PACE: Duration = Duration::from_millis(100);

/// Settings of a server that takes so many readers from one address.
pub fn settings(readers: usize) -> Vec<String> {
    let most = (readers + 256).to_string();
    ["http.connections_per_address_max", "tail.readers_per_token_max"]
        .iter()
        .flat_map(|key| ["--set".to_owned(), format!("{key}={most}")])
        .collect()
}

/// Open streams, read by one thread until this is dropped.
#[derive(Debug)]
pub struct Readers {
    stop: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
    ended: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Readers {
    /// Opens `count` streams and waits for each one's answer.
    ///
    /// # Errors
    /// The server refused one.
    pub fn open(server: &Server, count: usize) -> Result<Self> {
        let mut quick = Vec::new();
        let mut stalled = Vec::new();
        for number in 0..count {
            if number % STALLED_EVERY == 0 {
                stalled.push(connect(server.api_port, "limit=1000")?);
            } else {
                quick.push(connect(server.api_port, FILTERS[number % FILTERS.len()])?);
            }
        }
        let (stop, bytes, ended) = (Arc::<AtomicBool>::default(), Arc::default(), Arc::default());
        let shared = (Arc::clone(&stop), Arc::clone(&bytes), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            let (stop, bytes, ended) = shared;
            read_all(quick, &stop, &bytes, &ended);
            drop(stalled);
        });
        Ok(Self { stop, bytes, ended, thread: Some(thread) })
    }

    /// Bytes read, and streams that ended.
    pub fn figures(&self) -> (u64, u64) {
        (self.bytes.load(Ordering::Relaxed), self.ended.load(Ordering::Relaxed))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn connect(port: u16, query: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).context("connect")?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let request = format!("GET /api/v1/tail?{query} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    let head = String::from_utf8_lossy(&head);
    ensure!(head.ends_with(" 200"), "the server answered {head}: are there too many readers?");
    stream.set_nonblocking(true)?;
    Ok(stream)
}

fn read_all(mut streams: Vec<TcpStream>, stop: &AtomicBool, bytes: &AtomicU64, ended: &AtomicU64) {
    let mut buffer = vec![0; 256 << 10];
    while !stop.load(Ordering::Relaxed) {
        streams.retain_mut(|stream| {
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(read) => {
                        bytes.fetch_add(read as u64, Ordering::Relaxed);
                        if read < buffer.len() {
                            return true;
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                    Err(_) => break,
                }
            }
            ended.fetch_add(1, Ordering::Relaxed);
            false
        });
        thread::sleep(PACE);
    }
}

/// The server's own figures of the live tail, `name value` a line.
///
/// # Errors
/// It does not answer.
pub fn figures(server: &Server) -> Result<String> {
    let text = ureq::get(server.url("/metrics")).call()?.body_mut().read_to_string()?;
    let own = text.lines().filter(|line| line.starts_with("spanlake_tail_"));
    Ok(own.map(|line| format!("{line}\n")).collect())
}
