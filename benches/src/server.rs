//! The server under measurement: a process of its own, watched through `/proc`.
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;

use crate::limit::CpuLimit;

/// A running `spanlake serve`.
#[derive(Debug)]
pub struct Server {
    child: Child,
    folder: PathBuf,
    limit: Option<CpuLimit>,
    /// Port of OTLP/gRPC.
    pub grpc_port: u16,
    /// Port of OTLP/HTTP.
    pub otlp_port: u16,
    /// Port of the API.
    pub api_port: u16,
}

impl Server {
    /// Starts `binary serve` on `folder` with free ports and waits until it is ready.
    ///
    /// # Errors
    /// It did not start within a minute; its log is `server.log` beside the folder.
    pub fn start(binary: &Path, folder: &Path, extra: &[String]) -> Result<Self> {
        let ports = free_ports()?;
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent)?;
        }
        let log = fs::File::create(folder.with_extension("log"))?;
        let mut command = Command::new(binary);
        command.arg("serve").arg("--data").arg(folder).args(extra);
        command.arg("--sampling-listen").arg("off");
        for (door, port) in ["grpc", "http", "zipkin", "ui"].iter().zip(ports) {
            command.arg(format!("--{door}-listen")).arg(format!("127.0.0.1:{port}"));
        }
        let child = command
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log))
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        let [grpc_port, otlp_port, _, api_port] = ports;
        let mut server =
            Self { child, folder: folder.to_owned(), limit: None, grpc_port, otlp_port, api_port };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        for _ in 0..600 {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "the server ended with {status}; see {}",
                    self.folder.with_extension("log").display()
                );
            }
            if ureq::get(self.url("/readyz")).call().is_ok() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        bail!("the server was not ready within a minute")
    }

    /// Holds it to so many cores from now on.
    ///
    /// # Errors
    /// That is not possible here.
    pub fn limit_cpu(&mut self, cpus: f64) -> Result<()> {
        self.limit = Some(CpuLimit::new(self.child.id(), cpus)?);
        Ok(())
    }

    /// Address of an API path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.api_port)
    }

    /// Writes everything hot into files and commits it.
    ///
    /// # Errors
    /// The server refused.
    pub fn flush(&self) -> Result<()> {
        self.admin("/api/v1/flush", "").map(drop)
    }

    /// Posts `body` as the administrator, and returns the answer.
    ///
    /// # Errors
    /// The server refused.
    pub fn admin(&self, path: &str, body: &str) -> Result<Value> {
        let log = fs::read_to_string(self.folder.with_extension("log"))?;
        let token = log
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
            .find(|word| word.starts_with("trc_"))
            .context("the log holds the admin token of the first start")?;
        let request = ureq::post(self.url(path)).header("authorization", format!("Bearer {token}"));
        let mut answer = match body {
            "" => request.send_empty()?,
            body => request.content_type("application/json").send(body)?,
        };
        Ok(serde_json::from_str(&answer.body_mut().read_to_string()?)?)
    }

    /// CPU seconds used so far, all threads, user and system.
    ///
    /// # Errors
    /// `/proc` is not there.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> =
            stat.rsplit_once(')').context("a stat line")?.1.split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        Ok(ticks / 100.0)
    }

    /// Begins the peak of memory anew.
    ///
    /// # Errors
    /// `/proc` is not there.
    pub fn forget_peak_memory(&self) -> Result<()> {
        let file = format!("/proc/{}/clear_refs", self.child.id());
        fs::write(&file, "5").context(file)
    }

    /// Largest resident memory so far (since [`Self::forget_peak_memory`]), in bytes.
    ///
    /// # Errors
    /// `/proc` is not there.
    pub fn peak_memory_bytes(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("VmHWM")?;
        let kib: u64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
        Ok(kib * 1024)
    }

    /// Bytes of the table's Parquet files and number of them; then bytes of everything else beside them.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn disk(&self) -> Result<Disk> {
        let mut disk = Disk::default();
        walk(&self.folder.join("default/spans"), &mut disk)?;
        Ok(disk)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What lies in the table's folder.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub struct Disk {
    /// Parquet files of spans.
    pub files: u64,
    /// Their bytes.
    pub parquet_bytes: u64,
    /// Sidecars and the Delta log.
    pub other_bytes: u64,
}

fn walk(folder: &Path, disk: &mut Disk) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if path.is_dir() {
            walk(&path, disk)?;
            continue;
        }
        let bytes = entry.metadata()?.len();
        let in_log = path.components().any(|part| part.as_os_str() == "_delta_log");
        if path.extension().is_some_and(|extension| extension == "parquet") && !in_log {
            disk.files += 1;
            disk.parquet_bytes += bytes;
        } else {
            disk.other_bytes += bytes;
        }
    }
    Ok(())
}

fn free_ports() -> Result<[u16; 4]> {
    let mut listeners = Vec::new();
    for _ in 0..4 {
        listeners.push(TcpListener::bind("127.0.0.1:0")?);
    }
    let mut ports = [0; 4];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}
