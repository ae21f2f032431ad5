use super::super::super::listen::Listened;
use super::super::{files, wrong};
use super::*;

fn flags() -> cli::Init {
    cli::Init {
        config: cli::Config { folder: "/etc/tilth".into() },
        name: None,
        timezone: None,
        port: None,
        phone: None,
        modem: None,
        hub: None,
        client: None,
        zone: Id::new("room").expect("an id"),
        time: tilth_core::time::Span::from_secs(1),
        agent: cli::AgentAddress { socket: None, data: "/var/lib/tilth".into() },
    }
}

fn likely() -> Likely {
    let adapters = ["/dev/serial/by-id/usb-board", "/dev/serial/by-id/usb-modem"].map(str::to_owned).to_vec();
    Likely { name: "pi-7".to_owned(), timezone: "Europe/Amsterdam".to_owned(), adapters }
}

/// The answers of a person who says these words, one after the other, and the questions.
fn said(words: &[&str]) -> (anyhow::Result<Answers>, Vec<String>) {
    let (mut words, mut questions) = (words.iter(), Vec::new());
    let mut prompt = |question: &str, _: &str| {
        questions.push(question.to_owned());
        Ok(Some((*words.next().expect("an answer for each question")).to_owned()))
    };
    let answers = answered(&flags(), &likely(), &mut prompt);
    (answers, questions)
}

fn without_terminal(wanted: &cli::Init, likely: &Likely) -> anyhow::Result<Answers> {
    answered(wanted, likely, &mut |_, _| Ok(None))
}

#[test]
fn five_empty_answers_take_what_is_likely() {
    let (answers, questions) = said(&["", "", "", "", ""]);
    let answers = answers.expect("all is answered");
    assert_eq!(questions.len(), 5, "{questions:?}");
    assert_eq!((answers.name.as_str(), answers.timezone.as_str()), ("pi-7", "Europe/Amsterdam"));
    assert_eq!(answers.port.as_deref(), Some("/dev/serial/by-id/usb-board"));
    assert_eq!((answers.phone, answers.hub), (None, None));
}

#[test]
fn phone_and_hub_ask_for_what_they_need_and_a_wrong_answer_is_asked_again() {
    let (answers, questions) =
        said(&["Pi 7", "pi-8", "UTC", "none", "0151", "+4915112345678", "", "https://hub.example", "", "acme"]);
    let answers = answers.expect("all is answered");
    assert_eq!(questions.len(), 10, "{questions:?}");
    assert_eq!((answers.name.as_str(), &answers.port), ("pi-8", &None));
    let modem = "/dev/serial/by-id/usb-board".to_owned();
    assert_eq!(answers.phone, Some(Phone { number: "+4915112345678".to_owned(), modem }));
    let hub = answers.hub.expect("a hub");
    assert_eq!((hub.url.as_str(), hub.client.as_str()), ("https://hub.example", "acme"));
}

/// Guards against: one adapter that board and modem both open, under two names.
#[test]
fn the_port_of_the_board_is_not_the_modems_under_another_name() {
    let link = std::env::temp_dir().join(format!("tilth-init-adapter-{}", std::process::id()));
    std::os::unix::fs::symlink("/dev/null", &link).expect("a link");
    let adapter = link.display().to_string();
    let wanted = cli::Init { port: Some("/dev/null".to_owned()), phone: Some("+4915112345678".to_owned()), ..flags() };
    let one = Likely { adapters: vec![adapter.clone()], ..likely() };
    let error = without_terminal(&wanted, &one).expect_err("no other adapter").to_string();
    assert!(error.contains("--modem states it"), "{error}");
    let stated = cli::Init { modem: Some(adapter.clone()), ..wanted };
    let error = without_terminal(&stated, &one).expect_err("the same adapter").to_string();
    assert!(error.contains("it is that of the board or sensor"), "{error}");
    let two = Likely { adapters: vec![adapter, "/dev/zero".to_owned()], ..likely() };
    let answers = without_terminal(&cli::Init { modem: None, ..stated }, &two).expect("another adapter");
    assert_eq!(answers.phone.map(|phone| phone.modem).as_deref(), Some("/dev/zero"));
    std::fs::remove_file(link).expect("the link");
}

#[test]
fn a_flag_that_cannot_be_used_is_refused_with_what_was_expected() {
    let refused = |change: fn(&mut cli::Init)| {
        let mut wanted = flags();
        change(&mut wanted);
        let error = without_terminal(&wanted, &Likely { adapters: Vec::new(), ..likely() }).expect_err("refused");
        assert!(error.is::<Refused>(), "{error}");
        error.to_string()
    };
    assert!(refused(|flags| flags.timezone = Some("Amsterdam".to_owned())).contains("such as Europe/Amsterdam"));
    assert!(refused(|flags| flags.port = Some("ttyUSB0".to_owned())).contains("such as /dev/ttyUSB0"));
    assert!(refused(|flags| flags.phone = Some("0151".to_owned())).contains("such as +4915112345678"));
    assert!(refused(|flags| flags.phone = Some("+4915112345678".to_owned())).contains("--modem states it"));
    assert!(refused(|flags| flags.hub = Some("hub".to_owned())).contains("expected https://"));
    assert!(refused(|flags| flags.hub = Some("https://hub.example".to_owned())).contains("--client states it"));
}

#[test]
fn check_accepts_what_is_written() {
    let heard =
        |bus: String, sensors: &str, known| Listened { bus, sensors: sensors.to_owned(), known, unknown: Vec::new() };
    let sensor = "[sensors.\"room/ph\"]\nquantity = \"ph\"\ninput = \"line:gateway/ph\"";
    let listened = [
        None,
        Some(heard(files::silent_bus("/dev/tty\"0"), "", 0)),
        Some(heard(files::silent_bus("/dev/ttyUSB0"), sensor, 1)),
    ];
    let (alone, _) = said(&["", "", "", "", ""]);
    let (all, _) = said(&["", "", "", "+4915112345678", "", "https://hub.example", "acme"]);
    for answers in [alone, all].map(|answers| answers.expect("all is answered")) {
        for listened in &listened {
            let (site, farm) =
                (files::agent_toml(&answers, listened.as_ref()), files::farm(&answers, listened.as_ref()));
            assert_eq!(wrong(&site, &farm).map(|found| found.to_string()), None, "{site}{farm}");
        }
    }
    assert!(wrong("[device]\n", "").is_some());
}
