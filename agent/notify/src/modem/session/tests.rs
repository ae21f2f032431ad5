//! Talks with modems: every edge of the chart, notices between anything, locks of the SIM, and any bytes.

use std::cell::Cell;

use proptest::prelude::*;

use super::pin::NO_ANSWER;
use super::*;
use crate::modem::pdu::submits;

/// An SMS `ACK 31` of +4915112345678, and a report that the SMS with reference 43 arrived.
const ACK: &str = "00040D91945111325476F800006211272222030006C1E112348B01";
const ARRIVED: &str = "00062B0D91945111325476F86211722140408062117221504080 00";

/// A session with a modem whose answers are a function of what is written to it.
struct Talk {
    session: Session,
    now: Uptime,
    written: Vec<String>,
    effects: Vec<Effect>,
}

impl Talk {
    fn new(pin: Option<&str>) -> Talk {
        let session = Session { pin: pin.map(Secret::of), ..Session::default() };
        Talk { session, now: Uptime(0), written: Vec::new(), effects: Vec::new() }
    }

    fn give(&mut self, input: Input<'_>) {
        self.session.handle(self.now, input);
        while let Some(effect) = self.session.poll() {
            match effect {
                Effect::Write(text) => self.written.push(text),
                other => self.effects.push(other),
            }
        }
    }

    fn say(&mut self, line: &str) {
        self.give(Input::Bytes(format!("\r\n{line}\r\n").as_bytes()));
    }

    fn wait(&mut self, seconds: i64) {
        self.now = self.now + Span::from_secs(seconds);
        self.give(Input::Tick);
    }

    /// Answers what is written until nothing is asked; `answer` says what is not an `OK`.
    fn answer(&mut self, answer: impl Fn(&str) -> Option<&'static str>) {
        while let Some(asked) = self.asked() {
            self.written.clear();
            let lines = answer(&asked).unwrap_or(match asked.as_str() {
                "AT+CPIN?" => "+CPIN: READY\nOK",
                "AT+CREG?" => "+CREG: 0,1\nOK",
                "AT+CEREG?" => "ERROR",
                "AT+CSQ" => "+CSQ: 18,99\nOK",
                _ => "OK",
            });
            lines.split('\n').filter(|line| !line.is_empty()).for_each(|line| self.say(line));
            if lines.is_empty() {
                break;
            }
        }
    }

    /// The last command that was written and that waits for its answer.
    fn asked(&self) -> Option<String> {
        matches!(self.session.state, State::Asked { .. })
            .then(|| self.written.last().map(|last| last.trim().to_owned()))?
    }

    fn ready() -> Talk {
        let mut talk = Talk::new(None);
        talk.give(Input::Opened);
        talk.answer(|_| None);
        assert_eq!((talk.session.problem(), talk.session.is_settled()), (None, true));
        talk
    }

    fn submit(&mut self) {
        self.written.clear();
        self.give(Input::Submit(submits("+4915112345678", "hello", 1).remove(0)));
    }

    fn failed(&mut self) -> SendFailure {
        let Some(Effect::Submitted(Err(failure))) = self.effects.pop() else { panic!("{:?}", self.effects) };
        failure
    }
}

