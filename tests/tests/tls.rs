//! Agent and hub over the hub's own TLS, from files: which certificates are trusted, and what a technician reads of an untrusted one.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::fs;
use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use tilth_tests::agent::{Folder, hub, program};
use tilth_tests::live::certificates::{authority, certificate, serve};
use tilth_tests::live::hub::Hub;
use tilth_tests::live::room::{Room, config, windows};
use tilth_tests::workspace;

/// A hub that serves with `tls.pem` and `tls.key` of its folder, and a room whose agent is to believe the authority in `ca`.
struct Between {
    room: Room,
    hub: Hub,
    folder: Folder,
}

impl Between {
    fn new(name: &str, folder: Folder, ca: &str) -> Between {
        let mut hub = Hub::new(&folder.path().join("hub"));
        serve(&mut hub, &folder);
        let room = Room::of_hub(name, &hub);
        room.farm.folder.write("etc/ca.pem", ca);
        let table = room.farm.hub_table(&format!("https://localhost:{}", hub.port));
        room.farm.write_site(&format!("{table}ca = 'ca.pem'\n"));
        Between { room, hub, folder }
    }

    /// Sync works: batches go up, and a bundle comes down.
    #[track_caller]
    fn works(&mut self) {
        self.hub.configure(&self.folder.write("put/farm.toml", config(50)));
        self.room.minutes(3, 21.0);
        let closed = self.room.closed_minutes() as u64;
        self.room.farm.until("all is there", |farm| {
            let sync = farm.status().unwrap_or_default()["sync"].clone();
            let confirmed = sync["confirmed"]["windows"].as_u64() >= Some(closed) && sync["waiting"]["windows"] == 0;
            confirmed && sync["bundle"]["version"] == 1 && sync["why"].is_null()
        });
        // In the clear, for the test alone.
        self.hub.stop();
        self.hub.serve();
        assert_eq!(windows(&self.hub).len() as u64, closed);
    }

    /// `status` gives the reason; the farm is watched all the same, and the hub hears nothing.
    #[track_caller]
    fn refuses(&mut self, reason: &str) {
        self.room.minutes(3, 31.5);
        let log = self.room.farm.folder.path().join("log");
        self.room.until("people are told", || Room::pages_of(&fs::read_to_string(&log).unwrap()) == 1);
        self.room.farm.until(&format!("status says {reason}"), |farm| {
            let why = farm.status().unwrap_or_default()["sync"]["why"].clone();
            let text = farm.ask(&["status"]).out;
            why.as_str().is_some_and(|why| why.contains(reason))
                && text.contains(reason)
                && text.contains("next try in")
        });
        let devices: Value = self.hub.json(&["device", "list"]);
        assert_eq!(devices["last_heard"], Value::Null);
    }
}

#[test]
fn the_hubs_authority_is_believed() {
    let (folder, authority) = (Folder::new("t-right-hub"), authority("farm"));
    certificate(&folder, &authority, "localhost", (2020, 2090));
    let mut between = Between::new("t-right", folder, &authority.pem());
    between.room.farm.start();
    between.works();
}

/// Another authority; and with the right one in its file the agent goes on without a restart.
#[test]
fn another_authority_is_refused_until_its_file_is_mended() {
    let (folder, right) = (Folder::new("t-wrong-hub"), authority("farm"));
    certificate(&folder, &right, "localhost", (2020, 2090));
    let mut between = Between::new("t-wrong", folder, &authority("somebody else").pem());
    between.room.farm.start();
    between.refuses("its certificate is not trusted: unknown issuer; set hub.ca to the hub's CA certificate");
    between.room.farm.folder.write("etc/ca.pem", right.pem());
    between.works();
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let (folder, authority) = (Folder::new("t-name-hub"), authority("farm"));
    certificate(&folder, &authority, "hub.example", (2020, 2090));
    let mut between = Between::new("t-name", folder, &authority.pem());
    between.room.farm.start();
    between.refuses("its certificate is not trusted: it is for hub.example and not for localhost, as hub.url says");
}

