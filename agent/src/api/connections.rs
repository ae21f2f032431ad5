//! The connections: bounded in number, in the length of what is asked, and in patience. Nothing here is waited for by decide.

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

use super::activity::{Activity, Noted};
use super::caller::Caller;
use super::handlers;
use super::problem::Problem;
use super::socket::{self, Taken};
use super::state::ApiState;

/// Connections at once. One more makes room: the one that has asked nothing, or taken nothing, for longest is hung up on, and
/// never one that waits for its first answer.
const MAX_CONNECTIONS: usize = 32;

/// Bytes of a request's body, and of its head: a note of a page takes less.
const MAX_REQUEST: usize = 64 * 1024;

/// How long one more connection waits for room while all others wait for their first answers, which take milliseconds; and
/// between two looks whether there is room.
const ROOM: Duration = Duration::from_secs(2);
const ROOM_AGAIN: Duration = Duration::from_millis(10);

/// How often the bytes written are noted.
const METER: Duration = Duration::from_secs(60);

/// Serves until it is dropped, and with it every connection and the socket.
pub(crate) async fn run(mut taken: Taken, state: Arc<ApiState>) {
    let mut connections = Connections::new(handlers::router(Arc::clone(&state)));
    let mut again = Box::pin(socket::again(taken.path.clone()));
    let mut meter = interval(METER);
    meter.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            accepted = taken.listener.accept() => match accepted {
                Ok((stream, _)) => connections.serve(stream, Caller::Socket).await,
                // Out of descriptors, perhaps: there will be some again.
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

/// The connections, whatever they came over: one limit holds for all.
struct Connections {
    router: Router,
    held: Vec<Held>,
    tasks: JoinSet<()>,
}

/// A connection, seen from outside.
struct Held {
    activity: Arc<Activity>,
    task: AbortHandle,
}

impl Connections {
    fn new(router: Router) -> Connections {
        Connections { router, held: Vec::new(), tasks: JoinSet::new() }
    }

    /// Serves one more connection once there is room, else turns it away.
    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&mut self, stream: S, caller: Caller) {
        if !self.find_room().await {
            return self.turn_away(stream);
        }
        let activity = Arc::new(Activity::new());
        let served = converse(stream, self.router.clone(), caller, Arc::clone(&activity));
        let of_task = Arc::clone(&activity);
        let task = self.tasks.spawn(async move {
            tokio::select! {
                () = served => {}
                () = of_task.expired() => {}
            }
        });
        self.held.push(Held { activity, task });
    }

    /// Room for one more connection; waits for it as long as each of the others waits for its first answer, at most [`ROOM`].
    async fn find_room(&mut self) -> bool {
        let began = Instant::now();
        loop {
            self.held.retain(|held| !held.task.is_finished());
            if self.held.len() < MAX_CONNECTIONS || self.make_room() {
                return true;
            }
            if began.elapsed() >= ROOM {
                return false;
            }
            sleep(ROOM_AGAIN).await;
        }
    }

    /// Hangs up on the first one that may go; says whether there was one.
    fn make_room(&mut self) -> bool {
        let ranks = self.held.iter().enumerate();
        let first = ranks.filter_map(|(place, held)| Some((held.activity.rank()?, place))).min();
        let Some((_, place)) = first else { return false };
        self.held.swap_remove(place).task.abort();
        true
    }

    /// Answers that there is no room, to as many at once as there are connections.
    fn turn_away<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&mut self, stream: S) {
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

/// Answers until the other side hangs up. What is no HTTP is answered by hyper and ends the connection.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    router: Router,
    caller: Caller,
    activity: Arc<Activity>,
) {
    let stream = TokioIo::new(Noted::new(stream, Arc::clone(&activity)));
    let service = service_fn(move |request| {
        let (router, activity) = (router.clone(), Arc::clone(&activity));
        async move { answer(request, router, caller, &activity).await }
    });
    // The time of day may not be known.
    let mut http = http1::Builder::new();
    http.max_buf_size(MAX_REQUEST).auto_date_header(false);
    let _ = http.serve_connection(stream, service).await;
}

/// A request is handed on once it is there as a whole: until then its connection makes room for others.
async fn answer(
    request: hyper::Request<Incoming>,
    mut router: Router,
    caller: Caller,
    activity: &Activity,
) -> Result<Response, Infallible> {
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(caller);
    // A body that broke off has nobody left to read the answer.
    let Ok(body) = Limited::new(body, MAX_REQUEST).collect().await else {
        let detail = format!("a request is longer than {MAX_REQUEST} bytes");
        return Ok(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail).into_response());
    };
    activity.asked();
    let answer = router.call(Request::from_parts(parts, Body::from(body.to_bytes()))).await?;
    let media_type = answer.headers().get(header::CONTENT_TYPE);
    activity.answered(media_type == Some(&HeaderValue::from_static("text/event-stream")));
    Ok(answer)
}
