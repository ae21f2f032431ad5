//! Where the socket is, and how an agent takes it.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{self, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// The folder that systemd makes for a running agent.
const RUNTIME: &str = "/run/tilth";

/// The socket's name in either folder.
const NAME: &str = "agent.sock";

/// The agent's user and its group: what people in the group may ask and tell is not for everybody on the machine.
const MODE: u32 = 0o660;

/// Between two looks at whether the socket's file is still there.
const LOOK: Duration = Duration::from_secs(10);

/// The socket to use, where nobody names one: beside the data, on a machine without the folder of a service.
pub(crate) fn of(socket: Option<&Path>, data: &Path) -> PathBuf {
    match socket {
        Some(socket) => socket.to_owned(),
        None if Path::new(RUNTIME).is_dir() => Path::new(RUNTIME).join(NAME),
        None => data.join(NAME),
    }
}

/// The socket of this agent; its file is removed with it.
pub(crate) struct Taken {
    pub(super) listener: UnixListener,
    pub(super) path: PathBuf,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Waits until the socket's file is gone, such as with its folder, and listens there again. A disk that hangs holds up a thread of
/// its own. Cancelling is safe.
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

/// Why a socket could not be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    /// Two agents would read the same lines and page twice.
    #[error("another agent listens at {0}")]
    Lives(String),
    /// The file cannot be made. An agent without it still watches.
    #[error("{0}: {1}")]
    Failed(String, io::Error),
}

/// Listens there, within a runtime. What an agent left that was killed is replaced; one that lives is left alone.
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

/// A socket behind which nobody listens. Any other file is somebody else's.
fn is_left_over(path: &Path, error: &io::Error) -> bool {
    error.kind() == ErrorKind::ConnectionRefused
        && fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

#[cfg(test)]
mod tests;
