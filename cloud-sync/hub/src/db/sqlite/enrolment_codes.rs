//! One-time codes, each exchanged for a device's key in one transaction.

use std::net::IpAddr;

use rusqlite::{Connection, OptionalExtension, Row};
use tilth_core::id::Id;
use tilth_core::time::{Span, WallTime};
use tilth_protocol::{CodeId, EnrolmentRequest};

use super::rows::{DeviceId, Parsed};
use super::workers::Owner;
use super::{Database, DbError, audit, keys};
use crate::db::context::{Actor, DeviceContext, TenantContext};
use crate::db::records::{ListedCode, NewCode};
use crate::domain::access;
use crate::domain::enrolment::{CodeRejection, Exchange, StoredCode, UsedBy};

/// Time for which a code is listed after its expiry.
const LISTED: Span = Span::from_mins(30 * 24 * 60);

const SELECT: &str = "SELECT codes.id, codes.hash, codes.created, codes.expires, codes.revoked, codes.used, codes.key,
    keys.hash AS key_hash, keys.revoked AS key_revoked, codes.device, devices.name, devices.tenant, tenants.name AS client
    FROM enrolment_codes AS codes JOIN devices ON devices.id = codes.device JOIN tenants ON tenants.id = devices.tenant
    LEFT JOIN keys ON keys.id = codes.key";

/// What became of an exchange whose secret was right.
pub(crate) type Exchanged = Result<DeviceContext, CodeRejection>;

impl Database {
    /// The CA certificate that a code names; none for an unknown code, or one that names none.
    pub(crate) async fn enrolment_ca(&self, id: CodeId) -> Result<Option<String>, DbError> {
        let select = "SELECT ca FROM enrolment_codes WHERE id = ?1";
        let job = move |connection: &Connection| {
            Ok(connection.query_row(select, [id.as_str()], |row| row.get(0)).optional()?.flatten())
        };
        self.read(Owner::Hub, job).await
    }

    /// Exchanges a code for the key of its device; none if it is unknown or has another secret.
    pub(crate) async fn exchange_code(
        &self,
        request: EnrolmentRequest,
        origin: IpAddr,
        now: WallTime,
    ) -> Result<Option<Exchanged>, DbError> {
        let wanted = request.clone();
        // A wrong secret costs no transaction.
        let found = self.read(Owner::Hub, move |connection| find(connection, &wanted, origin)).await?;
        let Some((_, device)) = found else { return Ok(None) };
        let exchange = move |connection: &Connection| {
            let Some((code, device)) = find(connection, &request, origin)? else { return Ok(None) };
            exchange(connection, &code, &device, &request, now).map(Some)
        };
        self.write(device.tenant(), exchange).await
    }
}

fn exchange(
    connection: &Connection,
    code: &StoredCode,
    device: &DeviceContext,
    request: &EnrolmentRequest,
    now: WallTime,
) -> Result<Exchanged, DbError> {
    let (key, hash) = (request.key_id.to_string(), request.key_hash.0);
    match code.exchange((&key, &hash), now) {
        Err(rejection) => return Ok(Err(rejection)),
        Ok(Exchange::Again) => return Ok(Ok(device.clone())),
        Ok(Exchange::New) => {}
    }
    if connection.query_row("SELECT EXISTS (SELECT 1 FROM keys WHERE id = ?1)", [&key], |row| row.get(0))? {
        return Ok(Err(CodeRejection::KeyTaken));
    }
    keys::add(connection, &key, &hash, (device.tenant().id(), Some(device.id())), now)?;
    connection.execute(
        "UPDATE enrolment_codes SET used = ?2, key = ?3 WHERE id = ?1",
        (request.code.as_str(), now.0, &key),
    )?;
    let what = format!("enrolment code exchanged for key {key} of device {}", device.name());
    audit::record(connection, device.tenant(), &what, now)?;
    Ok(Ok(device.clone()))
}

/// A code with this secret, and its device.
pub(super) fn find(
    connection: &Connection,
    request: &EnrolmentRequest,
    origin: IpAddr,
) -> Result<Option<(StoredCode, DeviceContext)>, DbError> {
    let id = request.code.as_str();
    let mut select = connection.prepare_cached(&format!("{SELECT} WHERE codes.id = ?1"))?;
    let found = select.query_row([id], |row| {
        if !access::secret_fits(&request.secret, &row.get::<_, Vec<u8>>("hash")?) {
            return Ok(None);
        }
        let actor = Actor { who: id.to_owned(), origin: origin.to_string() };
        let tenant = TenantContext::open(row.get("tenant")?, row.get::<_, Parsed<Id>>("client")?.0, actor);
        let device = DeviceContext::of(tenant, row.get("device")?, row.get::<_, Parsed<Id>>("name")?.0);
        Ok(Some((read(row)?, device)))
    });
    Ok(found.optional()?.flatten())
}

fn read(row: &Row<'_>) -> rusqlite::Result<StoredCode> {
    let time = |column: &str| row.get::<_, Option<i64>>(column).map(|time| time.map(WallTime));
    let used = match (time("used")?, row.get("key")?) {
        (Some(at), Some(key)) => {
            let key_is_revoked = time("key_revoked")?.is_some();
            Some(UsedBy { at, key, hash: row.get("key_hash")?, key_is_revoked })
        }
        _ => None,
    };
    let (created, expires) = (WallTime(row.get("created")?), WallTime(row.get("expires")?));
    Ok(StoredCode { created, expires, revoked: time("revoked")?, used })
}

/// Adds a code. Older ones of the device that were not exchanged are revoked.
pub(super) fn add(connection: &Connection, device: DeviceId, code: &NewCode, now: WallTime) -> Result<(), DbError> {
    revoke(connection, device, now)?;
    connection.execute(
        "DELETE FROM enrolment_codes WHERE device = ?1 AND used IS NULL AND expires < ?2",
        (device, now.0.saturating_sub(LISTED.0)),
    )?;
    connection.execute(
        "INSERT INTO enrolment_codes (id, hash, device, created, expires, ca) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (code.id.as_str(), &code.hash, device, now.0, code.expires.0, &code.ca),
    )?;
    Ok(())
}

/// Revokes the open codes of a device. Returns how many.
pub(super) fn revoke(connection: &Connection, device: DeviceId, now: WallTime) -> Result<u64, DbError> {
    let mut update = connection.prepare_cached(
        "UPDATE enrolment_codes SET revoked = ?2 WHERE device = ?1 AND used IS NULL AND revoked IS NULL AND expires > ?2",
    )?;
    Ok(update.execute((device, now.0))? as u64)
}

/// Revokes all codes, after a restore: some may have been exchanged since the backup.
pub(super) fn revoke_all(connection: &Connection, now: WallTime) -> Result<(), DbError> {
    connection.execute("UPDATE enrolment_codes SET revoked = ?1 WHERE revoked IS NULL", [now.0])?;
    Ok(())
}

/// The codes of a device, oldest first.
pub(super) fn of_device(connection: &Connection, device: DeviceId) -> Result<Vec<ListedCode>, DbError> {
    let mut select =
        connection.prepare_cached(&format!("{SELECT} WHERE codes.device = ?1 ORDER BY codes.created, codes.id"))?;
    let codes = select.query_map([device], |row| Ok(ListedCode { id: row.get("id")?, code: read(row)? }))?;
    Ok(codes.collect::<Result<_, _>>()?)
}
