//! The night without internet: a siren on a board's relay and SMS wake somebody, who takes the alert on by SMS. The agent has no route to
//! any network, where the machine can give a process a network of its own; elsewhere only the phone's port is closed.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tilth_tests::agent::Folder;
use tilth_tests::live::Running;
use tilth_tests::live::farm::Farm;
use tilth_tests::live::modem::Modem;
use tilth_tests::live::tail::Tail;

const ANNA: &str = "+4915112345678";
const BEN: &str = "+4915187654321";

/// Starts what follows in a network of its own that has nothing but the loopback; needs root, or user namespaces that are allowed.
const NO_NETWORK: [&str; 7] =
    ["unshare", "--map-root-user", "--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"];

/// A thermometer and a horn on one board; no server answers at the address of the phone.
const FARM: &str = "
[sensors.'room/temp']
quantity = 'temperature'
input = 'board:board/2'
max_rate = 1000
[rules.too-warm]
sensor = 'room/temp'
above = 28
severity = 'preventive'
[rules.temperature-high]
enabled = false
[actuators.horn]
zone = 'room'
output = 'board:board/relay-2'
max_on = '30s'
[notifications.phone]
kind = 'ntfy'
url = 'http://127.0.0.1:1'
topic = 'farm'
[notifications.siren]
kind = 'siren'
actuator = 'horn'
[notifications.sms]
kind = 'modem'
port = 'usb-modem'
numbers = ['+49 151 12345678', '+4915187654321']
[agent.channel_down]
for = '2m'
[escalation.default]
preventive = { wait = '1m', channels = ['phone'] }
warning = { wait = '1m', channels = ['phone', 'siren'] }
critical = { wait = '1m', channels = ['phone', 'siren', 'sms'] }
urgent = { wait = '10m', channels = ['phone', 'siren', 'sms'] }
";

/// The board and what its relay for the horn does.
struct Board {
    _process: Running,
    commands: ChildStdin,
    /// When the relay was switched on and off, in milliseconds of board time.
    horn: Arc<Mutex<Vec<(bool, u64)>>>,
}

impl Board {
    fn start(line: &Path) -> Board {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tilth-board"));
        command.arg(line).args(["--time-scale", "10"]);
        let mut process = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped())).unwrap();
        let commands = process.0.stdin.take().unwrap();
        let events = BufReader::new(process.0.stdout.take().unwrap()).lines();
        let horn = Arc::<Mutex<Vec<_>>>::default();
        let heard = Arc::clone(&horn);
        std::thread::spawn(move || {
            for event in events.map_while(Result::ok) {
                let event: Value = serde_json::from_str(&event).unwrap_or_default();
                if event["relay"] == 2 {
                    let at = event["at"].as_u64().unwrap_or_default();
                    heard.lock().unwrap().push((event["on"] == true, at));
                }
            }
        });
        Board { _process: process, commands, horn }
    }

    fn show(&mut self, milli: i32) {
        writeln!(self.commands, "value 2 {milli}").unwrap();
    }

    fn is_on(&self) -> bool {
        self.horn.lock().unwrap().last().is_some_and(|(on, _)| *on)
    }

    fn times_on(&self) -> usize {
        self.horn.lock().unwrap().iter().filter(|(on, _)| *on).count()
    }

    /// How long the relay was on, or off between, each time that has ended, in seconds.
    fn times(&self, on: bool) -> Vec<u64> {
        let horn = self.horn.lock().unwrap();
        horn.array_windows().filter(|[from, _]| from.0 == on).map(|[from, to]| (to.1 - from.1) / 1_000).collect()
    }
}

