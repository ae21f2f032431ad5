//! Control socket: its path, and how an agent binds it.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{self, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::cli;

/// Folder that systemd makes for the service while it runs.
const RUNTIME: &str = "/run/tilth";

const NAME: &str = "agent.sock";

/// Mode of the socket: for the agent's user and group only.
const MODE: u32 = 0o660;

/// Interval of the check that the socket's file exists.
const LOOK: Duration = Duration::from_secs(10);

/// Path of the socket: the given one, else in the folder of the service for the service's data folder, else in the data folder.
pub(crate) fn of(socket: Option<&Path>, data: &Path) -> PathBuf {
    beside(Path::new(RUNTIME), socket, data)
}

fn beside(runtime: &Path, socket: Option<&Path>, data: &Path) -> PathBuf {
    match socket {
        Some(socket) => socket.to_owned(),
        None if data == Path::new(cli::DATA) && runtime.is_dir() => runtime.join(NAME),
        None => data.join(NAME),
    }
}

/// Whether a socket is in the folder of the service.
pub(crate) fn is_of_service(path: &Path) -> bool {
    path.starts_with(RUNTIME)
}

/// Bound socket of this agent; dropping it removes the file.
pub(crate) struct Taken {
    pub(super) listener: UnixListener,
    pub(super) path: PathBuf,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Waits until the socket's file is gone, and binds the socket again. Checks on a blocking thread, since the disk may hang.
/// Cancel-safe.
pub(super) async fn again(path: PathBuf) -> UnixListener {
    loop {
        sleep(LOOK).await;
        let path = path.clone();
        let look = move || {
            let is_gone = fs::symlink_metadata(&path).is_err_and(|error| error.kind() == ErrorKind::NotFound);
            is_gone.then(|| listen(&path).ok()).flatten()
        };
        let listener = spawn_blocking(look).await.ok().flatten();
        if let Some(listener) = listener.and_then(|listener| UnixListener::from_std(listener).ok()) {
            return listener;
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    /// Another agent runs: two would page twice.
    #[error("another agent listens at {0}")]
    Lives(String),
    /// The file cannot be made; the agent runs without it.
    #[error("{0}: {1}")]
    Failed(String, io::Error),
}

/// Binds the socket, within a runtime. Replaces the file of an agent that was killed, never that of a running one.
pub(crate) fn take(path: &Path) -> Result<Taken, NotTaken> {
    let failed = |error| NotTaken::Failed(path.display().to_string(), error);
    match UnixStream::connect(path) {
        Ok(_) => return Err(NotTaken::Lives(path.display().to_string())),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) if is_left_over(path, &error) => fs::remove_file(path).map_err(failed)?,
        Err(error) => return Err(failed(error)),
    }
    let listener = listen(path).and_then(UnixListener::from_std).map_err(failed)?;
    Ok(Taken { listener, path: path.to_owned() })
}

fn listen(path: &Path) -> io::Result<net::UnixListener> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let listener = net::UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    Ok(listener)
}

/// Whether the file is a socket without a listener; any other file is left alone.
fn is_left_over(path: &Path, error: &io::Error) -> bool {
    error.kind() == ErrorKind::ConnectionRefused
        && fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

#[cfg(test)]
mod tests;
