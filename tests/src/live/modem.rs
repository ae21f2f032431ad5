//! A modem on a serial line, as the agent finds it: AT commands, prompts, notices at awkward moments, delivery reports, SMS both ways.
//! Written from 3GPP TS 27.005 and TS 23.040, apart from the agent's own code.

mod pdu;

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::board::{release, serial_line};

/// How often the modem looks at its line.
const LOOK: Duration = Duration::from_millis(3);

/// An SMS that the agent sent; parts of a long one are one each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Number.
    pub to: String,
    /// Text.
    pub text: String,
    /// Part and parts of a long one.
    pub part: Option<(u8, u8)>,
    /// Minutes for which the network tries.
    pub valid_min: u32,
    /// When the modem had it.
    pub at: Instant,
}

/// How a modem behaves, and what it has seen; a test changes it at any time.
#[derive(Debug)]
pub struct Script {
    /// Whether there is a network.
    pub is_registered: bool,
    /// PIN that the SIM wants.
    pub pin: Option<String>,
    /// Wrong PINs that the SIM still takes.
    pub pin_tries: u8,
    /// Whether the modem says how many.
    pub says_pin_tries: bool,
    /// Whether the power fails as the next PIN comes: the modem does not take it, and is dead.
    pub fails_at_pin: bool,
    /// `+CMS ERROR` of the next SMS, one each.
    pub errors: VecDeque<u16>,
    /// Time that the network takes for an SMS.
    pub delay: Duration,
    /// Whether delivery reports come.
    pub has_reports: bool,
    /// Whether notices come in the middle of everything.
    pub has_notices: bool,
    /// Whether the modem answers at all.
    pub is_dead: bool,
    /// SMS that the agent sent.
    pub sent: Vec<Sent>,
    /// Commands that the agent gave.
    pub commands: Vec<String>,
    /// Messages in the storage, by slot.
    storage: BTreeMap<u16, String>,
    /// Bytes that the modem will say, each at its time.
    said: VecDeque<(Instant, Vec<u8>)>,
    /// The line is pulled out.
    is_gone: bool,
}

/// A modem that is plugged in; dropped, it is pulled out.
#[derive(Debug)]
pub struct Modem {
    script: Arc<Mutex<Script>>,
    link: PathBuf,
    thread: Option<JoinHandle<()>>,
}

/// The modem at its end of the line.
struct Device {
    end: File,
    /// Held open: a pty without a reader hangs up its writer.
    port: File,
    script: Arc<Mutex<Script>>,
    typed: Vec<u8>,
    has_echo: bool,
    is_unlocked: bool,
    /// Octets of the SMS for which the modem has asked.
    prompted: Option<usize>,
    reference: u8,
}

impl Script {
    fn new() -> Script {
        Script {
            is_registered: true,
            pin: None,
            pin_tries: 3,
            says_pin_tries: true,
            fails_at_pin: false,
            errors: VecDeque::new(),
            delay: Duration::from_millis(200),
            has_reports: true,
            has_notices: true,
            is_dead: false,
            sent: Vec::new(),
            commands: Vec::new(),
            storage: BTreeMap::new(),
            said: VecDeque::new(),
            is_gone: false,
        }
    }

    /// Texts that the agent sent to a number, the parts of a long one joined.
    #[must_use]
    pub fn texts_to(&self, number: &str) -> Vec<String> {
        let mut texts: Vec<String> = Vec::new();
        for sent in self.sent.iter().filter(|sent| sent.to == number) {
            match (sent.part, texts.last_mut()) {
                (Some((part, _)), Some(last)) if part > 1 => last.push_str(&sent.text),
                _ => texts.push(sent.text.clone()),
            }
        }
        texts
    }

    /// Messages in the storage.
    #[must_use]
    pub fn stored(&self) -> usize {
        self.storage.len()
    }

    fn say(&mut self, after: Duration, text: &str) {
        self.said.push_back((Instant::now() + after, format!("\r\n{text}\r\n").into_bytes()));
    }

    fn store(&mut self, pdu: String) -> u16 {
        let slot = (1..).find(|slot| !self.storage.contains_key(slot)).expect("a slot is free");
        self.storage.insert(slot, pdu);
        slot
    }
}