#[test]
fn every_edge_of_the_chart() {
    // Closed -> Idle -> Asked -> Idle, through a whole round.
    let mut talk = Talk::ready();
    assert_eq!((talk.session.state, talk.session.network().as_str()), (State::Idle, "registered, signal 18 of 31"));
    // Idle -> Asked, as the next round is due; Asked -> Idle by an error, and by silence.
    talk.wait(60);
    assert_eq!(talk.asked().as_deref(), Some("AT"));
    talk.answer(|asked| (asked == "AT+CNMI=2,1,0,1,0").then_some("+CMS ERROR: 303"));
    assert_eq!(talk.session.state, State::Idle);
    talk.wait(60);
    talk.answer(|asked| (asked == "AT+CSQ").then_some(""));
    talk.wait(10);
    talk.answer(|_| None);
    assert_eq!(talk.session.state, State::Idle);
    // Idle -> Prompting -> Submitting -> Idle.
    talk.submit();
    assert_eq!(
        (talk.written.concat().as_str(), matches!(talk.session.state, State::Prompting { .. })),
        ("AT+CMGS=20\r", true)
    );
    talk.give(Input::Bytes(b"\r\n> "));
    assert!(talk.written[1].ends_with("E8329BFD06\u{1a}") && matches!(talk.session.state, State::Submitting { .. }));
    talk.say("+CMGS: 43");
    assert_eq!(talk.effects, []);
    talk.say("OK");
    assert_eq!((talk.effects.pop(), talk.session.state), (Some(Effect::Submitted(Ok(43))), State::Idle));
    // Prompting -> Idle by an error, and by silence.
    talk.submit();
    talk.say("+CMS ERROR: 310");
    assert!(talk.failed().reason.starts_with("there is no SIM"));
    talk.answer(|_| None);
    talk.submit();
    talk.wait(10);
    assert!(!talk.failed().may_have_arrived && talk.written.contains(&"\u{1b}".to_owned()));
    talk.answer(|_| None);
    // Submitting -> Idle by an error, by silence, and by a missing OK.
    talk.submit();
    talk.give(Input::Bytes(b"> "));
    talk.say("+CMS ERROR: 1");
    assert!(talk.failed().is_of_the_number);
    talk.answer(|_| None);
    talk.submit();
    talk.give(Input::Bytes(b"> "));
    talk.wait(120);
    assert!(talk.failed().may_have_arrived);
    talk.answer(|_| None);
    talk.submit();
    talk.give(Input::Bytes(b"> "));
    talk.say("+CMGS: 44");
    talk.wait(10);
    assert_eq!(talk.effects.pop(), Some(Effect::Submitted(Ok(44))));
    // To Closed from each: by the line, and by silence.
    talk.submit();
    talk.give(Input::Bytes(b"> "));
    talk.give(Input::Closed("unplugged".to_owned()));
    assert_eq!((talk.failed().may_have_arrived, talk.session.state), (true, State::Closed));
    talk.give(Input::Opened);
    for _ in 0..QUESTIONS {
        assert_eq!(talk.asked().as_deref(), Some("AT"));
        talk.wait(2);
    }
    assert_eq!((talk.effects.pop(), talk.session.state), (Some(Effect::Reopen), State::Closed));
    assert!(talk.session.problem().is_some_and(|why| why.starts_with("the modem does not answer")));
}

#[test]
fn notices_come_between_anything() {
    let mut talk = Talk::ready();
    talk.submit();
    talk.give(Input::Bytes(b"\r\n+CREG: 1\r\nRING\r\nAT+CMGS=20\r\r\n> "));
    talk.say(&format!("+CMT: ,24\r\n{ACK}"));
    talk.say(&format!("+CDS: 25\r\n{}", ARRIVED.replace(' ', "")));
    talk.say("+CMTI: \"SM\",3");
    talk.say("+CMGS: 43");
    talk.say("OK");
    let came = Sms { from: "+4915112345678".to_owned(), text: "ACK 31".to_owned() };
    let to = "+4915112345678".to_owned();
    let report = DeliveryReport { reference: 43, to, arrived: Some(true), status: 0 };
    assert_eq!(talk.effects, [Effect::Received(came, None), Effect::Reported(report), Effect::Submitted(Ok(43))]);
    assert_eq!(talk.asked().as_deref(), Some("AT+CMGL=4"));
}

#[test]
fn the_storage_is_read_at_the_start_and_emptied() {
    let mut talk = Talk::new(None);
    talk.give(Input::Opened);
    let list = "+CMGL: 1,1,,24\n00040D91945111325476F800006211272222030006C1E112348B01\n\
                +CMGL: 2,0,,9\nzz\n+CMGL: 5,0,,3\n0004\n+CMGL: 7,3,,3\n0011\nOK";
    talk.answer(|asked| (asked == "AT+CMGL=4").then_some(list));
    let Some(Effect::Received(sms, Some(1))) = talk.effects.pop() else { panic!("{:?}", talk.effects) };
    assert_eq!(sms.text, "ACK 31");
    // What cannot be read is deleted; what was to be sent is left alone; what was received is deleted once it is dealt with.
    talk.written.clear();
    talk.give(Input::Done(1));
    assert_eq!(talk.asked().as_deref(), Some("AT+CMGD=1"));
    talk.say("OK");
    assert_eq!(talk.session.slots, BTreeSet::new());
}

