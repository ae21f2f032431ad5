//! Query parameters of a request.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tilth_core::time::WallTime;

use crate::http::error::ApiError;
use crate::parse_error;

/// Rows of a page where no limit is stated.
const DEFAULT_LIMIT: usize = 1000;

/// Most rows of a page.
const MAX_LIMIT: usize = 5000;

/// Query parameters. Their type rejects unknown ones with `deny_unknown_fields`.
#[derive(Debug)]
pub(in crate::http) struct Params<T>(pub(in crate::http) T);

/// The parameters of a route that takes none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NoParameters {}

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Params<T>, ApiError> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(parameters)) => Ok(Params(parameters)),
            Err(error) => {
                let text = error.body_text();
                let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
                Err(ApiError::bad_request(format!("the parameters: {}", parse_error::parameters(text))))
            }
        }
    }
}

/// RFC 3339, or milliseconds since 1970.
pub(in crate::http) fn time(name: &str, text: &str) -> Result<WallTime, ApiError> {
    let ms = text.parse().ok().or_else(|| Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond()));
    ms.map(WallTime).ok_or_else(|| {
        let expected = "a time such as 2026-03-01T06:30:00Z, or milliseconds since 1970";
        ApiError::bad_request(format!("{name}={text}: expected {expected}"))
    })
}

/// Number of rows of a page, 1 to 5,000; 1,000 where none is stated.
pub(in crate::http) fn limit(limit: Option<usize>) -> Result<usize, ApiError> {
    match limit {
        None => Ok(DEFAULT_LIMIT),
        Some(limit @ 1..=MAX_LIMIT) => Ok(limit),
        Some(limit) => Err(ApiError::bad_request(format!("limit={limit}: expected 1 to {MAX_LIMIT}"))),
    }
}

/// Begin of a page, as `read` understands it: none for the first page, where `after` is 0 or not stated.
pub(in crate::http) fn after<T>(
    after: Option<&str>,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    let Some(text) = after.filter(|text| *text != "0") else { return Ok(None) };
    read(text).map(Some).ok_or_else(|| {
        let expected = "`next` of the previous page, or 0 for the first page";
        ApiError::bad_request(format!("after={text}: expected {expected}"))
    })
}

/// Cuts `rows` to a page of `limit`. Where there were more, the second value is where the next page begins.
pub(in crate::http) fn page<T>(rows: &mut Vec<T>, limit: usize, position: impl FnOnce(&T) -> String) -> Option<String> {
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    rows.last().filter(|_| has_more).map(position)
}