impl Modem {
    /// Plugs a modem in, so that its line is found at a link.
    ///
    /// # Panics
    /// When the machine gives no pseudo-terminal, or the link is there already.
    #[must_use]
    pub fn plug_in(link: &Path) -> Modem {
        Modem::with(link, Script::new())
    }

    /// Plugs the modem in again after it was pulled out, with what it has seen and what is in its storage.
    ///
    /// # Panics
    /// As [`Modem::plug_in`].
    #[must_use]
    pub fn plug_in_again(self) -> Modem {
        let link = self.link.clone();
        let mut script = self.script();
        let before = std::mem::replace(&mut *script, Script::new());
        script.is_gone = true;
        drop(script);
        drop(self);
        Modem::with(&link, Script { is_gone: false, said: VecDeque::new(), ..before })
    }

    fn with(link: &Path, script: Script) -> Modem {
        let (end, port, path) = serial_line().expect("a pseudo-terminal");
        let flags = fcntl_getfl(&end).expect("flags of the line");
        fcntl_setfl(&end, flags | OFlags::NONBLOCK).expect("a line that does not block");
        symlink(path, link).expect("a link to it");
        let script = Arc::new(Mutex::new(script));
        let mut device = Device {
            end,
            port,
            script: Arc::clone(&script),
            typed: Vec::new(),
            has_echo: true,
            is_unlocked: false,
            prompted: None,
            reference: 40,
        };
        let thread = std::thread::spawn(move || device.run());
        Modem { script, link: link.to_owned(), thread: Some(thread) }
    }

    /// How it behaves, and what it has seen.
    ///
    /// # Panics
    /// When a test panicked while it had this.
    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("no thread panicked with it")
    }

    /// Somebody sends an SMS to the modem, which keeps it in its storage.
    pub fn receive(&self, from: &str, text: &str) {
        let mut script = self.script();
        let slot = script.store(pdu::deliver(from, text));
        script.say(Duration::ZERO, &format!("+CMTI: \"SM\",{slot}"));
    }
}

