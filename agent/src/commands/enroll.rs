//! `tilth-agent enroll`: a key for this device, and whom it trusts, for a one-time code.
//!
//! The device draws the key and keeps it before the hub has its hash, so that the same command can be run again when the answer was lost.
//! Files in use are changed only after the hub has taken the code.

mod failure;
mod files;

use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use anyhow::Context;
use serde::de::DeserializeOwned;
use tilth_config::bundle::TrustedKey;
use tilth_config::sha256;
use tilth_protocol::{EnrolmentAnswer, EnrolmentCa, EnrolmentCode, EnrolmentRequest, Failure, HexBytes, Key};
use tilth_sync::transport::https::Https;
use tilth_sync::transport::{Reply, tls};

use self::failure::EnrolFailure;
use self::files::{Files, Found, Vouching};
use crate::cli;
use crate::console::{Console, listed, tell};
use crate::exit::Exit;
use crate::sync::owner::HistoryOwner;

/// Exchanges the code, and writes agent.toml and the files that it names.
pub(crate) fn enroll(wanted: &cli::Enroll) -> anyhow::Result<Exit> {
    match run(wanted) {
        Ok(()) => Ok(Exit::Done),
        Err(error) => match error.downcast_ref::<EnrolFailure>() {
            Some(failure) => {
                tell(format_args!("tilth-agent: {failure}"));
                Ok(failure.exit())
            }
            None => Err(error),
        },
    }
}

fn run(wanted: &cli::Enroll) -> anyhow::Result<()> {
    let code = EnrolmentCode::parse(&typed(&wanted.code)?).map_err(EnrolFailure::Mistyped)?;
    let url = wanted.hub.trim_end_matches('/');
    let files = Files::find(&wanted.config.folder)?;
    let history = match HistoryOwner::read(&wanted.data()) {
        Err(unknown) if wanted.history.is_none() => return Err(unknown.into()),
        read => read,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("runtime")?;
    let hub = Hub { url, code: &code };
    // Plain HTTP is for this machine alone, and has no certificate.
    let ca = match code.has_ca() && url.starts_with("https:") {
        true => Some(runtime.block_on(hub.ca())?),
        false => None,
    };
    let vouching = match &ca {
        Some(pem) => Vouching::New(files.write_new_ca(pem)?),
        None => files.ca_in_use().map_or(Vouching::Machine, Vouching::InUse),
    };
    let key = files.pending_key(&code.id())?;
    let (exchanged, vouching) = runtime.block_on(hub.exchange_by(&key, vouching));
    let exchanged = exchanged.and_then(|(answer, signing_key)| {
        let owner = HistoryOwner::new(&answer.client_id, url, &signing_key);
        let before = match history {
            Ok(history) => history.filter(|history| !history.is_same(&owner)).map(|history| history.to_string()),
            Err(_) => Some("an owner whom history.owner no longer names".to_owned()),
        };
        match (before, wanted.history) {
            (Some(before), None) => {
                Err(EnrolFailure::OtherHistory { data: wanted.data(), before, owner: owner.to_string() })
            }
            (before, becomes) => Ok((answer, signing_key, owner, before.zip(becomes))),
        }
    });
    let (answer, signing_key, mut owner, other) = match exchanged {
        Ok(exchanged) => exchanged,
        Err(failure) => {
            // The CA is asked for again, and the key only shown again where the code may still be good.
            let ca_file = vouching.file().filter(|_| ca.is_some());
            let key = failure.is_final().then(|| files.pending(&code.id()));
            for file in ca_file.map(Path::to_owned).into_iter().chain(key) {
                let _ = fs::remove_file(file);
            }
            return Err(failure.into());
        }
    };
    if let Some((_, becomes)) = &other {
        owner.withholds = *becomes == cli::OtherHistory::Withhold;
        files.keep_owner(&wanted.data(), &owner)?;
    }
    let found = files.keep(url, &answer, signing_key, &vouching, &code.id())?;
    say(wanted, url, &answer, &found, other.as_ref())
}

/// The code, from standard input where it is `-`: it then stands in no list of processes.
fn typed(code: &str) -> anyhow::Result<String> {
    if code != "-" {
        tell(
            "the code in this command can be read by every user of this machine while it runs, and afterwards in the shell's history and the log of \
             sudo: until it is used or expires, whoever reads it can enrol a device of their own in place of this one. --code - asks for it instead",
        );
        return Ok(code.to_owned());
    }
    if io::stdin().is_terminal() {
        print!("Code that tilth-hub device enroll printed: ");
        io::stdout().flush().context("standard output")?;
    }
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("standard input")?;
    Ok(line)
}

/// The hub's answer, and its signing key.
type Exchanged = (EnrolmentAnswer, TrustedKey);

/// The hub at an address, for one code.
struct Hub<'a> {
    url: &'a str,
    code: &'a EnrolmentCode,
}

