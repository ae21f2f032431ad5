//! The asking end.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};

use crate::api::rows::{Answer, AskedAt, Envelope, Request, VERSION};

/// An agent that says nothing for so long is stuck.
const PATIENCE: Duration = Duration::from_secs(15);

/// The lines of an answer as they come.
pub(super) struct Answers {
    lines: BufReader<UnixStream>,
    line: String,
    /// Known after the last line.
    pub(super) asked_at: AskedAt,
}

/// Asks the agent behind a socket. `hint` says where else it may listen.
///
/// # Errors
/// When nobody listens there.
pub(super) fn ask(socket: &Path, hint: &str, request: &Request) -> anyhow::Result<Answers> {
    let shown = socket.display();
    let mut stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            anyhow!("no agent listens at {shown}: is it running? (systemctl status tilth-agent){hint}")
        }
        ErrorKind::PermissionDenied => anyhow!("{shown}: permission denied; only the agent's user and group may ask"),
        _ => anyhow!("{shown}: {error}"),
    })?;
    // Whoever watches waits for as long as nothing happens.
    let patience = (!matches!(request, Request::Tail { .. })).then_some(PATIENCE);
    stream.set_read_timeout(patience).context("socket")?;
    let mut line = serde_json::to_vec(&Envelope { v: VERSION, request }).context("request")?;
    line.push(b'\n');
    stream.write_all(&line).or_else(|error| match error.kind() {
        // Turned away: what it said is still to be read.
        ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error).context("the agent hung up"),
    })?;
    Ok(Answers { lines: BufReader::new(stream), line: String::new(), asked_at: AskedAt::default() })
}

impl Answers {
    /// The next line; nothing after the last.
    ///
    /// # Errors
    /// What the agent says cannot be done, and an agent that ends or falls silent.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Answer>> {
        self.line.clear();
        let read = self.lines.read_line(&mut self.line).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => anyhow!("the agent does not answer"),
            _ => anyhow!("the agent hung up: {error}"),
        })?;
        if read == 0 {
            bail!("the agent hung up");
        }
        match serde_json::from_str(&self.line).context("the agent's answer")? {
            Answer::Done(asked_at) => {
                self.asked_at = asked_at;
                Ok(None)
            }
            Answer::Failed(reason) => bail!(reason),
            answer => Ok(Some(answer)),
        }
    }
}
