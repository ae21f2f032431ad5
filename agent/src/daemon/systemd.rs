//! Messages to systemd over `$NOTIFY_SOCKET`: start and stop of the agent, its watchdog, and its health in words.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use tokio::pin;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::clock::Clock;
use crate::configuration::ConfigStatus;
use crate::decide::DecideRequest;
use crate::health::{TaskHealth, health};

/// Longest time between two pings of decide.
const PING_EVERY: Duration = Duration::from_secs(5);

/// Socket of the service manager. Sending never waits: a message without room is dropped, since the runtime thread must not
/// block; the kept crate for this would.
pub(super) struct Notifier {
    socket: UnixDatagram,
    ping_every: Duration,
}

/// The health task: pings decide and reports.
pub(super) struct Reporter {
    pub(super) notifier: Arc<Notifier>,
    pub(super) health: TaskHealth,
    pub(super) clock: Clock,
    pub(super) config: ConfigStatus,
    pub(super) to_decide: mpsc::Sender<DecideRequest>,
}

impl Notifier {
    /// The socket that the service manager named; none where the agent was started otherwise.
    ///
    /// # Errors
    /// When no service manager listens at the socket.
    pub(super) fn from_environment() -> io::Result<Option<Notifier>> {
        let Some(address) = env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()) else { return Ok(None) };
        let address = match address.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(&address)?,
        };
        let timeout = env::var("WATCHDOG_USEC").ok().and_then(|micros| micros.parse().ok()).map(Duration::from_micros);
        Notifier::connect(&address, timeout).map(Some)
    }

    /// Pings come at least three times within the watchdog's `timeout`.
    fn connect(address: &SocketAddr, timeout: Option<Duration>) -> io::Result<Notifier> {
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(address)?;
        socket.set_nonblocking(true)?;
        let ping_every = timeout.map_or(PING_EVERY, |timeout| PING_EVERY.min(timeout / 3));
        Ok(Notifier { socket, ping_every })
    }

    /// Says that the agent has started and works on `status`.
    pub(super) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    pub(super) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=stopping");
    }

    /// Whether the service manager took the message.
    fn send(&self, message: &str) -> bool {
        self.socket.send(message.as_bytes()).is_ok()
    }
}

impl Reporter {
    /// Sends pings through decide's queue for ever. Each one that comes through feeds the watchdog.
    pub(super) async fn run(self) {
        let mut said = String::new();
        loop {
            self.health.ping_sent();
            let ping = self.ping();
            pin!(ping);
            while timeout(self.notifier.ping_every, &mut ping).await.is_err() {
                self.report(&mut said);
            }
            self.health.ping_came_through();
            self.report(&mut said);
            sleep(self.notifier.ping_every).await;
        }
    }

    /// Ends once decide has taken a command from its queue; never after decide has ended.
    async fn ping(&self) {
        let (answer, answered) = oneshot::channel();
        if self.to_decide.send(DecideRequest::Ping(answer)).await.is_err() || answered.await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// `said` is the status that the service manager has.
    fn report(&self, said: &mut String) {
        let (now, wall) = self.clock.now();
        let health = health(now, &self.health.states());
        let local = self.config.local();
        let status = health.status(|since| match self.clock.wall_at(since) {
            Some(since) => format!("since {}", local.near(since, wall)),
            None => format!("for {} min", ((now - since).0 / 60_000).max(1)),
        });
        if health.watchdog {
            self.notifier.send("WATCHDOG=1");
        }
        if status != *said && self.notifier.send(&format!("STATUS={status}")) {
            *said = status;
        }
    }
}

#[cfg(test)]
mod tests {
    use tilth_core::local::Local;
    use tilth_core::time::WallTime;

    use super::*;
    use crate::clock::ClockMode;

    /// Guards against: a watchdog that is fed while decide hangs.
    #[tokio::test]
    async fn the_watchdog_is_fed_as_long_as_decide_takes_commands_and_no_longer() {
        let address = SocketAddr::from_abstract_name(format!("tilth-watchdog-{}", std::process::id())).unwrap();
        let systemd = UnixDatagram::bind_addr(&address).unwrap();
        systemd.set_nonblocking(true).unwrap();
        let systemd = tokio::net::UnixDatagram::from_std(systemd).unwrap();
        let heard = async || {
            let mut bytes = [0; 200];
            let length = systemd.recv(&mut bytes).await.unwrap();
            String::from_utf8_lossy(&bytes[..length]).into_owned()
        };
        let (to_decide, mut queue) = mpsc::channel(1);
        let clock = Clock::new(ClockMode::EventTime);
        let reporter = Reporter {
            notifier: Arc::new(Notifier::connect(&address, Some(Duration::from_millis(30))).unwrap()),
            health: TaskHealth::new(clock.clone()),
            config: ConfigStatus::new(clock.clone(), String::new(), Local::UTC),
            clock: clock.clone(),
            to_decide,
        };
        let reporting = tokio::spawn(reporter.run());
        for ping in 0..5 {
            let Some(DecideRequest::Ping(answer)) = queue.recv().await else { panic!("no ping") };
            answer.send(()).unwrap();
            assert_eq!(heard().await, "WATCHDOG=1", "after ping {ping}");
            if ping == 0 {
                assert_eq!(heard().await, "STATUS=monitoring");
            }
        }
        // Decide hangs: the ping is not answered, and the watchdog is not fed.
        let Some(DecideRequest::Ping(answer)) = queue.recv().await else { panic!("no ping") };
        clock.observe(WallTime(20_000));
        let stuck = heard().await;
        assert!(stuck.starts_with("STATUS=not monitoring; decide: no answer since "), "{stuck}");
        answer.send(()).unwrap();
        assert_eq!([heard().await, heard().await], ["WATCHDOG=1", "STATUS=monitoring"]);
        // Decide has ended.
        let Some(DecideRequest::Ping(_)) = queue.recv().await else { panic!("no ping") };
        drop(queue);
        clock.observe(WallTime(40_000));
        assert!(heard().await.starts_with("STATUS=not monitoring; decide: no answer since "));
        reporting.abort();
    }
}
