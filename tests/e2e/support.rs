//! One `spanlake serve` process, its ports, and calls to it.
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const START_LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn spanlake() -> Command {
    Command::new(env!("CARGO_BIN_EXE_spanlake"))
}

/// Runs one command to its end and returns what it printed; fails with its errors.
#[track_caller]
pub(crate) fn run(arguments: &[&str]) -> String {
    let output = spanlake().args(arguments).output().expect("the binary runs");
    assert!(
        output.status.success(),
        "spanlake {arguments:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The folder of real data sets, or `None` (said aloud) where it is absent.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(crate) fn data_sets() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests find their data by it")]
    let named = std::env::var("SPANLAKE_TEST_DATA").ok().map(PathBuf::from);
    let folder =
        named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"));
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: {} is absent; set SPANLAKE_TEST_DATA", folder.display());
    None
}

pub(crate) struct Server {
    child: Child,
    pub(crate) ports: Ports,
    log: PathBuf,
}

#[derive(Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) grpc: u16,
    pub(crate) http: u16,
    pub(crate) zipkin: u16,
    pub(crate) ui: u16,
    pub(crate) sampling: u16,
}

impl Ports {
    /// Ports that were free a moment ago.
    pub(crate) fn free() -> Self {
        let listeners: Vec<TcpListener> =
            (0..5).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
        let port = |index: usize| listeners[index].local_addr().expect("bound").port();
        Self { grpc: port(0), http: port(1), zipkin: port(2), ui: port(3), sampling: port(4) }
    }

    pub(crate) fn flags(self) -> Vec<String> {
        [
            ("grpc", self.grpc),
            ("http", self.http),
            ("zipkin", self.zipkin),
            ("ui", self.ui),
            ("sampling", self.sampling),
        ]
        .iter()
        .flat_map(|(door, port)| [format!("--{door}-listen"), format!("127.0.0.1:{port}")])
        .collect()
    }
}

impl Server {
    /// Starts `spanlake COMMAND --data FOLDER EXTRA...` and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(command: &str, folder: &Path, extra: &[&str]) -> Self {
        let ports = Ports::free();
        let log = folder.with_extension("log");
        let out = File::options().create(true).append(true).open(&log).expect("log file");
        let child = spanlake()
            .arg(command)
            .arg("--data")
            .arg(folder)
            .args(ports.flags())
            .args(extra)
            .stdout(Stdio::from(out.try_clone().expect("log file")))
            .stderr(Stdio::from(out))
            .spawn()
            .expect("the binary starts");
        let mut server = Self { child, ports, log };
        server.wait_until_ready();
        server
    }

    #[track_caller]
    fn wait_until_ready(&mut self) {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("child") {
                panic!("the server ended with {status}:\n{}", self.log_text());
            }
            if ureq::get(self.url("/readyz")).call().is_ok() {
                return;
            }
            assert!(started.elapsed() < START_LIMIT, "not ready in time:\n{}", self.log_text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.ui)
    }

    #[track_caller]
    pub(crate) fn sql(&self, sql: &str) -> Vec<Value> {
        let mut answer = ureq::post(self.url("/api/v1/sql"))
            .config()
            .http_status_as_error(false)
            .build()
            .send(sql)
            .expect("an answer");
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(256 << 20).read_to_string().expect("text");
        assert!(status.is_success(), "{sql}: {status} {body}\n{}", self.log_text());
        serde_json::from_str(&body).expect("rows")
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        let mut answer = ureq::get(self.url(path)).call().expect("an answer");
        let body = answer.body_mut().with_config().limit(256 << 20).read_to_string().expect("text");
        serde_json::from_str(&body).expect("JSON")
    }

    /// `SIGKILL`, then waits until the process is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// `SIGTERM`, then waits for the exit.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signal");
        self.child.wait().expect("wait")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
