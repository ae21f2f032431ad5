//! Authentication. The first argument of a handler after the state is its caller: a [`Device`], a [`Reader`] or [`Anyone`].
//!
//! A key is found by its public id, compared by its hash, and opens one device or one tenant.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use tilth_core::time::{Span, WallTime};
use tilth_protocol::{ErrorCode, KEY_HEADER, Key};

use super::limits::Permit;
use crate::clock;
use crate::db::{Authenticated, Caller, DbError, DeviceContext, TenantContext};
use crate::domain::access;
use crate::http::ApiState;
use crate::http::error::ApiError;
use crate::http::server::progress::Progress;

/// Shortest time between two updates of a key's last use.
const NOTED_EVERY: Span = Span::from_mins(1);

/// Origin of a request. The server adds it to each request.
#[derive(Debug, Clone)]
pub(in crate::http) struct Peer {
    /// Address of the client, also behind a trusted proxy.
    pub(in crate::http) address: IpAddr,
    pub(in crate::http) connection: Arc<Progress>,
}

/// The device of the key.
#[derive(Debug)]
pub(in crate::http) struct Device {
    pub(in crate::http) context: DeviceContext,
    _permit: Permit,
}

/// The tenant of the read key. `Option<Reader>` is for a route that also answers without a key.
#[derive(Debug)]
pub(in crate::http) struct Reader {
    pub(in crate::http) tenant: TenantContext,
    _permit: Permit,
}

/// A caller who needs no key.
#[derive(Debug)]
pub(in crate::http) struct Anyone {
    pub(in crate::http) address: IpAddr,
}

impl FromRequestParts<Arc<ApiState>> for Device {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<ApiState>) -> Result<Device, ApiError> {
        let (Authenticated { caller, last_used }, permit) = authenticate(parts, state).await?;
        let Caller::Device(context) = caller else {
            return Err(forbidden("read key: it reads the data of its tenant only; expected a device key"));
        };
        note_use(state, context.tenant(), last_used).await?;
        state.note_heard(context.id(), clock::now());
        Ok(Device { context, _permit: permit })
    }
}

impl FromRequestParts<Arc<ApiState>> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<ApiState>) -> Result<Reader, ApiError> {
        let (Authenticated { caller, last_used }, permit) = authenticate(parts, state).await?;
        let Caller::Reader(tenant) = caller else {
            return Err(forbidden(
                "device key: it allows sync and configuration of its device only; expected a read key",
            ));
        };
        match note_use(state, &tenant, last_used).await {
            // Data can be read while the disk cannot be written.
            Err(error) if error.is_of_the_disk() => {}
            noted => noted?,
        }
        Ok(Reader { tenant, _permit: permit })
    }
}

impl OptionalFromRequestParts<Arc<ApiState>> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<ApiState>) -> Result<Option<Reader>, ApiError> {
        if parts.headers.contains_key(KEY_HEADER) {
            return <Reader as FromRequestParts<_>>::from_request_parts(parts, state).await.map(Some);
        }
        state.limits.health_checks.take_from(peer(parts)?.address)?;
        Ok(None)
    }
}

impl FromRequestParts<Arc<ApiState>> for Anyone {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<ApiState>) -> Result<Anyone, ApiError> {
        let address = peer(parts)?.address;
        state.limits.without_key.take_from(address)?;
        Ok(Anyone { address })
    }
}

fn peer(parts: &Parts) -> Result<&Peer, ApiError> {
    parts.extensions.get().ok_or_else(|| ApiError::internal("a request without its connection"))
}

/// The owner of the key, and the permit to work on the request.
///
/// Limits are checked before the look-up: neither a guessed key nor one that is used too often costs a query. A key is known by its hash,
/// so its public id alone does not use up its limit.
async fn authenticate(parts: &Parts, state: &Arc<ApiState>) -> Result<(Authenticated, Permit), ApiError> {
    let (peer, limits) = (peer(parts)?, &state.limits);
    let shown =
        parts.headers.get(KEY_HEADER).and_then(|text| text.to_str().ok()).and_then(|text| Key::parse(text).ok());
    let Some(shown) = shown else {
        limits.unknown_keys.take_from(peer.address)?;
        return Err(ApiError::new(ErrorCode::UnknownKey, "expected a key in the header X-Device-Key"));
    };
    let (id, kind, hash) = (shown.id().to_owned(), shown.kind(), access::hash(&shown));
    let permit = if limits.is_known(&hash) {
        Some(limits.take_request(kind, &id)?)
    } else {
        limits.unknown_keys.take_from(peer.address)?;
        None
    };
    let Some(found) = state.db.authenticate(shown, peer.address).await? else {
        limits.forget(&hash);
        // The same for a revoked key, an unknown one and one with another secret.
        return Err(ApiError::new(ErrorCode::UnknownKey, "unknown or revoked key"));
    };
    peer.connection.set_known();
    let permit = match permit {
        Some(permit) => permit,
        None => {
            limits.unknown_keys.give_back(peer.address);
            limits.remember(hash);
            limits.take_request(kind, &id)?
        }
    };
    Ok((found, permit))
}

fn forbidden(message: &str) -> ApiError {
    ApiError::new(ErrorCode::Forbidden, message)
}

/// Notes a use of a key. The first use of a device's key revokes its older keys.
async fn note_use(state: &ApiState, tenant: &TenantContext, last_used: Option<WallTime>) -> Result<(), DbError> {
    let now = clock::now();
    let is_first = match last_used {
        Some(last) if now - last < NOTED_EVERY => return Ok(()),
        last => last.is_none(),
    };
    match state.db.note_key_use(tenant, is_first, now).await {
        // A use may be noted later; but older keys must be revoked now.
        Err(DbError::Busy) if !is_first => Ok(()),
        noted => noted,
    }
}