/// Whether the machine lets a process have a network of its own, which that of CI must: without, the night shows less than it says.
fn can_cut_network() -> bool {
    let [program, words @ ..] = NO_NETWORK;
    let why = match Command::new(program).args(words).arg("true").output() {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    let said = format!("this machine gives a process no network of its own ({why}): only the phone's port is closed");
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{said}");
    eprintln!("{said}");
    false
}

/// Routes of the agent's network, IPv4; the loopback needs none.
fn routes(farm: &Farm) -> Vec<String> {
    let table = fs::read_to_string(format!("/proc/{}/net/route", farm.process())).unwrap();
    table.lines().skip(1).map(str::to_owned).collect()
}

/// A farm whose agent runs ten times as fast as the machine, as its board does.
fn farm(name: &str) -> (Farm, Board, Modem) {
    let folder = Folder::new(name);
    folder.write("etc/config.d/farm.toml", FARM);
    folder.write("etc/agent.toml", "[device]\nid = 'pi'\n[bus.board]\nkind = 'board'\nport = 'board'\n");
    let board = Board::start(&folder.path().join("board"));
    let modem = Modem::plug_in(&folder.path().join("usb-modem"));
    let mut farm = Farm::found(folder);
    farm.clock = "x10";
    (farm, board, modem)
}

fn channel(farm: &Farm, name: &str) -> Value {
    let status = farm.status().unwrap_or_default();
    let channels = status["notify"]["channels"].as_array().cloned().unwrap_or_default();
    channels.into_iter().find(|channel| channel["channel"] == name).unwrap_or_default()
}

fn launch(farm: &mut Farm) {
    farm.launch();
    farm.until("the modem is registered", |farm| {
        channel(farm, "sms")["server"].as_str().is_some_and(|server| server.contains(", registered"))
    });
    farm.until("the board is up", |farm| farm.status().is_some_and(|status| status["buses"][0]["state"] == "up"));
}

fn alert(farm: &Farm) -> Value {
    let rows = farm.ask(&["alerts", "--json"]).out;
    let mut rows = rows.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    rows.find(|row| row["rule"] == "too-warm").unwrap_or_default()
}

fn texts(modem: &Modem, number: &str) -> Vec<String> {
    modem.script().texts_to(number)
}

/// Times of the pages about the temperature, in seconds after the first.
fn pages(tail: &Tail) -> Vec<(f64, String)> {
    let rows = tail.transitions().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    let pages = rows.filter(|row| row["event"] == "notify" && row["rule"] == "too-warm");
    let pages = pages.map(|row| {
        let at: jiff::Timestamp = row["at"].as_str().unwrap().parse().unwrap();
        (at.as_millisecond() as f64 / 1000.0, row["severity"].as_str().unwrap().to_owned())
    });
    let pages: Vec<(f64, String)> = pages.collect();
    let first = pages.first().map_or(0.0, |(at, _)| *at);
    pages.into_iter().map(|(at, severity)| (at - first, severity)).collect()
}

#[test]
fn siren_and_sms_wake_somebody_who_takes_the_alert_on_by_sms() {
    let (mut farm, mut board, modem) = farm("night");
    let is_cut = can_cut_network();
    if is_cut {
        farm.inside = NO_NETWORK.to_vec();
    }
    launch(&mut farm);
    assert!(!is_cut || routes(&farm).is_empty(), "the agent has a way out: {:?}", routes(&farm));
    let tail = Tail::of(&mut farm, "seen");

    // From preventive to urgent, a minute each: the phone alone, then the siren, then SMS.
    board.show(31_000);
    farm.until("the siren sounds", |_| board.is_on());
    assert_eq!(texts(&modem, ANNA), Vec::<String>::new(), "no SMS before it is critical");
    farm.until("everybody has the urgent SMS", |_| {
        [ANNA, BEN].iter().all(|number| texts(&modem, number).iter().any(|text| text.starts_with("Urgent")))
    });
    let expected = [(0.0, "preventive"), (60.0, "warning"), (120.0, "critical"), (180.0, "urgent")];
    assert_eq!(pages(&tail), expected.map(|(at, severity)| (at, severity.to_owned())));
    let number = alert(&farm)["alert"].as_u64().unwrap();
    let [critical, urgent] = &texts(&modem, ANNA)[..] else { panic!("{:?}", texts(&modem, ANNA)) };
    assert!(critical.starts_with(&format!("Critical {number}: room/temp 31")), "{critical}");
    assert!(urgent.contains("limit 28") && urgent.ends_with(&format!("Reply ACK {number}")), "{urgent}");
    assert!(urgent.len() <= 160, "{urgent}");
    assert!(modem.script().sent.iter().all(|sent| sent.valid_min == 60), "it must not arrive tomorrow");
    assert!(channel(&farm, "phone")["waiting"].as_u64() > Some(0), "the phone cannot be reached");

    // Killed and started again: the siren goes on, and no message is sent twice.
    farm.kill();
    farm.until("the board's own timer ends the sound", |_| !board.is_on());
    launch(&mut farm);
    farm.until("the siren sounds again", |_| board.is_on());
    // What the network had when the agent was killed may come again, and says so.
    let told = texts(&modem, ANNA);
    assert!(told[2..].iter().all(|text| text.starts_with("Repeat: Urgent")) && told.len() <= 3, "{told:?}");

    // Somebody else may not, and hears nothing.
    modem.receive("+491700000000", &format!("ACK {number}"));
    farm.until("the stranger's SMS is deleted", |_| modem.script().stored() == 0);
    assert_eq!(alert(&farm)["state"], "firing");
    assert_eq!(texts(&modem, "+491700000000"), Vec::<String>::new());
    assert!(farm.log().contains("SMS from +49..0000 ignored"), "{}", farm.log());
    assert!(!farm.log().contains("+491700000000") && !farm.log().contains(ANNA), "{}", farm.log());

    // A wrong number is answered with what is open.
    modem.receive(BEN, "ACK 999999");
    farm.until("Ben hears what is open", |_| {
        texts(&modem, BEN).iter().any(|text| text.contains(&format!("Open: {number} urgent room/temp")))
    });

    // Anna takes it on for five minutes: both are quiet until then.
    modem.receive("015112345678", &format!("ack #{number} 5m"));
    farm.until("the siren stops", |farm| !board.is_on() && alert(farm)["state"] == "acknowledged");
    farm.until("Anna is answered", |_| {
        let taken = format!("{number} taken by +49..5678, quiet ");
        texts(&modem, ANNA).iter().any(|text| text.starts_with(&taken))
    });
    let (told, heard) = (texts(&modem, BEN).len(), board.times_on());
    farm.until("it is over", |farm| alert(farm)["state"] == "firing");
    assert_eq!(board.times_on().saturating_sub(heard), usize::from(board.is_on()), "quiet until the end");
    farm.until("the siren comes back", |_| board.is_on());
    farm.until("so do the SMS", |_| texts(&modem, BEN).len() > told);

    // A reply that comes while the agent is off counts at its start.
    farm.kill();
    modem.receive(BEN, &format!("Ack {number}"));
    launch(&mut farm);
    farm.until("Ben has it", |farm| alert(farm)["by"] == "+49..4321");
    farm.until("the siren is quiet", |farm| {
        !board.is_on() && channel(farm, "siren")["server"] == "actuator horn, quiet"
    });
}

/// A farm whose siren sounds without a pause for urgent alerts, which is what the rule fires at once. The actuator of the siren has this key in
/// place of its `max_on`.
fn endless(name: &str, key: &str) -> (Farm, Board, Modem) {
    let (mut farm, board, modem) = farm(name);
    let endless = "actuator = 'horn'\nurgent = { on = '2m', off = '0s' }\n";
    let config = FARM.replace("actuator = 'horn'\n", endless).replace("'preventive'", "'urgent'");
    farm.folder.write("etc/config.d/farm.toml", config.replace("max_on = '30s'", key));
    launch(&mut farm);
    (farm, board, modem)
}

/// Somebody takes the alert on by SMS, for a minute.
fn take_on(farm: &mut Farm, modem: &Modem) {
    let number = alert(farm)["alert"].as_u64().unwrap();
    modem.receive(ANNA, &format!("ACK {number} 1m"));
    farm.until("somebody has it", |farm| alert(farm)["state"] == "acknowledged");
}

/// Guards against: a siren that is silent for good once the time of its actuator is over.
#[test]
fn a_siren_without_a_pause_sounds_until_it_is_acknowledged_and_again_once_that_is_over() {
    let (mut farm, mut board, modem) = endless("endless", "max_on = '30s'");
    board.show(31_000);
    farm.until("it sounds for the fourth time", |_| board.times_on() >= 4);
    let (on, off) = (board.times(true), board.times(false));
    assert!(on.iter().all(|seconds| (29..=31).contains(seconds)), "expected it on for its max_on: {on:?}");
    assert!(off.iter().all(|seconds| *seconds < 20), "expected it on again at once: {off:?}");

    take_on(&mut farm, &modem);
    farm.until("the siren stops", |_| !board.is_on());
    let heard = board.times_on();
    farm.until("it is over", |farm| alert(farm)["state"] == "firing");
    assert_eq!(board.times_on() - heard, usize::from(board.is_on()), "quiet until the end");
    farm.until("it sounds again and again", |_| board.times_on() >= heard + 2);
}

#[test]
fn a_siren_without_a_pause_that_is_normally_energised_sounds_without_an_end() {
    let (mut farm, mut board, modem) = endless("endless-held", "normally_energised = true");
    farm.until("it is held, and quiet", |_| board.is_on());
    board.show(31_000);
    farm.until("the siren sounds", |_| !board.is_on());
    let held = board.times_on();
    // Longer than `on` of its pattern.
    std::thread::sleep(std::time::Duration::from_secs(15));
    assert_eq!((board.is_on(), board.times_on()), (false, held), "expected it to sound without a pause");

    take_on(&mut farm, &modem);
    farm.until("the siren stops", |_| board.is_on());
    farm.until("it is over", |farm| alert(farm)["state"] == "firing");
    farm.until("the siren sounds again", |_| !board.is_on());
}

/// The alert about the modem.
fn modem_alert(farm: &Farm) -> Value {
    let rows = farm.ask(&["alerts", "--json"]).out;
    let mut rows = rows.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    rows.find(|row| row["rule"] == "channel-down").unwrap_or_default()
}

/// Guards against: a modem whose unplugging stays unknown until its SMS are needed.
#[test]
fn a_modem_that_is_unplugged_is_an_alert_that_the_siren_sounds() {
    let (mut farm, board, modem) = farm("modem-gone");
    launch(&mut farm);
    let link = farm.folder.path().join("usb-modem");
    drop(modem);
    farm.until("somebody is told", |farm| modem_alert(farm)["state"] == "firing");
    let alert = modem_alert(&farm);
    assert_eq!((&alert["sensor"], &alert["severity"]), (&Value::from("notify/sms"), &Value::from("critical")));
    farm.until("the siren sounds", |_| board.is_on());
    assert_eq!(channel(&farm, "sms")["waiting"], 0, "it is not told by itself");

    farm.kill();
    farm.until("the board's own timer ends the sound", |_| !board.is_on());
    farm.launch();
    farm.until("the siren sounds again", |_| board.is_on());
    assert_eq!(modem_alert(&farm)["alert"], alert["alert"], "it is the same alert");

    let _modem = Modem::plug_in(&link);
    farm.until("it is over", |farm| modem_alert(farm).is_null());
    farm.until("the siren is quiet", |_| !board.is_on());
}

#[test]
fn a_modem_that_cannot_send_says_why_and_sends_once_it_can() {
    let (mut farm, mut board, modem) = farm("modem-trouble");
    modem.script().is_registered = false;
    farm.launch();
    farm.until("there is no network", |farm| {
        channel(farm, "sms")["unavailable"] == "not registered: no network or no antenna"
    });
    let tried = farm.ask(&["notify-test", "sms", "--by", "anna"]);
    assert!(tried.code == Some(1) && tried.err.contains("not registered: no network or no antenna"), "{tried:?}");
    farm.until("the board is up", |farm| farm.status().is_some_and(|status| status["buses"][0]["state"] == "up"));
    board.show(31_000);
    farm.until("an SMS waits", |farm| channel(farm, "sms")["waiting"].as_u64() > Some(0));
    modem.script().errors.extend([38, 38, 42]);
    modem.script().is_registered = true;
    farm.until("it is sent", |_| !texts(&modem, ANNA).is_empty() && !texts(&modem, BEN).is_empty());
    farm.until("its arrival is reported", |farm| {
        channel(farm, "sms")["server"].as_str().is_some_and(|server| server.contains("last SMS arrived at +49.."))
    });
    assert!(farm.log().contains("the network is congested (+CMS ERROR: 42)"), "{}", farm.log());

    // Pulled out and plugged in again.
    let link = farm.folder.path().join("usb-modem");
    drop(modem);
    farm.until("it is gone", |farm| {
        channel(farm, "sms")["unavailable"].as_str().is_some_and(|why| why.contains("there is no such port"))
    });
    let modem = Modem::plug_in(&link);
    farm.until("it is back", |farm| channel(farm, "sms")["unavailable"].is_null());
    let tried = farm.ask(&["notify-test", "sms", "--by", "anna"]);
    assert!(tried.out.contains("channel sms delivered the test"), "{tried:?}");
    assert!(texts(&modem, ANNA).contains(&"Test: channel sms works; anna asked for this.".to_owned()));

    let tried = farm.ask(&["notify-test", "siren", "--by", "anna"]);
    assert!(tried.out.contains("channel siren delivered the test"), "{tried:?}");
}

/// A farm whose SIM is locked with a PIN of eight digits; the file of its secret has another one.
fn locked_farm(name: &str, secret: &str) -> (Farm, Board, Modem) {
    let (farm, board, modem) = farm(name);
    let config = FARM.replace("port = 'usb-modem'\n", "port = 'usb-modem'\npin = 'secret:sim'\n");
    farm.folder.write("etc/config.d/farm.toml", config);
    write_pin(&farm, secret);
    modem.script().pin = Some(PIN.to_owned());
    (farm, board, modem)
}

const PIN: &str = "82640157";

fn write_pin(farm: &Farm, pin: &str) {
    farm.folder.write("etc/secrets/sim", pin);
    let file = farm.folder.path().join("etc/secrets/sim");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

fn pins_entered(modem: &Modem) -> usize {
    modem.script().commands.iter().filter(|command| command.starts_with("AT+CPIN=")).count()
}

/// Guards against: a SIM that is locked to its PUK by three starts of an agent whose PIN is wrong.
#[test]
fn a_wrong_pin_is_entered_once_over_restarts_and_the_right_one_once_it_is_there() {
    let (mut farm, _board, modem) = locked_farm("sim-pin", "73915046");
    modem.script().says_pin_tries = false;
    for run in ["first", "second"] {
        farm.launch();
        farm.until("the SIM is locked", |farm| {
            let why = channel(farm, "sms")["unavailable"].clone();
            why.as_str().is_some_and(|why| why.starts_with("PIN of the SIM not accepted: wrong PIN"))
        });
        assert_eq!(pins_entered(&modem), 1, "{run} run");
        farm.kill();
    }
    write_pin(&farm, PIN);
    launch(&mut farm);
    assert_eq!((pins_entered(&modem), modem.script().pin_tries), (2, 3));
    assert!(!farm.log().contains("73915046") && !farm.log().contains(PIN), "{}", farm.log());
    assert!(
        !farm.folder.path().join("data/sim-pin.sms").exists(),
        "expected nothing to be kept of a PIN that is right"
    );
}

/// Guards against: SMS that stay off for good though the PIN is right, since the power failed while it was entered.
#[test]
fn a_pin_is_entered_again_after_the_power_failed_while_it_was_entered() {
    let (mut farm, _board, modem) = locked_farm("sim-power", PIN);
    modem.script().fails_at_pin = true;
    farm.launch();
    farm.until("the PIN is entered", |_| pins_entered(&modem) == 1);
    farm.kill();
    let kept = farm.folder.path().join("data/sim-pin.sms");
    assert!(fs::read_to_string(&kept).unwrap().contains("the modem did not answer"));
    let modem = modem.plug_in_again();
    modem.script().is_dead = false;
    launch(&mut farm);
    assert_eq!(pins_entered(&modem), 2);
    assert!(!kept.exists(), "expected nothing to be kept of a PIN that is right");
}
