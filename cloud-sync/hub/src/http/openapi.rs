//! `GET /api/openapi.json`: description of all routes, for programs.

use std::sync::LazyLock;

use axum::response::Response;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{OpenApi, PathItem};
use utoipa::{IntoResponses, Modify, OpenApi as _, ToSchema};

use super::error::ApiError;
use super::extract::{Anyone, NoParameters, Params};

/// The description of every route.
static DESCRIPTION: LazyLock<OpenApi> = LazyLock::new(|| super::api().into_openapi());

/// Kinds of keys: name, holder, description.
const KEYS: [(&str, &str, &str); 2] = [
    ("device_key", "device", "Key of one device, dev_ak_.."),
    ("read_key", "reader", "Read key of a tenant, dev_rk_.."),
];

#[derive(Debug, utoipa::OpenApi)]
#[openapi(info(title = "tilth-hub"), modifiers(&Keys))]
struct Api;

/// The description without its routes, which are added where they are registered.
pub(super) fn without_routes() -> OpenApi {
    Api::openapi()
}

/// A route, as `tilth-hub routes` shows it.
pub(crate) struct DescribedRoute {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// Callers with access: `device`, `reader`, `anyone`, or several of them.
    pub(crate) who: String,
}

/// Every route, in the order of its registration.
pub(crate) fn described_routes() -> impl Iterator<Item = DescribedRoute> {
    let paths = DESCRIPTION.paths.paths.iter();
    paths.flat_map(|(path, item)| {
        let route = move |(method, operation)| DescribedRoute { method, path, who: who_may_call(operation) };
        operations(item).map(route)
    })
}

/// Methods of a route, as the header `Allow` states them.
pub(super) fn allowed_methods(path: &str) -> String {
    let methods = DESCRIPTION.paths.paths.get(path).into_iter().flat_map(operations);
    let methods = methods.map(|(method, _)| if method == "GET" { "GET, HEAD" } else { method });
    methods.collect::<Vec<_>>().join(", ")
}

fn operations(item: &PathItem) -> impl Iterator<Item = (&'static str, &Operation)> {
    let PathItem { get, post, put, patch, delete, .. } = item;
    let methods = [("GET", get), ("POST", post), ("PUT", put), ("PATCH", patch), ("DELETE", delete)];
    methods.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

/// Callers with access to an operation, by the keys that its description names. The extractors of its handler enforce the same: the test
/// `a_key_reaches_what_it_is_for_and_nothing_else` asks every route with every kind of key.
fn who_may_call(operation: &Operation) -> String {
    let needs = operation.security.as_deref().unwrap_or_default();
    let holder = |need: &SecurityRequirement| {
        let key = KEYS.iter().find(|(name, ..)| *need == SecurityRequirement::new(*name, [""; 0]));
        key.map_or("anyone", |(_, holder, _)| holder)
    };
    if needs.is_empty() { "anyone".to_owned() } else { needs.iter().map(holder).collect::<Vec<_>>().join(", ") }
}

/// Adds the two kinds of keys, which travel in one header.
struct Keys;

impl Modify for Keys {
    fn modify(&self, api: &mut OpenApi) {
        let components = api.components.get_or_insert_default();
        for (name, _, what) in KEYS {
            let key = ApiKeyValue::with_description(tilth_protocol::KEY_HEADER, what);
            components.add_security_scheme(name, SecurityScheme::ApiKey(ApiKey::Header(key)));
        }
    }
}

/// An error (`application/problem+json`): a code for programs, and a message for people in `message` and `detail`.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the answers of error.rs, whose types are in a package without OpenAPI")]
pub(super) struct Failure {
    error: String,
    message: String,
    title: String,
    status: u16,
    detail: String,
}

/// Errors that every operation may answer.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "describes answers that error.rs makes")]
pub(super) enum CommonErrors {
    /// The request is malformed
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Failure),
    /// The request or its answer is too large
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Failure),
    /// Too many requests; Retry-After says when to retry
    #[response(status = 429, content_type = "application/problem+json")]
    TooMany(Failure),
    /// Internal error of the hub
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Failure),
}

/// Errors that an operation with a key may answer.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "describes answers that error.rs makes")]
pub(super) enum KeyErrors {
    /// No key, an unknown key, or a revoked one
    #[response(status = 401, content_type = "application/problem+json")]
    UnknownKey(Failure),
    /// A key of another kind, tenant or device
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Failure),
}

#[utoipa::path(
    get,
    path = "/api/openapi.json",
    operation_id = "getOpenapi",
    responses((status = 200, description = "This document", body = Object), CommonErrors)
)]
pub(super) async fn get(_: Anyone, Params(NoParameters {}): Params<NoParameters>) -> Result<Response, ApiError> {
    super::json(&*DESCRIPTION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_operations_have_one_name() {
        let names = DESCRIPTION.paths.paths.values().flat_map(operations).map(|(_, operation)| &operation.operation_id);
        let names: std::collections::BTreeSet<_> = names.collect();
        assert_eq!(names.len(), described_routes().count(), "{names:?}");
        assert!(!names.contains(&None), "an operation without a name");
    }

    #[test]
    fn every_route_is_described_with_its_answer_and_the_key_that_it_wants() {
        let api = serde_json::to_value(&*DESCRIPTION).unwrap();
        for DescribedRoute { method, path, who } in described_routes() {
            let operation = &api["paths"][path][method.to_lowercase()];
            let keys = match who.as_str() {
                "device" => serde_json::json!([{"device_key": []}]),
                "reader" => serde_json::json!([{"read_key": []}]),
                "anyone, reader" => serde_json::json!([{}, {"read_key": []}]),
                "anyone" => serde_json::Value::Null,
                other => panic!("{path}: {other}"),
            };
            assert!(operation["responses"]["200"].is_object(), "{path}");
            assert_eq!(operation["security"], keys, "{path}");
        }
    }

    #[test]
    fn the_methods_of_a_path() {
        assert_eq!(allowed_methods("/api/data"), "GET, HEAD");
        assert_eq!(allowed_methods("/api/v1/sync/batch"), "POST");
        assert_eq!(allowed_methods("/api/none"), "");
    }
}
