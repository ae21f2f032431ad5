//! The settings of a card: what its first start says of `tilth.txt`, by the script that the image has.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::process::Command;

use tilth_tests::agent::Folder;
use tilth_tests::card::Card;
use tilth_tests::workspace;

/// What is wrong in a file, a mistake a line.
fn mistakes(text: &[u8]) -> Vec<String> {
    let folder = Folder::new("card");
    let settings = folder.write("tilth.txt", text);
    let script = workspace().join("cross/card/root/usr/lib/tilth/first-boot");
    let output = Command::new("bash").arg(script).arg("--check").arg(settings).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<String> = said.lines().map(str::to_owned).collect();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.success(), lines.is_empty(), "{said}");
    lines
}

#[test]
fn the_settings_of_the_image_and_those_of_any_editor_can_be_used() {
    let shipped = std::fs::read(workspace().join("cross/card/tilth.txt")).unwrap();
    assert_eq!(mistakes(&shipped), [""; 0]);
    let windows = "\u{feff}name = pi-7\r\n\r\n# Kas 3\r\n timezone=UTC \r\nwifi_country = NL\r\nwifi_ssid = \"Kas 3 = nord\u{e9}\"\r\n\
                   wifi_password = a b=c#\"d\r\nssh_key = ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA anna@pc\r\nhub = https://hub.example:8443\r\n\
                   code = 7K3M-QX9T-AAAA\r\nport = /dev/ttyAMA0\r\nzone = tower-1";
    assert_eq!(mistakes(windows.as_bytes()), [""; 0]);
}

#[test]
fn each_mistake_is_named_with_its_line_and_no_secret_is_repeated() {
    let names = "name, timezone, wifi_country, wifi_ssid, wifi_password, ssh_key, hub, code, port, zone";
    let unknown = format!("tilth.txt:2: \"nmae\" is no setting; there are {names}");
    for (text, expected) in [
        ("# a\nname pi-7", "tilth.txt:2: expected NAME = VALUE, or # before a comment"),
        ("\nnmae = pi-7", &unknown),
        ("name = a\nname = b", "tilth.txt:2: name is set on line 1 already"),
        ("name =", "tilth.txt:1: name has no value; put # before the line to leave it out"),
        (
            "name = Pi 7",
            "tilth.txt:1: name: expected lower-case letters, digits and - between them, at most 40, found \"Pi 7\"",
        ),
        (
            "name = pi-",
            "tilth.txt:1: name: expected lower-case letters, digits and - between them, at most 40, found \"pi-\"",
        ),
        ("zone = Tower", "tilth.txt:1: zone: expected lower-case letters, digits and -, at most 40, found \"Tower\""),
        (
            "timezone = ../../etc/passwd",
            "tilth.txt:1: timezone: expected one such as Europe/Amsterdam or UTC, found \"../../etc/passwd\"",
        ),
        (
            "wifi_ssid = x\nwifi_country = nl",
            "tilth.txt:2: wifi_country: expected a country's two capital letters such as NL or GB, found \"nl\"",
        ),
        (
            "wifi_ssid = x\nwifi_country = UK",
            "tilth.txt:2: wifi_country: expected a country's two capital letters such as NL or GB, found \"UK\"",
        ),
        (
            "timezone = europe/amsterdam",
            "tilth.txt:1: timezone: expected one such as Europe/Amsterdam or UTC, found \"europe/amsterdam\"; is it Europe/Amsterdam?",
        ),
        (
            "timezone = zone1970",
            "tilth.txt:1: timezone: expected one such as Europe/Amsterdam or UTC, found \"zone1970\"",
        ),
        ("wifi_ssid = x", "tilth.txt:1: wifi_ssid needs wifi_country as well"),
        ("wifi_country = NL", "tilth.txt:1: wifi_country needs wifi_ssid as well"),
        (
            "wifi_country = NL\nwifi_ssid = x\nwifi_password = geheim",
            "tilth.txt:3: wifi_password: expected 8 to 63 characters, found 6",
        ),
        (
            "wifi_country = NL\nwifi_ssid = x\nwifi_password = gehe\u{ef}m123",
            "tilth.txt:3: wifi_password: expected characters without accents",
        ),
        ("wifi_password = geheim123", "tilth.txt:1: wifi_password needs wifi_ssid as well"),
        (
            "ssh_key = -----BEGIN OPENSSH PRIVATE KEY-----",
            "tilth.txt:1: ssh_key: expected the line of a file such as id_ed25519.pub",
        ),
        (
            "hub = hub.example\ncode = 12345678",
            "tilth.txt:1: hub: expected an address such as https://hub.example:8443, found \"hub.example\"",
        ),
        ("hub = https://hub.example", "tilth.txt:1: hub needs code as well"),
        ("code = 7K3M-QX9T", "tilth.txt:1: code needs hub as well"),
        (
            "hub = https://hub.example\ncode = $(id)",
            "tilth.txt:2: code: expected letters, digits and - as the hub printed them",
        ),
        (
            "port = ttyUSB0",
            "tilth.txt:1: port: expected none, a file such as /dev/ttyUSB0, or tcp://HOST:PORT, found \"ttyUSB0\"",
        ),
    ] {
        assert_eq!(mistakes(text.as_bytes()), [expected], "{text}");
    }
}

