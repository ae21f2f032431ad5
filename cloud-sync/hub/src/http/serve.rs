//! Connections: taken in, encrypted where there is a certificate, served, and ended in stages.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use super::Peer;

/// Each connection holds some 100 KiB at worst. More wait in the system's queue.
const MOST_CONNECTIONS: usize = 1024;

/// A handshake is two round trips; over a bad line some seconds.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A connection without a request for this long is ended. An agent asks once a minute.
const IDLE: Duration = Duration::from_secs(75);

/// After an error of the listener, such as no file left to open.
const BREATHER: Duration = Duration::from_millis(50);

/// Serves until `stop`, then lets what is under way end until `grace` is over.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    stop: impl Future<Output = ()>,
    grace: Duration,
) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        tokio::select! {
            () = &mut stop => break,
            (accepted, place) = accepted => match accepted {
                Ok((stream, peer)) => {
                    let connection = Connection { peer, router: router.clone(), stopped: stopped.clone() };
                    let tls = tls.clone();
                    connections.spawn(async move {
                        connection.run(stream, tls).await;
                        drop(place);
                    });
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
    stopped: watch::Receiver<bool>,
}

impl Connection {
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        // Answers are written whole; waiting for more of one only delays it.
        let _ = stream.set_nodelay(true);
        let Some(tls) = tls else { return self.speak(stream).await };
        match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.speak(stream).await,
            Ok(Err(error)) => tracing::debug!(peer = %self.peer, %error, "no TLS"),
            Err(_) => tracing::debug!(peer = %self.peer, "no TLS in time"),
        }
    }

    async fn speak(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Connection { peer, router, mut stopped } = self;
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer.ip()));
            let mut router = router.clone();
            async move { router.call(Request::from(request.map(axum::body::Body::new))).await }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(IDLE);
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
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
