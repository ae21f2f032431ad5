//! Connections: accept, TLS, HTTP, and a staged stop.

pub(crate) mod address;
pub(super) mod progress;
mod slots;
pub(crate) mod tls;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use self::address::{Network, Proxies};
use self::progress::TrackedStream;
use self::slots::{ConnectionSlot, ConnectionSlots};
use self::tls::Tls;
use super::extract::caller::Peer;

/// Maximum number of connections; each takes at most some 100 KiB.
pub(crate) const MAX_CONNECTIONS: usize = 1024;

/// Maximum number of connections per network. A farm has some devices behind one address, each with one connection.
const MAX_PER_NETWORK: usize = 64;

/// Open files beside connections: the database, the listener, the log.
pub(crate) const OTHER_FILES: usize = 64;

/// Timeout of a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Maximum size of a request's head, in bytes. An agent's has some 500.
const MAX_HEAD: usize = 16 << 10;

/// Pause after an error of the listener, such as too many open files.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Parts of the server.
pub(crate) struct Served {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) router: Router,
    pub(crate) proxies: Arc<Proxies>,
    /// Maximum number of connections.
    pub(crate) max_connections: usize,
}

/// Serves until `stop`, then waits for open connections, at most for `grace`.
pub(crate) async fn serve(served: Served, stop: impl Future<Output = ()>, grace: Duration) {
    let Served { listener, tls, router, proxies, max_connections } = served;
    let slots = ConnectionSlots::new(max_connections, MAX_PER_NETWORK);
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let network = Some(Network::of(peer.ip())).filter(|_| !proxies.contains(peer.ip()));
                    let Some(slot) = slots.take(network) else {
                        tracing::debug!(%peer, "connection rejected: too many are open");
                        continue;
                    };
                    let (router, stopped) = (router.clone(), stopped.clone());
                    let connection = Connection { peer, router, proxies: Arc::clone(&proxies), stopped, slot };
                    let tls = tls.as_ref().map(|tls| tls.acceptor());
                    connections.spawn(connection.run(stream, tls));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    // All connections may have ended.
    let _ = stopping.send(true);
    let end = Instant::now() + grace;
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout_at(end.into(), all_ended).await.is_err() {
        tracing::warn!(count = connections.len(), "connections closed at the end of the stop");
        connections.abort_all();
    }
}

/// One connection.
struct Connection {
    peer: SocketAddr,
    router: Router,
    proxies: Arc<Proxies>,
    stopped: watch::Receiver<bool>,
    slot: ConnectionSlot,
}

impl Connection {
    /// Serves the connection until it ends, a timeout ends, or it is evicted.
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let (peer, progress, evicted) = (self.peer, Arc::clone(&self.slot.progress), Arc::clone(&self.slot.evicted));
        // Answers are written whole; waiting for more of one only delays it.
        let _ = stream.set_nodelay(true);
        tokio::select! {
            () = self.accept_tls(stream, tls) => {}
            () = progress.expired() => tracing::debug!(%peer, "connection timed out"),
            () = evicted.notified() => tracing::debug!(%peer, "connection evicted"),
        }
    }

    async fn accept_tls(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let Some(tls) = tls else { return self.serve_http(stream).await };
        match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                self.slot.progress.begin();
                self.serve_http(stream).await;
            }
            Ok(Err(error)) => tracing::debug!(peer = %self.peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(peer = %self.peer, "TLS handshake timed out"),
        }
    }

    async fn serve_http(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Connection { peer, router, proxies, mut stopped, slot } = self;
        let progress = Arc::clone(&slot.progress);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            progress.asked();
            let address = proxies.client(peer.ip(), request.headers());
            request.extensions_mut().insert(Peer { address, connection: Arc::clone(&progress) });
            let (mut router, progress) = (router.clone(), Arc::clone(&progress));
            async move {
                let answer = router.call(Request::from(request.map(axum::body::Body::new))).await;
                progress.answered();
                answer
            }
        });
        let stream = TokioIo::new(TrackedStream::new(stream, Arc::clone(&slot.progress)));
        let mut connection =
            std::pin::pin!(http1::Builder::new().max_buf_size(MAX_HEAD).serve_connection(stream, service));
        tokio::select! {
            ended = &mut connection => return log(peer, ended),
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
        connection.as_mut().graceful_shutdown();
        log(peer, connection.await);
    }
}

fn log(peer: SocketAddr, ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
}
