//! `tilth-hub serve`: configure, start, serve, stop.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;
use tilth_notify::secret::Secrets;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;

use super::open;
use crate::cli::Serve;
use crate::clock;
use crate::db::Database;
use crate::domain::ingest::quota::Quota;
use crate::exit::{self, Exit};
use crate::http::extract::limits::MAX_KNOWN;
use crate::http::server::address::Proxies;
use crate::http::server::tls::{Tls, how_to_make};
use crate::http::server::{MAX_CONNECTIONS, OTHER_FILES, Served};
use crate::http::{self, ApiState, server};
use crate::paging;

/// Time from the signal to the end of the last connection.
const CONNECTIONS_END: Duration = Duration::from_millis(1500);

/// Time from the signal to the end of the last write.
const ALL_END: Duration = Duration::from_millis(2500);

/// Time between two searches for expired rows, which expire by days.
const PRUNE_EVERY: Duration = Duration::from_secs(600);

/// Time between two steps of deleting, so that batches come first.
const NEXT_STEP: Duration = Duration::from_millis(200);

pub(crate) fn run(wanted: &Serve) -> anyhow::Result<Exit> {
    if wanted.tls_cert.is_none() && !wanted.listen.ip().is_loopback() {
        exit::tell(format_args!(
            "tilth-hub: {}: keys must not cross a network unencrypted; expected --tls-cert and --tls-key, or a loopback address. {}",
            wanted.listen,
            how_to_make(Path::new("hub.pem"), Path::new("hub-tls.key"))
        ));
        return Ok(Exit::Usage);
    }
    log_to_stderr(wanted.log);
    let data = wanted.data.dir();
    let tls = match (&wanted.tls_cert, &wanted.tls_key) {
        (Some(certificate), Some(key)) => Some(Arc::new(Tls::open(certificate, key)?)),
        _ => None,
    };
    let quota = Quota { sensors: wanted.device_sensors, rows: wanted.device_rows };
    let key = data.read_signing_key()?;
    let lock = data.lock()?;
    let known = open(&data)?.known_keys(MAX_KNOWN)?;
    let state = Arc::new(ApiState::new(Database::start(&data.database())?, key, known, quota));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime")?;
    let stopping = runtime.block_on(async {
        let listener =
            TcpListener::bind(wanted.listen).await.with_context(|| format!("cannot listen on {}", wanted.listen))?;
        let address = listener.local_addr()?;
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        exit::line(format_args!("listening on {address}"))?;
        tell_systemd(&NotifyState::Ready);
        tracing::info!(%address, tls = tls.is_some(), "serving");
        let (told, tell) = tokio::sync::oneshot::channel();
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            let _ = told.send(Instant::now());
            tell_systemd(&NotifyState::Stopping);
            tracing::info!("stopping");
        };
        let proxies = Arc::new(Proxies(wanted.trusted_proxies.clone()));
        let max_connections = max_connections();
        let fresh = tls.clone().map(|tls| tokio::spawn(tls.keep_fresh()));
        let served = Served { listener, tls, router: http::router(Arc::clone(&state)), proxies, max_connections };
        let pruning = tokio::spawn(prune(Arc::clone(&state)));
        let paging = tokio::spawn(paging::run(Arc::clone(&state), Secrets::of(data.folder())));
        let watchdog = tokio::spawn(feed_watchdog(Arc::clone(&state)));
        server::serve(served, stop, CONNECTIONS_END).await;
        watchdog.abort();
        pruning.abort();
        paging.abort();
        if let Some(task) = fresh {
            task.abort();
        }
        anyhow::Ok(tell.await.unwrap_or_else(|_| Instant::now()))
    })?;
    // Aborted requests hold the state until their tasks end.
    runtime.shutdown_timeout(Duration::from_millis(200));
    if let Some(state) = Arc::into_inner(state) {
        state.into_database().stop(stopping + ALL_END);
    }
    tracing::info!("stopped");
    drop(lock);
    Ok(Exit::Done)
}

/// Feeds systemd's watchdog while the database answers, be it with an error: a restart mends no disk, but it ends a hang.
async fn feed_watchdog(state: Arc<ApiState>) {
    let Some(timeout) = sd_notify::watchdog_enabled() else { return };
    loop {
        let _ = state.database().epoch().await;
        tell_systemd(&NotifyState::Watchdog);
        tokio::time::sleep(timeout / 3).await;
    }
}

/// Tells systemd, where it started the hub.
fn tell_systemd(state: &NotifyState) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::warn!(%error, "systemd cannot be told the state of the hub");
    }
}

/// Deletes expired rows, step by step.
async fn prune(state: Arc<ApiState>) {
    loop {
        let has_more = state.database().prune(clock::now()).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot delete expired rows; will try again");
            false
        });
        tokio::time::sleep(if has_more { NEXT_STEP } else { PRUNE_EVERY }).await;
    }
}

/// Maximum number of connections under the limit of open files, which is raised if possible.
fn max_connections() -> usize {
    let wanted = (MAX_CONNECTIONS + OTHER_FILES) as u64;
    let limits = getrlimit(Resource::Nofile);
    let most = limits.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let has = limits.current.unwrap_or(wanted);
    if has >= wanted {
        return MAX_CONNECTIONS;
    }
    let has = match setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limits.maximum }) {
        Ok(()) => most,
        Err(_) => has,
    };
    let connections = usize::try_from(has).unwrap_or(MAX_CONNECTIONS).saturating_sub(OTHER_FILES).max(1);
    if connections < MAX_CONNECTIONS {
        tracing::warn!(files = has, connections, "the limit of open files is low: fewer connections are accepted");
    }
    connections
}

/// Starts the log. In systemd's journal lines carry no time: the journal adds it.
fn log_to_stderr(level: Level) {
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    if std::env::var_os("JOURNAL_STREAM").is_some() { lines.without_time().init() } else { lines.init() }
}
