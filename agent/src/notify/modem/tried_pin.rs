//! The PIN of a SIM from its secret, and which PIN was entered before: `sim-pin.CHANNEL` in the data folder, so that a wrong one is not entered
//! again after each start, which would lock the SIM to its PUK.
//!
//! The file says when the secret was written, and nothing of its value: a PIN has 10,000, so whoever has a hash of one has the PIN.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tilth_config::SecretName;
use tilth_core::id::Id;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use tracing::warn;

use super::{TIMEOUT, Task};
use crate::durable;

/// A secret that holds a PIN, as it was at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PinFile {
    secret: String,
    /// Seconds since 1970 and nanoseconds; none for a credential of systemd.
    written: Option<(i64, i64)>,
}

/// A PIN that was entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TriedPin {
    #[serde(flatten)]
    file: PinFile,
    /// Why the SIM did not accept it.
    why: String,
}

impl TriedPin {
    fn read(data: &Path, channel: &Id) -> Option<TriedPin> {
        let bytes = durable::read(&data.join(name(channel))).ok().flatten()?;
        durable::parse_checked(&bytes).ok()
    }
}

fn name(channel: &Id) -> String {
    format!("sim-pin.{channel}")
}

/// Writes which PIN was entered; without one removes the file.
fn write(data: &Path, channel: &Id, tried: Option<&TriedPin>) -> io::Result<()> {
    match tried {
        Some(tried) => durable::write(data, &name(channel), &durable::with_checksum(tried)?),
        None => durable::remove(data, &name(channel)),
    }
}

/// Does a piece of work on the disk, unless the disk hangs.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let done = timeout(TIMEOUT, spawn_blocking(work)).await.map_err(|_| "the disk does not answer".to_owned())?;
    done.map_err(|end| end.to_string())
}

/// Writes to the disk, one after the other in the order of their calls: a disk that hung ends with the newest value.
#[derive(Debug, Default)]
pub(super) struct WritesInOrder {
    /// The newest, where it took too long.
    pending: Option<JoinHandle<Result<(), String>>>,
}

impl WritesInOrder {
    /// Says whether the disk has it; one that takes longer than `within` goes on.
    async fn write(
        &mut self,
        within: Duration,
        work: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> Result<(), String> {
        let before = self.pending.take();
        let mut writing = tokio::spawn(async move {
            if let Some(before) = before {
                let _ = before.await;
            }
            let done = spawn_blocking(work).await.map_err(|end| end.to_string())?;
            done.map_err(|error| error.to_string())
        });
        if let Ok(done) = timeout(within, &mut writing).await {
            return done.map_err(|end| end.to_string()).flatten();
        }
        self.pending = Some(writing);
        Err("the disk does not answer".to_owned())
    }
}

impl Task {
    /// Reads which PIN was entered before this task.
    pub(super) async fn read_tried_pin(&mut self) {
        if self.settings.pin.is_some() {
            let (data, channel) = (self.context.data.clone(), self.channel.clone());
            self.tried_pin = on_disk(move || TriedPin::read(&data, &channel)).await.ok().flatten();
        }
    }

    /// Reads the PIN of the SIM. One that cannot be read is none, which the session says once the SIM wants it.
    pub(super) async fn read_pin(&mut self) {
        let Some(secret) = self.settings.pin.clone() else { return };
        let secrets = self.context.secrets.clone();
        let read = move |secret: &SecretName| {
            // Before its value: a file that is written meanwhile counts as written anew at the next look.
            let file = PinFile { secret: secret.as_str().to_owned(), written: secrets.written(secret) };
            secrets.get(secret).map(|pin| (pin, file)).map_err(|error| error.to_string())
        };
        let why = match on_disk(move || read(&secret)).await.flatten() {
            Ok((pin, file)) => {
                let tried = self.tried_pin.as_ref().filter(|tried| tried.file == file);
                self.session.set_pin(pin, tried.map(|tried| tried.why.clone()));
                self.pin = Some(file);
                None
            }
            Err(why) => Some(why),
        };
        if let Some(why) = why.as_ref().filter(|_| why != self.pin_problem) {
            warn!("channel {}: PIN of the SIM: {why}", self.channel);
        }
        self.pin_problem = why;
    }

    /// Keeps which PIN is entered and why it was not accepted. Where the disk does not take it the PIN is entered all the same: people are to
    /// be told without a disk.
    pub(super) async fn keep_tried_pin(&mut self, why: Option<String>) {
        self.tried_pin = self.pin.clone().zip(why).map(|(file, why)| TriedPin { file, why });
        let (data, channel, tried) = (self.context.data.clone(), self.channel.clone(), self.tried_pin.clone());
        let written = self.pin_writes.write(TIMEOUT, move || write(&data, &channel, tried.as_ref()));
        if let Err(why) = written.await {
            let channel = &self.channel;
            warn!(
                "channel {channel}: cannot keep that the PIN of the SIM is entered ({why}): a restart may enter a wrong one again"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn nothing_is_kept_of_a_pin_but_when_its_secret_was_written() {
        let data = std::env::temp_dir().join(format!("tilth-tried-pin-{}", std::process::id()));
        fs::create_dir_all(&data).unwrap();
        let channel = Id::new("sms").unwrap();
        assert_eq!(TriedPin::read(&data, &channel), None);
        write(&data, &channel, None).unwrap();
        let file = PinFile { secret: "sim".to_owned(), written: Some((1_795_000_000, 17)) };
        let tried = TriedPin { file, why: "wrong PIN (+CME ERROR: 16)".to_owned() };
        write(&data, &channel, Some(&tried)).unwrap();
        assert_eq!(TriedPin::read(&data, &channel), Some(tried));
        let text = fs::read_to_string(data.join("sim-pin.sms")).unwrap();
        let content = r#"{"secret":"sim","written":[1795000000,17],"why":"wrong PIN (+CME ERROR: 16)"}"#;
        assert!(text.ends_with(&format!("\"content\":{content}}}")), "{text}");
        write(&data, &channel, None).unwrap();
        assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
        fs::remove_dir_all(data).unwrap();
    }

    /// Guards against: a file that a slow disk writes after it was removed, so that a right PIN counts as rejected at the next start.
    #[tokio::test]
    async fn a_disk_that_hung_ends_with_the_newest_value() {
        let data = std::env::temp_dir().join(format!("tilth-pin-order-{}", std::process::id()));
        fs::create_dir_all(&data).unwrap();
        let (mut writes, (answers, answered)) = (WritesInOrder::default(), std::sync::mpsc::channel::<()>());
        let (file, moment) = (data.join("sim-pin.sms"), Duration::from_millis(50));
        let slow = file.clone();
        let is_late = Err("the disk does not answer".to_owned());
        let tried = move || answered.recv().map_err(io::Error::other).and_then(|()| fs::write(slow, "tried"));
        assert_eq!(writes.write(moment, tried).await, is_late);
        let channel = Id::new("sms").unwrap();
        let folder = data.clone();
        assert_eq!(writes.write(moment, move || write(&folder, &channel, None)).await, is_late);
        answers.send(()).unwrap();
        assert_eq!(writes.write(Duration::from_secs(30), || Ok(())).await, Ok(()));
        assert!(!file.exists(), "expected the file to be removed after it was written");
        fs::remove_dir_all(data).unwrap();
    }
}
