//! The caller of a request: how its connection came in.

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
    /// Over TCP, from this address.
    #[cfg_attr(not(test), expect(dead_code, reason = "the agent listens on its socket alone so far"))]
    Tcp(SocketAddr),
}

impl Caller {
    /// # Errors
    /// Over TCP anybody may connect, so nobody changes anything.
    pub(super) fn may_change(self) -> Result<(), Problem> {
        match self {
            Caller::Socket => Ok(()),
            Caller::Tcp(address) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                format!("{address} may read and change nothing; expected a request over the agent's socket"),
            )),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Problem> {
        let caller = parts.extensions.get().copied();
        caller.ok_or_else(|| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the connection does not say whose it is"))
    }
}
