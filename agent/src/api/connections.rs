//! Connections of the API: bounded in number, request size and time. Decide never waits for them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tower_service::Service;
use tracing::warn;

use super::activity::{Activity, TrackedStream};
use super::caller::Caller;
use super::handlers;
use super::problem::Problem;
use super::socket::{self, Taken};
use super::state::ApiState;

/// Most connections. One more closes the connection that has been idle for longest, never one that waits for its first answer.
const MAX_CONNECTIONS: usize = 32;

/// Largest head and largest body of a request, in bytes; a note of a page takes less.
const MAX_REQUEST: usize = 64 * 1024;

/// Longest wait of one more connection for room while all others wait for their first answers, and the interval of the check.
const ROOM: Duration = Duration::from_secs(2);
const ROOM_AGAIN: Duration = Duration::from_millis(10);

/// Interval at which the bytes written by the process are recorded.
const METER: Duration = Duration::from_secs(60);

/// Serves until dropped, which closes every connection and the socket.
pub(crate) async fn run(mut taken: Taken, state: Arc<ApiState>) {
    let router = handlers::router(Arc::clone(&state));
    let mut connections = Connections { router, open: Vec::new(), tasks: JoinSet::new() };
    let mut again = Box::pin(socket::again(taken.path.clone()));
    let mut meter = interval(METER);
    meter.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            accepted = taken.listener.accept() => match accepted {
                Ok((stream, _)) => connections.serve(stream, Caller::Socket).await,
                // File descriptors may have run out; wait for free ones.
                Err(_) => sleep(Duration::from_secs(1)).await,
            },
            Some(_) = connections.tasks.join_next(), if !connections.tasks.is_empty() => {}
            _ = meter.tick() => state.meter(),
            listener = &mut again => {
                taken.listener = listener;
                again.set(socket::again(taken.path.clone()));
                warn!("the control socket was deleted and is there again");
            }
        }
    }
}

/// All connections, over the socket and TCP, with one limit.
struct Connections {
    router: Router,
    open: Vec<(Arc<Activity>, AbortHandle)>,
    tasks: JoinSet<()>,
}

impl Connections {
    /// Serves one more connection once there is room, else rejects it.
    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&mut self, stream: S, caller: Caller) {
        if !self.find_room().await {
            return self.reject(stream);
        }
        let activity = Arc::new(Activity::new());
        let served = serve_http(stream, self.router.clone(), caller, Arc::clone(&activity));
        let of_task = Arc::clone(&activity);
        let task = self.tasks.spawn(async move {
            tokio::select! {
                () = served => {}
                () = of_task.expired() => {}
            }
        });
        self.open.push((activity, task));
    }

    /// Finds room for one more connection; waits at most [`ROOM`] while all others wait for their first answers.
    async fn find_room(&mut self) -> bool {
        let began = Instant::now();
        loop {
            self.open.retain(|(_, task)| !task.is_finished());
            if self.open.len() < MAX_CONNECTIONS || self.make_room() {
                return true;
            }
            if began.elapsed() >= ROOM {
                return false;
            }
            sleep(ROOM_AGAIN).await;
        }
    }

    /// Closes the connection that may go first. Returns whether there was one.
    fn make_room(&mut self) -> bool {
        let ranks = self.open.iter().enumerate();
        let first = ranks.filter_map(|(place, (activity, _))| Some((activity.rank()?, place))).min();
        let Some((_, place)) = first else { return false };
        self.open.swap_remove(place).1.abort();
        true
    }

    /// Answers 503 to a connection without room; at most as many at once as there are connections.
    fn reject<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&mut self, stream: S) {
        if self.tasks.len() >= 2 * MAX_CONNECTIONS {
            return;
        }
        let busy = service_fn(|_| async {
            let detail = format!("{MAX_CONNECTIONS} others are asking; try again");
            Ok::<_, Infallible>(Problem::unavailable(detail).into_response())
        });
        let answered = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), busy);
        self.tasks.spawn(async { drop(timeout(ROOM, answered).await) });
    }
}

/// Serves requests until the client closes the connection. Hyper answers bytes that are not HTTP and closes it.
async fn serve_http<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    router: Router,
    caller: Caller,
    activity: Arc<Activity>,
) {
    let stream = TokioIo::new(TrackedStream { stream, activity: Arc::clone(&activity) });
    let service = service_fn(move |request| {
        let (router, activity) = (router.clone(), Arc::clone(&activity));
        async move { answer(request, router, caller, &activity).await }
    });
    // No Date header: the clock may not be trusted.
    let mut http = http1::Builder::new();
    http.max_buf_size(MAX_REQUEST).auto_date_header(false);
    let _ = http.serve_connection(stream, service).await;
}

/// Passes a request on once it is complete; until then its connection counts as idle.
async fn answer(
    request: hyper::Request<Incoming>,
    mut router: Router,
    caller: Caller,
    activity: &Activity,
) -> Result<Response, Infallible> {
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(caller);
    // A body that broke off ends here, too: its client is gone.
    let Ok(body) = Limited::new(body, MAX_REQUEST).collect().await else {
        let detail = format!("a request is longer than {MAX_REQUEST} bytes");
        return Ok(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail).into_response());
    };
    activity.requested();
    let answer = router.call(Request::from_parts(parts, Body::from(body.to_bytes()))).await?;
    let media_type = answer.headers().get(header::CONTENT_TYPE);
    activity.answered(media_type == Some(&HeaderValue::from_static("text/event-stream")));
    Ok(answer)
}