#[test]
fn a_locked_sim_and_a_missing_network_say_what_to_do() {
    let problem = |asked: &'static str, answer: &'static str| {
        let mut talk = Talk::new(None);
        talk.give(Input::Opened);
        talk.answer(|command| (command == asked).then_some(answer));
        talk.session.problem().unwrap_or_default()
    };
    for (asked, answer, expected) in [
        ("AT+CPIN?", "+CPIN: SIM PIN\nOK", "the SIM wants a PIN: set pin of the channel"),
        ("AT+CPIN?", "+CPIN: SIM PUK\nOK", "the SIM wants its PUK: too many wrong PINs; unlock it in a phone"),
        ("AT+CPIN?", "+CME ERROR: 10", "there is no SIM (+CME ERROR: 10)"),
        ("AT+CREG?", "+CREG: 0,0\nOK", "not registered: no network or no antenna"),
        ("AT+CREG?", "+CREG: 0,2\nOK", "not registered: still searching for a network; is the antenna connected?"),
        ("AT+CREG?", "+CREG: 2,3,\"00\",\"00\"\nOK", "not registered: the network denies this SIM; is it active?"),
    ] {
        assert_eq!(problem(asked, answer), expected);
    }
    // The second PIN bars no SMS; 9 and 10 are registered with calls by the data network (TS 27.007, sections 8.3 and 7.2).
    let ready = [
        ("AT+CPIN?", "+CPIN: SIM PIN2\nOK"),
        ("AT+CPIN?", "+CPIN: SIM PUK2\nOK"),
        ("AT+CREG?", "+CREG: 0,9\nOK"),
        ("AT+CREG?", "+CREG: 0,10\nOK"),
    ];
    assert_eq!(ready.map(|(asked, answer)| problem(asked, answer)), [""; 4]);
    let mut talk = Talk::ready();
    talk.say("+CREG: 10");
    assert_eq!(talk.session.network(), "registered, roaming, signal 18 of 31");
    talk.say("+CREG: 0");
    talk.submit();
    assert_eq!(talk.failed().reason, "not registered: no network or no antenna");
}

/// A SIM that rejects every PIN, in a modem that does not say how many tries are left; it counts the PINs that it gets.
fn reject(entered: &Cell<u32>, asked: &str) -> Option<&'static str> {
    match asked {
        "AT+CPIN?" => Some("+CPIN: SIM PIN\nOK"),
        "AT+CPINR=\"SIM PIN\"" | "AT+SPIC" | "AT^CPIN?" => Some("ERROR"),
        _ if asked.starts_with("AT+CPIN=") => {
            entered.set(entered.get() + 1);
            Some("+CME ERROR: 16")
        }
        _ => None,
    }
}

/// What was last said of the PIN.
fn tried(talk: &Talk) -> Option<String> {
    let mut said = talk.effects.iter().filter_map(|effect| match effect {
        Effect::PinTried(tried) => Some(tried.clone()),
        _ => None,
    });
    said.next_back().expect("the PIN was entered")
}

#[test]
fn a_pin_that_was_rejected_is_not_entered_again_by_this_process_or_a_later_one() {
    let entered = Cell::new(0);
    let mut talk = Talk::new(Some("1234"));
    talk.give(Input::Opened);
    for _ in 0..5 {
        talk.answer(|asked| reject(&entered, asked));
        talk.wait(10);
    }
    let why = "PIN of the SIM not accepted: wrong PIN (+CME ERROR: 16); it is not tried again until its secret is written anew";
    assert_eq!((entered.get(), talk.session.problem().as_deref(), talk.session.wants_pin()), (1, Some(why), true));

    let mut later = Talk::new(None);
    later.session.set_pin(Secret::of("1234"), tried(&talk));
    later.give(Input::Opened);
    later.answer(|asked| reject(&entered, asked));
    assert_eq!((entered.get(), later.session.problem().as_deref()), (1, Some(why)));
    later.session.set_pin(Secret::of("4321"), None);
    later.wait(10);
    later.answer(|asked| reject(&entered, asked));
    assert_eq!(entered.get(), 2, "another PIN");
}