#[test]
fn all_mistakes_are_listed_in_the_order_of_their_lines() {
    let found = mistakes(b"port = x\nhub = https://hub.example\nfoo = 1\n\nname = A\ntimezone = Mars/Olympus!\n");
    let lines: Vec<&str> = found.iter().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(lines, ["tilth.txt:1", "tilth.txt:2", "tilth.txt:3", "tilth.txt:5", "tilth.txt:6"]);
}

/// What the editors of Windows write, under "UTF-16 LE", "UTF-8 with BOM" and "ANSI".
#[test]
fn the_encodings_of_an_editor_are_read_or_named() {
    let text = "wifi_country = NL\r\nwifi_ssid = Kas n\u{e9}\r\nwifi_password = geheim\r\n";
    let utf_16: Vec<u8> = std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let expected = ["tilth.txt:3: wifi_password: expected 8 to 63 characters, found 6"];
    assert_eq!(mistakes(&utf_16), expected);
    assert_eq!(mistakes(format!("\u{feff}{text}").as_bytes()), expected);
    let ansi: Vec<u8> = text.chars().map(|char| char as u8).collect();
    let in_ansi = "tilth.txt:2: wifi_ssid: expected UTF-8; save tilth.txt in that encoding";
    assert_eq!(mistakes(&ansi), [in_ansi, expected[0]]);
}

/// Guards against: a card that does nothing, and a laptop that shows nothing of why.
#[test]
fn mistakes_are_told_on_the_console_and_beside_the_settings() {
    let card = Card::new("card-told");
    card.put("tilth.txt", "wifi_country = NL\nwifi_ssid = x\nwifi_password = geheim\nhub = https://hub.example\n");
    assert!(!card.run("first-boot"));
    let said =
        "not applied, nothing was changed. Correct these lines of tilth.txt on this partition, and start the Pi again:";
    let lines =
        ["tilth.txt:3: wifi_password: expected 8 to 63 characters, found 6", "tilth.txt:4: hub needs code as well"];
    let (result, console) = (card.text("boot/firmware/tilth-result.txt"), card.text("dev/console"));
    for line in [said, lines[0], lines[1]] {
        assert!(result.contains(line), "expected {line:?} in the result: {result}");
        assert!(console.contains(line), "expected {line:?} on the console: {console}");
    }
    assert!(card.at("boot/firmware/tilth.txt").exists() && !card.at("boot/firmware/tilth-used.txt").exists());
    assert!(!format!("{result}{console}").contains("geheim"));
    std::fs::remove_file(card.at("boot/firmware/tilth-result.txt")).unwrap();
    assert!(!card.run("first-boot"));
    assert_eq!(card.text("boot/firmware/tilth-result.txt"), result, "whoever deletes it gets it again");
}

#[test]
fn settings_under_a_name_with_a_hidden_ending_are_told() {
    let card = Card::new("card-ending");
    card.put("tilth.txt.txt", "name = pi-7\n");
    assert!(card.run("first-boot"));
    let result = card.text("boot/firmware/tilth-result.txt");
    assert!(
        result.contains("the settings are in tilth.txt.txt. Rename it to tilth.txt, and start the Pi again."),
        "{result}"
    );
}

/// Guards against: a code or password that any reader of the card finds, because a mark or encoding stood before its name.
#[test]
fn settings_that_were_applied_stay_without_secrets_whatever_the_encoding() {
    let settings = "code = 7K3M-QX9T-AAAA\r\nhub = https://hub.example:8443\r\n";
    let utf_16: Vec<u8> = std::iter::once(0xfeff).chain(settings.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    for (name, content) in
        [("plain", settings.into()), ("mark", format!("\u{feff}{settings}").into_bytes()), ("utf-16", utf_16)]
    {
        let card = Card::new(&format!("card-used-{name}"));
        card.put("tilth.txt", content);
        assert!(card.run("first-boot"), "{name}");
        let used = "# code: used, and removed\nhub = https://hub.example:8443\n";
        assert_eq!(card.text("boot/firmware/tilth-used.txt"), used, "{name}");
        assert!(!card.at("boot/firmware/tilth.txt").exists(), "{name}");
        assert_eq!(card.text("data/enrol/code"), "7K3M-QX9T-AAAA\n", "{name}");
    }
}
