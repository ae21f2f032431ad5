//! `tilth-hub device enroll`: a one-time code for a device, shown once.

use std::path::Path;

use anyhow::{Context, bail};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use tilth_config::{plain_file, sha256};
use tilth_core::time::WallTime;

use super::open;
use crate::cli::{Common, Enroll};
use crate::clock;
use crate::db::NewCode;
use crate::domain::access;
use crate::exit::{self, Exit};

/// Maximum size of the file with the CA certificate, in bytes. One has some 2 KiB, and an openssl dump before it some more.
const MAX_PEM: u64 = 64 << 10;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

pub(crate) fn run(wanted: &Enroll) -> anyhow::Result<Exit> {
    let Enroll { client, device, expires, ca, common: Common { data, output } } = wanted;
    let ca = ca.as_deref().map(certificate).transpose()?;
    let hash = ca.as_ref().map(|(_, hash)| hash);
    let (code, now) = (access::draw_code(hash)?, clock::now());
    let expires = WallTime(now.0.saturating_add(expires.0));
    let new = NewCode {
        id: code.id(),
        hash: access::hash_secret(&code.secret()),
        expires,
        ca: ca.as_ref().map(|(pem, _)| pem.clone()),
    };
    let mut db = open(&data.dir())?;
    let (device, is_new) = db.add_code(&db.tenant(client)?, device.as_ref(), &new, now)?;
    if output.json {
        let expires = expires.to_string();
        exit::json(&json!({
            "client_id": client, "device_id": device, "new_device": is_new, "code_id": code.id(), "code": code.reveal(), "expires": expires,
        }))?;
        return Ok(Exit::Done);
    }
    exit::line(format_args!("client_id  {client}"))?;
    exit::line(format_args!("device_id  {device}{}", if is_new { ", new" } else { "" }))?;
    exit::line(format_args!("code       {}", code.reveal()))?;
    exit::line(format_args!("expires    {expires}"))?;
    exit::line("The code is not shown again and works once. On the device, with the address of this hub:")?;
    // A code on the command line would be in the process list, in the log of sudo and in the history of the shell.
    exit::line("  sudo tilth-agent enroll --hub https://HUB:8443 --code -")?;
    exit::line("It asks for the code.")?;
    Ok(Exit::Done)
}

/// The one certificate of a file, as PEM without what stands around it, and the SHA-256 of its DER.
fn certificate(path: &Path) -> anyhow::Result<(String, [u8; 32])> {
    let name = || path.display().to_string();
    let text = plain_file::read_text(path, MAX_PEM).with_context(name)?;
    let blocks: Vec<&str> = text.match_indices(BEGIN).filter_map(|(at, _)| block(&text[at..])).collect();
    let [block] = blocks[..] else {
        let count = blocks.len();
        bail!("{}: has {count} certificates; expected one, that of the hub's CA, in PEM", path.display());
    };
    let der = CertificateDer::from_pem_slice(block.as_bytes())
        .map_err(|error| anyhow::anyhow!("{error}"))
        .with_context(name)?;
    let hash = sha256(&der);
    RootCertStore::empty().add(der).with_context(name)?;
    Ok((format!("{block}\n"), hash))
}

fn block(text: &str) -> Option<&str> {
    text.find(END).map(|end| &text[..end + END.len()])
}