/// Refused, and believed once the hub has a new one.
#[test]
fn a_certificate_that_has_ended_is_refused() {
    let (folder, authority) = (Folder::new("t-ended-hub"), authority("farm"));
    certificate(&folder, &authority, "localhost", (2020, 2021));
    let mut between = Between::new("t-ended", folder, &authority.pem());
    between.room.farm.start();
    between
        .refuses("its certificate is not trusted: it ended at 2021-01-01T00:00:00Z, and this device's clock says 20");
    certificate(&between.folder, &authority, "localhost", (2020, 2090));
    between.hub.stop();
    serve(&mut between.hub, &between.folder);
    between.works();
}

#[test]
fn a_certificate_that_has_not_begun_is_refused() {
    let (folder, authority) = (Folder::new("t-begun-hub"), authority("farm"));
    certificate(&folder, &authority, "localhost", (2089, 2090));
    let mut between = Between::new("t-begun", folder, &authority.pem());
    between.room.farm.start();
    between
        .refuses("its certificate is not trusted: it begins at 2089-01-01T00:00:00Z, and this device's clock says 20");
}

/// As an `openssl req -x509` without more makes it.
#[test]
fn an_authority_in_the_place_of_a_certificate_is_refused() {
    let folder = Folder::new("t-ca-hub");
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    folder.write("tls.pem", own.pem());
    folder.write("tls.key", own.key().serialize_pem());
    let mut between = Between::new("t-ca", folder, &own.pem());
    between.room.farm.start();
    between.refuses(
        "it is that of an authority, and a hub needs one of its own; make it with basicConstraints=critical,CA:FALSE",
    );
}

/// A hub without TLS where the agent expects it.
#[test]
fn a_hub_that_does_not_speak_tls_is_named() {
    let (folder, authority) = (Folder::new("t-plain-hub"), authority("farm"));
    certificate(&folder, &authority, "localhost", (2020, 2090));
    let mut between = Between::new("t-plain", folder, &authority.pem());
    between.hub.stop();
    between.hub.serve();
    between.room.farm.start();
    between.refuses("does not speak TLS: expected the hub, with its certificate, at hub.url");
}

/// The command of the documentation makes a certificate that works.
#[test]
fn the_certificate_of_the_documentation_is_believed() {
    let page = fs::read_to_string(workspace().join("docs/sync-protocol.md")).unwrap();
    let command = page.split("$ openssl req").nth(1).and_then(|rest| rest.split("\n```").next()).unwrap();
    let command = format!("openssl req{}", command.replace("hub.example", "localhost"));
    let folder = Folder::new("t-docs-hub");
    let made = Command::new("sh").args(["-c", &command]).current_dir(folder.path()).output().unwrap();
    if made.status.code() == Some(127) && std::env::var_os("CI").is_none_or(|ci| ci != "true") {
        eprintln!("skipped: the_certificate_of_the_documentation_is_believed: openssl is not here");
        return;
    }
    assert!(made.status.success(), "{command}: {}", String::from_utf8_lossy(&made.stderr));
    let move_to = |from: &str, to: &str| fs::rename(folder.path().join(from), folder.path().join(to)).unwrap();
    move_to("hub.pem", "tls.pem");
    move_to("hub-tls.key", "tls.key");
    let ca = fs::read_to_string(folder.path().join("tls.pem")).unwrap();
    let mut between = Between::new("t-docs", folder, &ca);
    between.room.farm.start();
    between.works();
}

/// A device's key never crosses a network in the clear: neither end allows it.
#[test]
fn plain_http_is_for_the_machine_itself_alone() {
    let folder = Folder::new("t-http");
    let made = Hub::new(&folder.path().join("hub"));
    let room = Room::of_hub("t-http-farm", &made);
    let run = |etc: &Path| {
        let mut run = Command::new(program());
        run.args(["run", "--clock", "input", "--config"]).arg(etc).arg("--data").arg(folder.path().join("data"));
        let output = run.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let etc = room.farm.folder.path().join("etc");
    for url in
        ["http://hub.example:8080", "http://192.0.2.1", "http://127.0.0.1.example", "http://localhost@hub.example"]
    {
        room.farm.write_site(&room.farm.hub_table(url));
        let (code, said) = run(&etc);
        assert_eq!(code, Some(2), "{url}: {said}");
        assert!(said.contains("agent.toml") && said.contains("expected https"), "{url}: {said}");
    }
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let output =
            Command::new(hub()).args(["serve", "--listen", address, "--data"]).arg(&made.folder).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{address}: {said}");
        assert!(said.contains("--tls-cert"), "{address}: {said}");
    }
}
