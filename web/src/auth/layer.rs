//! The tower layer around routes: axum's and, in the server, the doors of ingest.
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use tower::{Layer, Service, ServiceExt};

use super::{Auth, Role};

/// Asks for a role; see [`Auth::layer`].
#[derive(Debug, Clone)]
pub struct AuthLayer {
    auth: Auth,
    role: Role,
}

impl AuthLayer {
    pub(super) fn new(auth: Auth, role: Role) -> Self {
        Self { auth, role }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;
    fn layer(&self, inner: S) -> Self::Service {
        AuthService { auth: self.auth.clone(), role: self.role, inner }
    }
}

/// A service behind an [`AuthLayer`].
#[derive(Debug, Clone)]
pub struct AuthService<S> {
    auth: Auth,
    role: Role,
    inner: S,
}

impl<S> Service<Request<Body>> for AuthService<S>
where
    S: Service<Request<Body>, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.auth.check(self.role, request.headers(), address(&request)) {
            Ok(()) => Box::pin(self.inner.clone().oneshot(request)),
            Err(error) => Box::pin(async move { Ok(error.into_response()) }),
        }
    }
}

/// The peer, as the listener noted it.
fn address(request: &Request<Body>) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip())
}
