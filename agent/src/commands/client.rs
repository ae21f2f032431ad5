//! Client of a running agent: HTTP over its socket.

use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net;
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use axum::body::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::net::UnixStream;
use tokio::runtime::{self, Runtime};
use tokio::time::timeout;

use crate::api::problem::{self, Problem};
use crate::api::rows::Answer;
use crate::api::socket;
use crate::cli;
use crate::console::tell;

const TIMEOUT: Duration = Duration::from_secs(15);

pub(super) type ApiRequest = Request<Full<Bytes>>;

/// A request without a body.
pub(super) fn request(method: Method, path: &str) -> anyhow::Result<ApiRequest> {
    with_body(method, path, Vec::new())
}

pub(super) fn post(path: &str, body: &impl Serialize) -> anyhow::Result<ApiRequest> {
    with_body(Method::POST, path, serde_json::to_vec(body).context("request")?)
}

fn with_body(method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<ApiRequest> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "tilth-agent")
        .header(header::USER_AGENT, concat!("tilth-agent/", env!("CARGO_PKG_VERSION")))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(body))
        .context("request")
}

pub(super) struct Client {
    /// Process of the agent, where the kernel says it.
    pub(super) process: Option<i32>,
    runtime: Runtime,
    sender: SendRequest<Full<Bytes>>,
    stream: OwnedFd,
}

impl Client {
    /// Connects to the control socket.
    pub(super) fn connect(agent: &cli::AgentAddress) -> anyhow::Result<Client> {
        let path = socket::of(agent.socket.as_deref(), &agent.data);
        let runtime = runtime::Builder::new_current_thread().enable_all().build().context("runtime")?;
        let (process, sender, stream) = runtime.block_on(async {
            let stream = UnixStream::connect(&path).await.map_err(|error| not_connected(&path, agent, &error))?;
            let process = stream.peer_cred().ok().and_then(|peer| peer.pid());
            let held = stream.as_fd().try_clone_to_owned().context("the agent's connection")?;
            let (sender, connection) =
                handshake(TokioIo::new(stream)).await.context("the agent closed the connection")?;
            // Errors of the connection are seen where its answers are read.
            tokio::spawn(connection);
            anyhow::Ok((process, sender, held))
        })?;
        say_which(agent, &path);
        Ok(Client { process, runtime, sender, stream })
    }

    /// Connects to the control socket, if an agent listens there.
    pub(super) fn find(agent: &cli::AgentAddress) -> anyhow::Result<Option<Client>> {
        let found = net::UnixStream::connect(socket::of(agent.socket.as_deref(), &agent.data));
        match found.map_err(|error| error.kind()) {
            Err(ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
            _ => Client::connect(agent).map(Some),
        }
    }

    /// The connection. It ends for the agent once this, and the client, are dropped.
    pub(super) fn connection(&self) -> anyhow::Result<OwnedFd> {
        self.stream.try_clone().context("the agent's connection")
    }

    /// Sends a request and waits for the answer.
    ///
    /// # Errors
    /// The agent's own error, and an agent that ends or does not answer.
    pub(super) fn send(mut self, request: ApiRequest) -> anyhow::Result<Answer<Box<RawValue>>> {
        let response = self.response(request)?;
        let body = self.within(async { Ok(response.into_body().collect().await?.to_bytes()) })?;
        serde_json::from_slice(&body).context("the agent's answer")
    }

    /// Sends a request whose answer is one row.
    ///
    /// # Errors
    /// As [`Client::send`], and an answer of another form.
    pub(super) fn row<T: DeserializeOwned>(self, request: ApiRequest) -> anyhow::Result<T> {
        let answer = self.send(request)?;
        let row = answer.rows.first().context("the agent's answer is empty")?;
        serde_json::from_slice(row.get().as_bytes()).context("the agent's answer")
    }

    /// Follows the agent's events from now on.
    pub(super) fn watch(mut self, request: ApiRequest) -> anyhow::Result<Events> {
        let body = self.response(request)?.into_body();
        Ok(Events { client: self, body, received: Vec::new() })
    }

    fn response(&mut self, request: ApiRequest) -> anyhow::Result<Response<Incoming>> {
        let sent = self.sender.send_request(request);
        let response = self.within(sent)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|found| found == problem::MEDIA_TYPE);
        let body = self.within(async { Ok(response.into_body().collect().await?.to_bytes()) })?;
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) if is_problem => bail!(problem.detail),
            _ => bail!("the agent answered {status}"),
        }
    }

    fn within<T>(&self, answer: impl Future<Output = hyper::Result<T>>) -> anyhow::Result<T> {
        let answer = self.runtime.block_on(async { timeout(TIMEOUT, answer).await });
        answer
            .map_err(|_| anyhow!("the agent does not answer"))?
            .map_err(|_| anyhow!("the agent closed the connection"))
    }
}

/// Says, once, which agent is asked, where that is not the service and its socket was not typed.
fn say_which(agent: &cli::AgentAddress, path: &Path) {
    static SAID: Once = Once::new();
    if agent.socket.is_none() && !socket::is_of_service(path) {
        SAID.call_once(|| tell(format_args!("asking the agent at {}", path.display())));
    }
}

fn not_connected(path: &Path, agent: &cli::AgentAddress, error: &std::io::Error) -> anyhow::Error {
    let shown = path.display();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            let hint = agent.elsewhere();
            anyhow!("no agent listens at {shown}: is it running? (systemctl status tilth-agent){hint}")
        }
        ErrorKind::PermissionDenied => {
            let hint = if socket::is_of_service(path) { "" } else { "; is it running? (systemctl status tilth-agent)" };
            anyhow!("{shown}: permission denied; only the agent's user and group may ask{hint}")
        }
        _ => anyhow!("{shown}: {error}"),
    }
}

pub(super) struct Events {
    client: Client,
    body: Incoming,
    received: Vec<u8>,
}

impl Events {
    /// Name and data of the next event, however long nothing happens.
    pub(super) fn next(&mut self) -> anyhow::Result<(String, String)> {
        loop {
            if let Some(end) = self.received.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = self.received.drain(..end + 2).collect();
                let event = String::from_utf8_lossy(&event);
                let field = |name: &str| {
                    let values = event.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    values.collect::<Vec<_>>().join("\n")
                };
                return Ok((field("event"), field("data")));
            }
            match self.client.runtime.block_on(self.body.frame()) {
                Some(Ok(frame)) => self.received.extend(frame.data_ref().into_iter().flatten()),
                Some(Err(_)) | None => bail!("the agent closed the connection"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without the folder of the service, the socket is looked for in the data folder, which is closed.
    #[test]
    fn who_may_not_look_for_an_agent_is_told_that_it_may_be_stopped() {
        let agent = cli::AgentAddress { socket: None, data: cli::DATA.into() };
        let said = |path: &str| not_connected(Path::new(path), &agent, &ErrorKind::PermissionDenied.into()).to_string();
        let denied = "permission denied; only the agent's user and group may ask";
        assert_eq!(said("/run/tilth/agent.sock"), format!("/run/tilth/agent.sock: {denied}"));
        let stopped = format!("/var/lib/tilth/agent.sock: {denied}; is it running? (systemctl status tilth-agent)");
        assert_eq!(said("/var/lib/tilth/agent.sock"), stopped);
    }
}