impl Drop for Modem {
    fn drop(&mut self) {
        self.script().is_gone = true;
        let _ = fs::remove_file(&self.link);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Device {
    fn run(&mut self) {
        let mut bytes = [0; 512];
        loop {
            let due = {
                let mut script = self.script.lock().expect("no thread panicked with it");
                if script.is_gone {
                    return;
                }
                let is_due = script.said.front().is_some_and(|(due, _)| *due <= Instant::now());
                if is_due { script.said.pop_front() } else { None }
            };
            if let Some((_, said)) = due {
                self.write(&said);
            }
            match self.end.read(&mut bytes) {
                Ok(read) => bytes[..read].iter().for_each(|byte| self.take(*byte)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    release(&self.port);
                    std::thread::sleep(LOOK);
                }
                Err(_) => std::thread::sleep(LOOK),
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        // A line that is full because it is not read loses what is said, as a real one does.
        let _ = self.end.write_all(bytes);
    }

    fn take(&mut self, byte: u8) {
        if self.script.lock().expect("no thread panicked with it").is_dead {
            return;
        }
        if self.has_echo {
            self.write(&[byte]);
        }
        match (byte, self.prompted) {
            (0x1B, _) => {
                self.typed.clear();
                if self.prompted.take().is_some() {
                    self.write(b"\r\nOK\r\n");
                }
            }
            (0x1A, Some(octets)) => {
                self.prompted = None;
                let pdu = String::from_utf8_lossy(&std::mem::take(&mut self.typed)).trim().to_owned();
                self.submit(&pdu, octets);
            }
            (b'\r', None) => {
                let command = String::from_utf8_lossy(&std::mem::take(&mut self.typed)).trim().to_owned();
                if !command.is_empty() {
                    self.command(&command);
                }
            }
            _ => self.typed.push(byte),
        }
    }

    fn command(&mut self, command: &str) {
        let script = Arc::clone(&self.script);
        let mut script = script.lock().expect("no thread panicked with it");
        script.commands.push(command.to_owned());
        if script.fails_at_pin && command.starts_with("AT+CPIN=") {
            (script.fails_at_pin, script.is_dead) = (false, true);
            return;
        }
        if script.has_notices {
            script.said.push_back((Instant::now(), b"\r\n+CREG: ".to_vec()));
            let state = if script.is_registered && !self.is_locked(&script) { "1\r\n" } else { "0\r\n" };
            script.said.push_back((Instant::now(), state.as_bytes().to_vec()));
        }
        let answer = self.answer(&mut script, command);
        script.say(Duration::from_millis(5), &answer);
    }

    fn is_locked(&self, script: &Script) -> bool {
        script.pin.is_some() && !self.is_unlocked
    }

    fn answer(&mut self, script: &mut Script, command: &str) -> String {
        let is_locked = self.is_locked(script);
        let ok = |text: &str| format!("{text}\r\n\r\nOK");
        let (name, value) = command.split_at(command.find(['=', '?']).unwrap_or(command.len()));
        match (name, value.trim_start_matches(['=', '?'])) {
            ("ATE0", _) => {
                self.has_echo = false;
                "OK".to_owned()
            }
            ("AT" | "AT+CMEE" | "AT+CMGF" | "AT+CNMI", _) => "OK".to_owned(),
            ("AT+CPIN", "") if script.pin_tries == 0 => ok("+CPIN: SIM PUK"),
            ("AT+CPIN", "") => ok(if is_locked { "+CPIN: SIM PIN" } else { "+CPIN: READY" }),
            ("AT+CPINR", _) if script.says_pin_tries => ok(&format!("+CPINR: SIM PIN,{},3", script.pin_tries)),
            ("AT+CPIN", entered) if script.pin.as_deref() == Some(entered.trim_matches('"')) => {
                (self.is_unlocked, script.pin_tries) = (true, 3);
                "OK".to_owned()
            }
            ("AT+CPIN", _) => {
                script.pin_tries = script.pin_tries.saturating_sub(1);
                "+CME ERROR: 16".to_owned()
            }
            ("AT+CREG", _) => ok(&format!("+CREG: 0,{}", u8::from(script.is_registered && !is_locked))),
            ("AT+CSQ", _) => ok(if script.is_registered { "+CSQ: 18,99" } else { "+CSQ: 99,99" }),
            _ if is_locked => "+CMS ERROR: 311".to_owned(),
            ("AT+CPMS", _) => ok(&format!("+CPMS: {0},30,{0},30,{0},30", script.storage.len())),
            ("AT+CMGL", _) => {
                let list = script
                    .storage
                    .iter()
                    .map(|(slot, pdu)| format!("+CMGL: {slot},0,,{}\r\n{pdu}\r\n", pdu.len() / 2 - 1));
                ok(&list.collect::<String>())
            }
            ("AT+CMGD", slot) => {
                slot.parse().map(|slot: u16| script.storage.remove(&slot)).ok();
                "OK".to_owned()
            }
            ("AT+CMGS", octets) => match script.errors.pop_front() {
                Some(error) => format!("+CMS ERROR: {error}"),
                None => {
                    self.prompted = octets.parse().ok();
                    // No end of line follows a prompt.
                    script.said.push_back((Instant::now() + Duration::from_millis(5), b"\r\n> ".to_vec()));
                    "+CSQN: 18".to_owned()
                }
            },
            _ => "ERROR".to_owned(),
        }
    }

    /// Takes an SMS, and says so once the network would have it.
    fn submit(&mut self, digits: &str, octets: usize) {
        let script = Arc::clone(&self.script);
        let mut script = script.lock().expect("no thread panicked with it");
        let Some(sent) = pdu::submitted(digits).filter(|_| digits.len() / 2 == octets + 1) else {
            return script.say(Duration::ZERO, "+CMS ERROR: 304");
        };
        if !script.is_registered {
            return script.say(Duration::ZERO, "+CMS ERROR: 331");
        }
        self.reference = self.reference.wrapping_add(1);
        let (delay, reference) = (script.delay, self.reference);
        if script.has_notices {
            script.say(delay / 2, "RING");
        }
        script.say(delay, &format!("+CMGS: {reference}\r\n\r\nOK"));
        if script.has_reports {
            let report = pdu::report(reference, &sent.to);
            script.say(delay * 2, &format!("+CDS: {}\r\n{report}", report.len() / 2 - 1));
        }
        script.sent.push(sent);
    }
}
