//! A serial line on a pseudo-terminal, and one over TCP: it comes, sends, goes and comes back.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tilth_config::{LineName, Parity, Serial};
use tilth_core::id::Id;
use tilth_core::quantity::Quantity;
use tilth_core::time::WallTime;
use tokio::sync::watch;

use super::super::bus::HealthHandle;
use super::super::bus::health::{BusHealth, Reason};
use super::super::queue::Queue;
use super::*;
use crate::clock::Clock;

/// The board's end of a line, and the link under which the agent finds the other.
struct Board {
    end: fs::File,
    _port: OwnedFd,
}

/// A folder of links, as `/dev/serial/by-id` is.
struct ById(PathBuf);

impl ById {
    fn new() -> ById {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tilth-line-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        // The folder may be left from a test that failed, in a process of the same number.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        ById(folder)
    }

    fn link(&self) -> PathBuf {
        self.0.join("usb-board")
    }

    fn plug_in(&self) -> Board {
        let end = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&end).unwrap();
        unlockpt(&end).unwrap();
        let path = PathBuf::from(ptsname(&end, Vec::new()).unwrap().into_string().unwrap());
        // Held open here as well: a pty without any reader hangs up its writer.
        let port =
            rustix::fs::open(&path, rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY, rustix::fs::Mode::empty());
        let port = port.unwrap();
        let mut settings = rustix::termios::tcgetattr(&port).unwrap();
        settings.make_raw();
        rustix::termios::tcsetattr(&port, rustix::termios::OptionalActions::Now, &settings).unwrap();
        std::os::unix::fs::symlink(&path, self.link()).unwrap();
        Board { end: end.into(), _port: port }
    }

    fn pull_out(&self, board: Board) {
        fs::remove_file(self.link()).unwrap();
        drop(board);
    }
}

impl Drop for ById {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Board {
    fn say(&mut self, text: &[u8]) {
        self.end.write_all(text).unwrap();
    }
}

struct Watched {
    queue: Queue,
    health: HealthHandle,
    config: watch::Sender<BusConfig>,
}

impl Watched {
    async fn next(&self) -> String {
        let told = loop {
            let told = timeout(Duration::from_secs(20), self.queue.next()).await;
            match told.unwrap_or_else(|_| panic!("nothing came: {:?}", self.health.get())) {
                // What no line has is a matter of its own.
                SenseMessage::Missing { .. } | SenseMessage::Labels { .. } | SenseMessage::Board { .. } => {}
                told => break told,
            }
        };
        match told {
            SenseMessage::Value(SensorValue { sensor, fault: Some(why), .. }) => format!("{sensor} is at fault: {why}"),
            SenseMessage::Value(value) => match value.stamp {
                Some(WallTime(ms)) => format!("{}={} @{ms}", value.sensor, value.number),
                None => format!("{}={}", value.sensor, value.number),
            },
            SenseMessage::Bus { bus, down: Some(_) } => format!("{bus} down"),
            SenseMessage::Bus { bus, down: None } => format!("{bus} up"),
            SenseMessage::Unmatched { bus, why } => format!("{bus}: {why}"),
            other => panic!("{other:?}"),
        }
    }
}

/// Lines that were not used for this reason.
fn ignored(health: &BusHealth, reason: Reason) -> u64 {
    health.messages.count(reason)
}

fn input(name: &str, sensor: &str, use_stamp: bool) -> (SensorId, InputSettings) {
    let name = LineName { label: name.to_owned(), selectors: Vec::new() };
    let bus = Id::new("gateway").unwrap();
    let settings = InputSettings {
        input: Some(Input::Line { bus: bus.clone(), name }),
        bus: Some(bus),
        interval: None,
        stamp: if use_stamp { Stamping::Source } else { Stamping::Arrival },
        quantity: Quantity::Count,
        unit: None,
    };
    (SensorId::new(sensor).unwrap(), settings)
}

fn run_test<F: Future<Output = ()>>(by_id: &ById, test: impl FnOnce(Watched) -> F) {
    let port = by_id.link().to_str().unwrap().to_owned();
    run_at(Endpoint::Serial(Serial { port, baud: 115_200, parity: Parity::None, stop_bits: 1 }), test);
}

fn run_at<F: Future<Output = ()>>(endpoint: Endpoint, test: impl FnOnce(Watched) -> F) {
    let inputs = vec![
        input("temp", "room/temp", false),
        input("temp", "room/temp-stamped", true),
        input("ph", "tank/ph", false),
    ];
    let (sender, config) = watch::channel(BusConfig { sensors: inputs, ..BusConfig::default() });
    let watched = Watched { queue: Queue::new(3), health: HealthHandle::default(), config: sender };
    let (queue, health) = (watched.queue.clone(), watched.health.clone());
    let context = BusContext {
        id: Id::new("gateway").unwrap(),
        config,
        health,
        clock: Clock::new(ClockMode::System),
        queue,
        outputs: crate::act::Outputs::new().0,
        ports: crate::sense::released::Ports::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::select! {
            () = run(endpoint, SharedLabelMatches::default(), context) => panic!("ended"),
            () = test(watched) => {}
        }
    });
}

