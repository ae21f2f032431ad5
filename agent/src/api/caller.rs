//! Caller of a request: how its connection came in, and whether it may change something.

use std::net::SocketAddr;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;

use super::problem::Problem;

/// How a request came in. Each connection puts it into the extensions of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Over the Unix socket: the mode of its file says who may open it.
    Socket,
    /// Over TCP, from this address: reads, and changes nothing.
    #[cfg_attr(not(test), expect(dead_code, reason = "the agent listens on its socket alone so far"))]
    Tcp(SocketAddr),
}

/// Argument of a handler that changes something: a caller that may.
pub(super) struct MayChange;

impl<S: Sync> FromRequestParts<S> for MayChange {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<MayChange, Problem> {
        match parts.extensions.get() {
            Some(Caller::Socket) => Ok(MayChange),
            Some(Caller::Tcp(address)) => {
                let detail =
                    format!("{address} may read and change nothing; expected a request over the agent's socket");
                Err(Problem::new(StatusCode::FORBIDDEN, detail))
            }
            None => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the connection does not say whose it is")),
        }
    }
}