#[test]
fn a_pin_without_an_answer_counts_as_tried_until_the_sim_is_unlocked() {
    let entered = Cell::new(0);
    let mut talk = Talk::new(Some("1234"));
    talk.give(Input::Opened);
    talk.answer(|asked| if asked.starts_with("AT+CPIN=") { Some("") } else { reject(&entered, asked) });
    assert_eq!(tried(&talk).as_deref(), Some("the modem did not answer"), "expected it to be kept before an answer");
    assert!(!talk.session.wants_pin(), "it is being entered");
    talk.wait(10);
    talk.answer(|asked| reject(&entered, asked));
    talk.wait(10);
    talk.answer(|asked| reject(&entered, asked));
    let problem = talk.session.problem().unwrap();
    assert!(entered.get() == 0 && problem.contains("the modem did not answer; it is tried again once"), "{problem}");
    talk.wait(10);
    talk.answer(|_| None);
    assert_eq!((tried(&talk), talk.session.problem()), (None, None), "READY says that the SIM took it");
}

/// A SIM that takes `1234`, in a modem that says how many tries are left; it counts the PINs that it gets.
fn accept(entered: &Cell<u32>, left: &'static str, asked: &str) -> Option<&'static str> {
    match asked {
        "AT+CPIN?" if entered.get() == 0 => Some("+CPIN: SIM PIN\nOK"),
        "AT+CPINR=\"SIM PIN\"" => Some(left),
        "AT+CPIN=\"1234\"" => {
            entered.set(entered.get() + 1);
            Some("OK")
        }
        _ => None,
    }
}

const THREE_LEFT: &str = "+CPINR: SIM PIN,3,3\nOK";

/// Guards against: SMS that stay off for good after two power failures in a row, though the PIN is right.
#[test]
fn a_pin_whose_answer_got_lost_is_entered_again_once_the_modem_says_that_no_try_is_gone() {
    for (left, expected) in [(THREE_LEFT, 1), ("+CPINR: SIM PIN,2,3\nOK", 0), ("ERROR", 0), ("OK", 0)] {
        let entered = Cell::new(0);
        let mut later = Talk::new(None);
        later.session.set_pin(Secret::of("1234"), Some(NO_ANSWER.to_owned()));
        later.give(Input::Opened);
        later.answer(|asked| accept(&entered, left, asked).or_else(|| reject(&Cell::new(0), asked)));
        assert_eq!((entered.get(), later.session.problem().is_none()), (expected, expected == 1), "{left}");
        let tried = later.effects.pop();
        assert_eq!(tried, (expected == 1).then_some(Effect::PinTried(None)), "{left}");
    }
    // One that a SIM rejected is not entered again, whatever the modem says.
    let entered = Cell::new(0);
    let mut later = Talk::new(None);
    later.session.set_pin(Secret::of("1234"), Some("wrong PIN (+CME ERROR: 16)".to_owned()));
    later.give(Input::Opened);
    later.answer(|asked| accept(&entered, THREE_LEFT, asked));
    assert_eq!(entered.get(), 0);
}

/// Guards against: a number of tries from before the PIN, which a modem that was busy says after it.
#[test]
fn tries_that_may_be_said_late_do_not_count_and_what_is_wrong_stays_the_same_meanwhile() {
    let entered = Cell::new(0);
    let mut talk = Talk::new(Some("1234"));
    talk.give(Input::Opened);
    let silent = |asked: &str| asked.starts_with("AT+CPIN=").then_some("");
    talk.answer(|asked| silent(asked).or_else(|| accept(&entered, THREE_LEFT, asked)));
    talk.wait(10);
    let problem = talk.session.problem();
    assert!(problem.as_ref().is_some_and(|why| why.contains("the modem did not answer")), "{problem:?}");
    for _ in 0..11 {
        talk.answer(|asked| {
            assert!(!asked.starts_with("AT+CPIN="), "an answer may still be late");
            accept(&entered, THREE_LEFT, asked)
        });
        talk.wait(10);
        talk.say("+CPIN: SIM PIN");
        assert_eq!(talk.session.problem(), problem, "each change is logged");
    }
    for _ in 0..2 {
        talk.answer(|asked| accept(&entered, THREE_LEFT, asked));
        talk.wait(10);
    }
    assert_eq!((entered.get(), talk.session.problem(), tried(&talk)), (1, None, None));
}

/// The modem says OK to the command before, and then what became of the PIN.
#[test]
fn a_late_ok_does_not_say_that_a_pin_is_right() {
    let entered = Cell::new(0);
    let mut talk = Talk::new(Some("1234"));
    talk.give(Input::Opened);
    let silent = |asked: &str| (asked == "AT^CPIN?").then_some("");
    talk.answer(|asked| silent(asked).or_else(|| reject(&entered, asked)));
    talk.wait(10);
    assert_eq!(talk.asked().as_deref(), Some("AT+CPIN=\"1234\""));
    talk.say("OK");
    for _ in 0..5 {
        talk.answer(|asked| reject(&entered, asked));
        talk.wait(10);
    }
    assert_eq!(entered.get(), 0, "expected no second attempt");
}

#[test]
fn a_pin_is_never_entered_when_a_try_is_gone() {
    for (asks, answer) in [
        ("AT+CPINR=\"SIM PIN\"", "+CPINR: SIM PIN,2,3\nOK"),
        ("AT+SPIC", "+SPIC: 2,10,0,10\nOK"),
        ("AT^CPIN?", "^CPIN: SIM PIN,2,10,2,10,3\nOK"),
    ] {
        let entered = Cell::new(0);
        let mut talk = Talk::new(Some("4321"));
        talk.give(Input::Opened);
        talk.answer(|asked| if asked == asks { Some(answer) } else { reject(&entered, asked) });
        let problem = talk.session.problem().unwrap();
        assert!(entered.get() == 0 && problem.contains("2 tries are left"), "{asks}: {problem}");
    }
}

#[test]
fn a_right_pin_is_entered_and_kept_by_nobody() {
    let mut right = Talk::new(Some("1234"));
    right.give(Input::Opened);
    right.answer(|asked| (asked == "AT+CPIN?").then_some("+CPIN: SIM PIN\nOK"));
    assert_eq!(tried(&right), None);
    right.wait(10);
    right.answer(|_| None);
    assert_eq!(right.session.problem(), None);
}

/// Guards against: an SMS that is sent twice, since the error of another command was taken for its own; and one that is not tried again, since
/// the modem gives no reason.
#[test]
fn an_error_that_may_be_of_another_command_does_not_say_that_no_sms_was_sent() {
    let submitting = |talk: &mut Talk| {
        talk.submit();
        talk.give(Input::Bytes(b"> "));
    };
    let mut talk = Talk::ready();
    for error in ["ERROR", "+CME ERROR: 30"] {
        submitting(&mut talk);
        talk.say(error);
        assert!(!talk.failed().may_have_arrived, "{error}: no other command waits for its answer");
        talk.answer(|_| None);
    }
    talk.wait(60);
    talk.answer(|asked| (asked == "AT+CSQ").then_some(""));
    talk.wait(10);
    talk.answer(|_| None);
    submitting(&mut talk);
    talk.say("+CMS ERROR: 302");
    assert!(talk.failed().may_have_arrived, "AT+CSQ may have its answer late");
    talk.answer(|_| None);
    talk.wait(60);
    talk.answer(|_| None);
    talk.wait(60);
    talk.answer(|_| None);
    submitting(&mut talk);
    talk.say("+CMS ERROR: 42");
    assert!(!talk.failed().may_have_arrived);
}

proptest! {
    #[test]
    fn any_bytes_are_survived_and_a_modem_that_answers_again_is_used(
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..40),
        lines in prop::collection::vec("(\\+CM(GL|T|TI|GS): ?[0-9,]{0,8}|OK|ERROR|> |RDY|\\+CPIN: SIM PIN|[0-9A-F]{0,60})\r\n", 0..40),
        steps in prop::collection::vec(0_i64..40, 0..40),
    ) {
        let mut talk = Talk::new(Some("1234"));
        talk.give(Input::Opened);
        let said = noise.into_iter().chain(lines.into_iter().map(String::into_bytes));
        for (bytes, step) in said.zip(steps.into_iter().cycle()) {
            talk.give(Input::Bytes(&bytes));
            talk.wait(step);
            prop_assert!(talk.session.commands.len() <= ROUND.len() + 2 * MAX_SLOTS);
        }
        talk.give(Input::Closed("unplugged".to_owned()));
        talk.session.set_pin(Secret::of("1111"), None);
        talk.give(Input::Opened);
        talk.answer(|_| None);
        prop_assert_eq!(talk.session.problem(), None);
    }
}