#[test]
fn a_serial_server_goes_and_comes_back() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    drop(server);
    run_at(Endpoint::Tcp(address.to_string()), async |watched| {
        assert_eq!(watched.next().await, "gateway down", "the port is closed yet");
        let reason = watched.health.get().state.reason().unwrap().to_owned();
        assert!(reason.starts_with(&address.to_string()) && reason.contains("refused"), "{reason}");

        for temp in 1..3 {
            let server = TcpListener::bind(address).unwrap();
            assert_eq!(watched.next().await, "gateway up");
            let mut board = server.accept().unwrap().0;
            board.write_all(format!("lf of a line temp=0\ntemp={temp}\n").as_bytes()).unwrap();
            assert_eq!(watched.next().await, format!("room/temp={temp}"));
            assert_eq!(watched.next().await, format!("room/temp-stamped={temp}"));
            drop((board, server));
            assert_eq!(watched.next().await, "gateway down");
        }
    });
}

#[test]
fn a_line_goes_and_comes_back_under_another_number() {
    let by_id = ById::new();
    run_test(&by_id, async |watched| {
        assert_eq!(watched.next().await, "gateway down", "it is not plugged in yet");
        let health = watched.health.get();
        let down = health.state.reason().unwrap();
        assert!(down.ends_with("there is no such port; is the adapter plugged in?"), "{down}");

        let mut board = by_id.plug_in();
        assert_eq!(watched.next().await, "gateway up");
        board.say(b"lf of a line temp=1\ntemp=21.5 ph=6.1\n");
        assert_eq!(watched.next().await, "room/temp=21.5");
        assert_eq!(watched.next().await, "room/temp-stamped=21.5");
        assert_eq!(watched.next().await, "tank/ph=6.1");

        for round in 2..5 {
            board.say(b"temp=2");
            by_id.pull_out(board);
            assert_eq!(watched.next().await, "gateway down");
            assert!(watched.health.get().since.is_some());
            board = by_id.plug_in();
            assert_eq!(watched.next().await, "gateway up");
            board.say(b"2.5\nph=6.2\n");
            assert_eq!(watched.next().await, "tank/ph=6.2", "the halves of two lines are no line");
            let health = watched.health.get();
            assert_eq!((health.opened, health.state.name()), (round, "up"));
        }
        assert_eq!(ignored(&watched.health.get(), reasons::PARTIAL), 4);
    });
}

#[test]
fn a_line_full_of_noise_is_read_where_it_can_be() {
    let by_id = ById::new();
    let mut board = by_id.plug_in();
    run_test(&by_id, async |watched| {
        assert_eq!(watched.next().await, "gateway up");
        board.say(b"\n\x00\x00\xff\xfe\n");
        // 100 kB without an end, in pieces that a pty takes: a write to a full one would hold up the reader, too.
        for pieces in 1..=100 {
            board.say(&[b'x'; 1000]);
            while watched.health.get().bytes < pieces * 1000 {
                sleep(Duration::from_millis(1)).await;
            }
        }
        board.say(b"\ntime=2014-04-03T11:00:00Z temp=nan\r\n{\"ph\":6.1}\n");
        assert_eq!(watched.next().await, "room/temp=NaN");
        assert_eq!(watched.next().await, "room/temp-stamped=NaN @1396522800000");
        assert_eq!(watched.next().await, "tank/ph=6.1");
        let health = watched.health.get();
        assert_eq!((ignored(&health, reasons::NOT_TEXT), ignored(&health, reasons::TOO_LONG)), (1, 1));
        assert_eq!((health.messages.matched, health.messages.received), (2, 4));
        assert!(health.bytes > 100_000);
    });
}

#[test]
fn other_sensors_are_read_without_opening_the_port_again() {
    let by_id = ById::new();
    let mut board = by_id.plug_in();
    run_test(&by_id, async |watched| {
        assert_eq!(watched.next().await, "gateway up");
        board.say(b"temp,ph,co2\n1,2,3\n");
        for expected in ["room/temp=1", "room/temp-stamped=1", "tank/ph=2"] {
            assert_eq!(watched.next().await, expected);
        }
        watched
            .config
            .send_replace(BusConfig { sensors: vec![input("co2", "room/co2", false)], ..BusConfig::default() });
        board.say(b"4,5,6\n");
        assert_eq!(watched.next().await, "room/co2=6");
        assert_eq!(watched.health.get().opened, 1);
    });
}

#[test]
fn a_device_that_is_swapped_behind_the_link_is_noticed() {
    let by_id = ById::new();
    let first = by_id.plug_in();
    run_test(&by_id, async |watched| {
        assert_eq!(watched.next().await, "gateway up");
        // The old end stays open, as with adapters that are given another number.
        fs::remove_file(by_id.link()).unwrap();
        let mut second = by_id.plug_in();
        assert_eq!(watched.next().await, "gateway down");
        assert_eq!(watched.next().await, "gateway up");
        second.say(b"\nph=6\n");
        assert_eq!(watched.next().await, "tank/ph=6");
        drop(first);
    });
}
