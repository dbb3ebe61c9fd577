//! Hardened listeners: an accept loop that survives, limits on connections, and an orderly end.
//!
//! `axum::serve` sets no timers; here a slow, idle or silent peer loses its connection, and no peer
//! can take them all.
mod activity;
mod body;
mod connection;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use storage::metrics::{Counter, Metric, Shape};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use web::Postgres;

use crate::config::HttpLimits;

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// Not yet.
    Run,
    /// Take no more; finish what is in flight.
    Drain,
    /// Leave at once.
    Now,
}

/// What is spoken behind a door.
#[derive(Debug, Clone)]
pub(crate) enum Speaks {
    /// HTTP, and gRPC over it.
    Http(Router),
    /// PostgreSQL's wire protocol.
    Postgres(Postgres),
}

/// All listeners of a process.
#[derive(Debug)]
pub(crate) struct Listeners {
    limits: Arc<HttpLimits>,
    connections: Arc<Connections>,
    tasks: TaskTracker,
    stop: watch::Sender<Stop>,
}

impl Listeners {
    /// No listener yet.
    pub(crate) fn new(limits: HttpLimits) -> Self {
        let (stop, _) = watch::channel(Stop::Run);
        let limits = Arc::new(limits);
        let connections = Arc::new(Connections::new(Arc::clone(&limits)));
        Self { limits, connections, tasks: TaskTracker::new(), stop }
    }

    /// Opens a door whose connections are served on `runtime`, and returns where it is (the port is chosen where it was
    /// 0).
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub(crate) async fn open(
        &self,
        at: SocketAddr,
        speaks: Speaks,
        runtime: &Handle,
    ) -> io::Result<SocketAddr> {
        let listener = runtime.spawn(TcpListener::bind(at)).await.map_err(io::Error::other)??;
        let bound = listener.local_addr()?;
        let door = Door {
            speaks,
            limits: Arc::clone(&self.limits),
            connections: Arc::clone(&self.connections),
            tasks: self.tasks.clone(),
            stop: self.stop.subscribe(),
        };
        self.tasks.spawn_on(door.accept(listener), runtime);
        Ok(bound)
    }

    /// A handle that ends everything at once.
    pub(crate) fn stopper(&self) -> watch::Sender<Stop> {
        self.stop.clone()
    }

    /// Figures for `/metrics`.
    pub(crate) fn figures(&self) -> impl Fn() -> Vec<Metric> + Send + Sync + 'static {
        let connections = Arc::clone(&self.connections);
        move || connections.figures()
    }

    /// Takes no more connections, lets requests in flight finish within the drain time, closes the rest.
    pub(crate) async fn close(self) {
        self.stop.send_if_modified(|stop| {
            let earlier = *stop;
            *stop = earlier.max(Stop::Drain);
            earlier != *stop
        });
        self.tasks.close();
        if tokio::time::timeout(self.limits.drain_time_max, self.tasks.wait()).await.is_err() {
            tracing::warn!(connections = self.connections.total(), "requests cut off at shutdown");
            let _ = self.stop.send(Stop::Now);
            self.tasks.wait().await;
        }
    }
}

struct Door {
    speaks: Speaks,
    limits: Arc<HttpLimits>,
    connections: Arc<Connections>,
    tasks: TaskTracker,
    stop: watch::Receiver<Stop>,
}

impl Door {
    async fn accept(mut self, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                _ = self.stop.wait_for(|stop| *stop >= Stop::Drain) => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let Some(permit) = Connections::admit(&self.connections, peer.ip()) else {
                        tracing::debug!(%peer, "connection refused: too many");
                        continue;
                    };
                    let (speaks, limits) = (self.speaks.clone(), Arc::clone(&self.limits));
                    let stop = self.stop.clone();
                    self.tasks.spawn(async move {
                        match speaks {
                            Speaks::Http(router) => {
                                connection::serve(stream, peer, router, limits, stop).await;
                            }
                            Speaks::Postgres(door) => postgres(stream, peer, door, stop).await,
                        }
                        drop(permit);
                    });
                }
                Err(error) if of_the_peer(&error) => {}
                Err(error) => {
                    // Out of file descriptors, most likely: they come back as connections close.
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
}

/// A session of the PostgreSQL door; it leaves when it has nothing to do and the server stops.
async fn postgres(
    stream: TcpStream,
    peer: SocketAddr,
    door: Postgres,
    mut stop: watch::Receiver<Stop>,
) {
    let _ = stream.set_nodelay(true);
    let mut draining = stop.clone();
    let ending = async move {
        let _ = draining.wait_for(|stop| *stop >= Stop::Drain).await;
    };
    tokio::select! {
        () = door.serve(stream, peer, ending) => {}
        _ = stop.wait_for(|stop| *stop >= Stop::Now) => {}
    }
}

/// Errors that belong to the connection which was about to be accepted.
fn of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Open connections, in all and by address.
#[derive(Debug)]
struct Connections {
    limits: Arc<HttpLimits>,
    open: Mutex<(usize, HashMap<IpAddr, usize>)>,
    refused: Counter,
}

impl Connections {
    fn new(limits: Arc<HttpLimits>) -> Self {
        Self { limits, open: Mutex::default(), refused: Counter::default() }
    }

    fn total(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    #[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
    fn figures(&self) -> Vec<Metric> {
        let open = Metric {
            name: "spanlake_connections",
            help: "Open connections of all doors.",
            shape: Shape::Gauge,
            labels: Vec::new(),
            value: self.total() as f64,
        };
        let help = "Connections closed at once because there were too many.";
        vec![open, self.refused.metric("spanlake_connections_refused_total", help)]
    }

    fn admit(connections: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        let limits = &connections.limits;
        let mut open = connections.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (total, by_address) = &mut *open;
        let of_address = by_address.entry(address).or_default();
        if *total >= limits.connections_max || *of_address >= limits.connections_per_address_max {
            if *of_address == 0 {
                by_address.remove(&address);
            }
            connections.refused.add(1);
            return None;
        }
        *total += 1;
        *of_address += 1;
        Some(Permit { connections: Arc::clone(connections), address })
    }
}

/// One open connection.
struct Permit {
    connections: Arc<Connections>,
    address: IpAddr,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.0 -= 1;
        if let Some(of_address) = open.1.get_mut(&self.address) {
            *of_address -= 1;
            if *of_address == 0 {
                open.1.remove(&self.address);
            }
        }
    }
}
