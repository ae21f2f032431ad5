//! `tilth-hub init`: a new hub, or a new life of one that was restored.

use anyhow::Context;

use super::change;
use crate::cli::Init;
use crate::clock;
use crate::db::sqlite as store;
use crate::domain::access as keys;
use crate::exit::{self, Exit};

pub(crate) fn run(wanted: &Init) -> anyhow::Result<Exit> {
    let data = wanted.data.dir();
    let epoch = keys::draw_epoch()?;
    if wanted.restored {
        change(&data, |change| {
            store::set_epoch(change.connection, epoch)?;
            change.audit(None, "a backup was put back: new epoch")
        })?;
        exit::line(format_args!("new epoch {epoch}: devices send again what this database does not have"))?;
        return Ok(Exit::Done);
    }
    let key = data.create(&keys::random()?)?;
    store::create(&data.database(), epoch, clock::now()).with_context(|| data.database().display().to_string())?;
    change(&data, |change| change.audit(None, "the hub was made"))?;
    exit::line(format_args!("public key {} in {}", key.trusted().id(), data.public_key().display()))?;
    exit::line(key.trusted())?;
    Ok(Exit::Done)
}
