//! `GET /api/openapi.json`: what may be asked of this hub and what it answers, for programs.

use axum::http::Uri;
use axum::response::Response;
use serde::Deserialize;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};

use super::device::{batch, bundle, time};
use super::error::ApiError;
use super::extract::query;
use super::read::{alerts, data, events, health, latest};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {}

/// The operations, each described beside the function that answers it.
#[derive(Debug, OpenApi)]
#[openapi(
    info(title = "tilth-hub"),
    paths(batch::take, bundle::get, time::get, latest::get, data::get, events::get, alerts::get, health::get, get),
    modifiers(&Keys)
)]
struct Api;

/// The two kinds of keys, which travel in one header.
struct Keys;

impl Modify for Keys {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let components = api.components.get_or_insert_default();
        for (name, what) in
            [("device_key", "Key of one device, dev_ak_.."), ("read_key", "Read key of a tenant, dev_rk_..")]
        {
            let key = ApiKeyValue::with_description(tilth_protocol::KEY_HEADER, what);
            components.add_security_scheme(name, SecurityScheme::ApiKey(ApiKey::Header(key)));
        }
    }
}

/// A refusal (`application/problem+json`): a word for programs and a sentence for people, which `message` and `detail` both hold.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the answers of error.rs, whose words are of a package that knows no OpenAPI")]
pub(super) struct Failure {
    error: String,
    message: String,
    title: String,
    status: u16,
    detail: String,
}

/// What every operation may answer beside its own.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "describes answers that error.rs makes")]
pub(super) enum Refused {
    /// The request cannot be understood
    #[response(status = 400)]
    BadRequest(Failure),
    /// More at once than the hub takes or answers
    #[response(status = 413)]
    TooLarge(Failure),
    /// Too many requests; Retry-After says when to come again
    #[response(status = 429)]
    TooMany(Failure),
    /// The hub's own trouble
    #[response(status = 500)]
    Internal(Failure),
}

/// What an operation that wants a key may answer beside its own.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "describes answers that error.rs makes")]
pub(super) enum KeyRefused {
    /// No key, or one that is not known or was revoked
    #[response(status = 401)]
    UnknownKey(Failure),
    /// A key for something else
    #[response(status = 403)]
    Forbidden(Failure),
}

#[utoipa::path(
    get,
    path = "/api/openapi.json",
    operation_id = "getOpenapi",
    responses((status = 200, description = "This document", body = Object), Refused)
)]
pub(super) fn get(uri: &Uri) -> Result<Response, ApiError> {
    let Parameters {} = query::read(uri)?;
    super::json(&Api::openapi())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::routes::{Call, ROUTES};

    #[test]
    fn no_two_operations_have_one_name() {
        let api = serde_json::to_value(Api::openapi()).unwrap();
        let operations = api["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
        let names: std::collections::BTreeSet<&str> =
            operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
        assert_eq!(names.len(), ROUTES.len(), "{names:?}");
    }

    #[test]
    fn every_route_is_described_with_the_key_that_it_wants() {
        let api = serde_json::to_value(Api::openapi()).unwrap();
        for route in ROUTES {
            let operation = &api["paths"][route.path][route.method.name().to_lowercase()];
            let keys = match route.call {
                Call::Device(_) => serde_json::json!([{"device_key": []}]),
                Call::Reader(_) => serde_json::json!([{"read_key": []}]),
                Call::Anyone(_) if route.path == "/api/health" => serde_json::json!([{}, {"read_key": []}]),
                Call::Anyone(_) => serde_json::Value::Null,
            };
            assert!(operation["responses"]["200"].is_object(), "{}", route.path);
            assert_eq!(operation["security"], keys, "{}", route.path);
        }
        assert_eq!(api["paths"].as_object().unwrap().len(), ROUTES.len());
    }
}