impl Hub<'_> {
    /// The CA certificate that the code names. The connection is not verified, so nothing but the public id of the code is sent, and the
    /// answer is believed by its hash alone.
    async fn ca(&self) -> Result<String, EnrolFailure> {
        let https = Https::for_enrolment(self.url, &tls::config_unverified()?).map_err(EnrolFailure::Address)?;
        let reply = https.get_enrolment_ca(&self.code.id()).await.outcome;
        let EnrolmentCa { ca } =
            self.read(&reply.map_err(|error| EnrolFailure::unanswered(error, self.code, false))?)?;
        let hash = tls::only_certificate(&ca).map(|der| sha256(&der));
        match hash.is_some_and(|hash| self.code.names_ca(&hash)) {
            true => Ok(ca),
            false => Err(EnrolFailure::OtherCa { url: self.url.to_owned() }),
        }
    }

    /// The exchange, and who vouched for the hub in the end: a code that names no CA may be of a hub that has a certificate by now which
    /// machines trust anyway.
    async fn exchange_by(&self, key: &Key, vouching: Vouching) -> (Result<Exchanged, EnrolFailure>, Vouching) {
        let exchanged = self.exchange(key, vouching.file()).await;
        if let (Vouching::InUse(_), Err(failure)) = (&vouching, &exchanged)
            && failure.is_untrusted()
        {
            let by_machine = self.exchange(key, None).await;
            if !by_machine.as_ref().is_err_and(EnrolFailure::is_untrusted) {
                return (by_machine, Vouching::Machine);
            }
        }
        (exchanged, vouching)
    }

    /// Shows the code and the hash of the key.
    async fn exchange(&self, key: &Key, ca: Option<&Path>) -> Result<Exchanged, EnrolFailure> {
        let tls = tls::client_config(ca, tls::CertificateClock::machine())?;
        let key_id = hex::decode(key.id()).ok().and_then(|id| id.try_into().ok()).map(HexBytes);
        let request = EnrolmentRequest {
            code: self.code.id(),
            secret: self.code.secret(),
            key_id: key_id.expect("a key's id has 12 hex digits"),
            key_hash: HexBytes(sha256(key.reveal().as_bytes())),
        };
        let body = serde_json::to_vec(&request).expect("texts are JSON");
        let https = Https::for_enrolment(self.url, &tls).map_err(EnrolFailure::Address)?;
        let reply = https.post_enrolment(body).await.outcome;
        let reply = reply.map_err(|error| EnrolFailure::unanswered(error, self.code, true))?;
        let answer: EnrolmentAnswer = self.read(&reply)?;
        let signing_key = TrustedKey::parse(&answer.signing_key).map_err(|_| self.answered(&reply, None))?;
        Ok((answer, signing_key))
    }

    fn read<T: DeserializeOwned>(&self, reply: &Reply) -> Result<T, EnrolFailure> {
        if reply.status != 200 {
            return Err(self.answered(reply, serde_json::from_slice(&reply.body).ok()));
        }
        serde_json::from_slice(&reply.body).map_err(|_| self.answered(reply, None))
    }

    fn answered(&self, reply: &Reply, failure: Option<Failure>) -> EnrolFailure {
        EnrolFailure::Answered { url: self.url.to_owned(), status: reply.status, failure }
    }
}

/// What was written, and what follows.
fn say(
    wanted: &cli::Enroll,
    url: &str,
    answer: &EnrolmentAnswer,
    found: &Found,
    other: Option<&(String, cli::OtherHistory)>,
) -> anyhow::Result<()> {
    let EnrolmentAnswer { client_id, device_id, .. } = answer;
    let mut console = Console::new();
    console.line(format_args!("enrolled as {client_id}/{device_id} at {url}"))?;
    console.line(format_args!("wrote {}", listed(found.written.iter().map(|path| path.display()), 4)))?;
    if let Some(before) = &found.other_name {
        console.line(format_args!("this device was {before}; from now on its name is {device_id}"))?;
    }
    match other {
        Some((before, cli::OtherHistory::Withhold)) => {
            console.line(format_args!("what was recorded for {before} stays on this device"))?;
        }
        Some((before, cli::OtherHistory::Send)) => {
            console.line(format_args!("what was recorded for {before} is sent to {client_id} at {url}"))?;
        }
        None => {}
    }
    if let Some(before) = &found.other_ca {
        let now = if found.has_ca { "the file above" } else { "none, for this machine trusts the hub's certificate" };
        console.line(format_args!("ca was {before}, which stays as it is; from now on agent.toml names {now}"))?;
    }
    if found.other_signing_key {
        console.line(
            "the hub signs configurations with another key than the one before: delete bundle.good and bundle.state in the data folder",
        )?;
    }
    console.line("next:")?;
    let folder = &wanted.config.folder;
    let next = match folder == Path::new("/etc/tilth") {
        true => ["sudo systemctl restart tilth-agent".to_owned(), "sudo tilth-agent doctor".to_owned()],
        false => ["run", "doctor"].map(|command| format!("tilth-agent {command} --config {}", folder.display())),
    };
    next.iter().try_for_each(|command| console.line(format_args!("  {command}")))?;
    console.flush()
}
