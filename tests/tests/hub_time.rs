//! A device that wakes without a clock is told the time of day by its hub, over TLS whose dates it cannot check.
//!
//! The machine's own clock may be synchronised, and then goes before the hub's word: the tests say so and look at less.
#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tilth_tests::agent::Folder;
use tilth_tests::live::farm::Farm;
use tilth_tests::live::hub::Hub;
use tilth_tests::live::room::config;

/// A farm on the machine's clock, and a hub with a certificate of those years.
fn farm_and_hub(name: &str, years: (i32, i32)) -> (Farm, Hub, Folder) {
    let folder = Folder::new(&format!("{name}-hub"));
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
    let key = KeyPair::generate().unwrap();
    let certificate = folder.write("tls.pem", params.signed_by(&key, &authority).unwrap().pem());
    let key = folder.write("tls.key", key.serialize_pem());
    let mut hub = Hub::new(&folder.path().join("hub"));
    hub.serve_with(&["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()]);
    let mut farm = Farm::of_hub(name, &config(30), &hub);
    farm.clock = "system";
    farm.folder.write("etc/ca.pem", authority.pem());
    let table = farm.hub_table(&format!("https://localhost:{}", hub.port));
    farm.write_site(&format!("{table}ca = 'ca.pem'\n"));
    (farm, hub, folder)
}

/// Whether the machine's own clock is synchronised, and the hub is not asked.
fn is_synchronised(farm: &Farm) -> bool {
    let is_so = farm.status().unwrap()["clock"]["trust"] == "ntp";
    if is_so {
        println!("the machine's clock is synchronised: the hub is not asked for the time");
    }
    is_so
}

#[test]
fn a_clock_that_nobody_set_is_set_by_the_hub() {
    let (mut farm, _hub, _folder) = farm_and_hub("time", (2020, 2090));
    farm.start();
    farm.until("the time of day is known", |farm| {
        farm.status().is_some_and(|status| status["clock"]["now"].is_string())
    });
    if is_synchronised(&farm) {
        return;
    }
    let clock = farm.status().unwrap()["clock"].clone();
    assert_eq!(clock["trust"], "told", "{clock}");
    assert!(clock["error_s"].as_f64().is_some_and(|error| error < 20.0), "{clock}");
    let now: jiff::Timestamp = clock["now"].as_str().unwrap().parse().unwrap();
    let off = (jiff::Timestamp::now().as_second() - now.as_second()).abs();
    assert!(off < 30, "{off} s off: {clock}");
    assert!(farm.log().contains("clock set by the hub to 20"), "{}", farm.log());

    // What another run of this boot learnt holds until the hub is asked again.
    farm.kill();
    farm.start();
    assert_eq!(farm.status().unwrap()["clock"]["trust"], "told");
}

/// To a device in 1970 every certificate is from the future; to this one it is over, which is the same: the one question
/// goes through, and nothing else does.
#[test]
fn the_time_is_told_over_a_certificate_that_does_not_hold_today_and_nothing_else_is() {
    let (mut farm, hub, _folder) = farm_and_hub("time-ended", (2020, 2021));
    farm.start();
    farm.until("sync says what is wrong", |farm| {
        let why = farm.status().unwrap_or_default()["sync"]["why"].clone();
        why.as_str().is_some_and(|why| why.contains("it ended at 2021-01-01"))
    });
    if !is_synchronised(&farm) {
        farm.until("the time", |farm| farm.status().is_some_and(|status| status["clock"]["trust"] == "told"));
    }
    assert!(hub.json(&["device", "list"])["last_heard"].is_null(), "the key went over it");
}

/// Signed by another key: not believed.
#[test]
fn the_time_of_a_hub_that_is_not_trusted_is_not_taken() {
    let (mut farm, _hub, folder) = farm_and_hub("time-other", (2020, 2090));
    let other = Hub::new(&folder.path().join("other"));
    farm.trust(&other.folder.join("hub.pub"));
    farm.start();
    if is_synchronised(&farm) {
        return;
    }
    farm.until("it is said", |farm| farm.log().contains("no time from the hub: the time is signed by the key"));
    assert!(farm.status().unwrap()["clock"]["now"].is_null());
}
