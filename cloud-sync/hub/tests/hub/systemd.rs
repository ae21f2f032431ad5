//! What systemd is told: the hub listens, its database answers, it stops.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::served::Made;

#[test]
fn systemd_learns_that_the_hub_listens_answers_and_stops() {
    let made = Made::new();
    let path = made.folder.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let heard = || {
        let mut bytes = [0; 1000];
        let length = systemd.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).trim_end().to_owned()
    };
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "300000")];
    let mut hub = made.serve_in(&environment, &[]);
    let expected = ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"];
    assert_eq!(expected.map(|_| heard()), expected);
    let (status, _) = hub.stop("-TERM");
    assert!(status.success(), "{}", hub.made.log());
    let last = std::iter::repeat_with(heard).find(|message| message != "WATCHDOG=1");
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
}
