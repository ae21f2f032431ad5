//! `tilth-hub init`: a new hub, or a new epoch after a copy of the database was put back.

use anyhow::Context;

use super::{open, user};
use crate::cli::Init;
use crate::clock;
use crate::db::LocalDatabase;
use crate::domain::access;
use crate::exit::{self, Exit};

pub(crate) fn run(wanted: &Init) -> anyhow::Result<Exit> {
    let data = wanted.data.dir();
    let epoch = access::draw_epoch()?;
    if wanted.restored {
        open(&data)?.begin_epoch(epoch, clock::now())?;
        exit::line(format_args!("new epoch {epoch}: devices send again the rows that this database lacks"))?;
        return Ok(Exit::Done);
    }
    let key = data.create(&access::random()?)?;
    let database = data.database();
    LocalDatabase::create(&database, epoch, &user(), clock::now()).with_context(|| database.display().to_string())?;
    exit::line(format_args!("public key {} in {}", key.trusted().id(), data.public_key().display()))?;
    exit::line(key.trusted())?;
    Ok(Exit::Done)
}
