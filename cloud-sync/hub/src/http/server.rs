//! Connections: taken in, encrypted where there is a certificate, served, and ended in stages.

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
use self::progress::Watched;
use self::slots::{Place, Places};
use self::tls::Tls;
use super::extract::caller::Peer;

/// Each connection holds some 100 KiB at worst.
pub(crate) const MOST_CONNECTIONS: usize = 1024;

/// Connections of one address. A farm behind one address has some devices, each with one connection.
const EACH: usize = 64;

/// Files that are open beside connections: the database, the listener, the log.
pub(crate) const OTHER_FILES: usize = 64;

/// A handshake is two round trips; over a bad line some seconds.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The longest head of a request, in bytes. An agent's has some 500.
const MAX_HEAD: usize = 16 << 10;

/// After an error of the listener, such as no file left to open.
const BREATHER: Duration = Duration::from_millis(50);

/// What is served, and to how many at once.
pub(crate) struct Served {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) router: Router,
    pub(crate) proxies: Arc<Proxies>,
    /// Connections in all.
    pub(crate) most: usize,
}

/// Serves until `stop`, then lets what is under way end until `grace` is over.
pub(crate) async fn serve(served: Served, stop: impl Future<Output = ()>, grace: Duration) {
    let Served { listener, tls, router, proxies, most } = served;
    let places = Places::new(most, EACH);
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let network = Some(Network::of(peer.ip())).filter(|_| !proxies.contains(peer.ip()));
                    let Some(place) = places.take(network) else {
                        tracing::debug!(%peer, "no place for another connection");
                        continue;
                    };
                    let (router, stopped) = (router.clone(), stopped.clone());
                    let connection = Connection { peer, router, proxies: Arc::clone(&proxies), stopped, place };
                    let tls = tls.as_ref().map(|tls| tls.acceptor());
                    connections.spawn(connection.run(stream, tls));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not taken in");
                    tokio::time::sleep(BREATHER).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    // Nobody may be listening any more.
    let _ = stopping.send(true);
    let end = Instant::now() + grace;
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout_at(end.into(), all_ended).await.is_err() {
        tracing::warn!(count = connections.len(), "connections cut off");
        connections.abort_all();
    }
}

/// One connection.
struct Connection {
    peer: SocketAddr,
    router: Router,
    proxies: Arc<Proxies>,
    stopped: watch::Receiver<bool>,
    place: Place,
}

impl Connection {
    /// Serves it until it ends, takes too long, or has to make room.
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let (peer, watch, must_go) = (self.peer, Arc::clone(&self.place.watch), Arc::clone(&self.place.must_go));
        // Answers are written whole; waiting for more of one only delays it.
        let _ = stream.set_nodelay(true);
        tokio::select! {
            () = self.speak_over(stream, tls) => {}
            () = watch.expired() => tracing::debug!(%peer, "connection took too long"),
            () = must_go.notified() => tracing::debug!(%peer, "connection made room for another"),
        }
    }

    async fn speak_over(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let Some(tls) = tls else { return self.speak(stream).await };
        match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                self.place.watch.begin();
                self.speak(stream).await;
            }
            Ok(Err(error)) => tracing::debug!(peer = %self.peer, %error, "no TLS"),
            Err(_) => tracing::debug!(peer = %self.peer, "no TLS in time"),
        }
    }

    async fn speak(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Connection { peer, router, proxies, mut stopped, place } = self;
        let watch = Arc::clone(&place.watch);
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            watch.asked();
            let address = proxies.client(peer.ip(), request.headers());
            request.extensions_mut().insert(Peer { address, connection: Arc::clone(&watch) });
            let (mut router, watch) = (router.clone(), Arc::clone(&watch));
            async move {
                let answer = router.call(Request::from(request.map(axum::body::Body::new))).await;
                watch.answered();
                answer
            }
        });
        let stream = TokioIo::new(Watched::new(stream, Arc::clone(&place.watch)));
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
