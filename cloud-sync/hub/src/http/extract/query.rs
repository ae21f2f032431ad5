//! What stands after the question mark, read into what it means.

use axum::extract::Query;
use axum::http::Uri;
use serde::de::DeserializeOwned;
use tilth_core::time::WallTime;

use crate::domain::cursor::Cursors;
use crate::http::error::ApiError;
use crate::malformed;

/// Answers of more rows are read in pages.
pub(in crate::http) const MAX_LIMIT: usize = 5000;

/// The parameters, all of which must be known.
pub(in crate::http) fn read<T: DeserializeOwned>(uri: &Uri) -> Result<T, ApiError> {
    match Query::try_from_uri(uri) {
        Ok(Query(parameters)) => Ok(parameters),
        Err(error) => {
            let text = error.body_text();
            let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            Err(ApiError::bad_request(format!("the parameters: {}", malformed::parameters(text))))
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

/// How many rows, where it is said at all.
pub(in crate::http) fn limit(limit: Option<usize>, usual: usize) -> Result<usize, ApiError> {
    match limit {
        None => Ok(usual),
        Some(limit @ 1..=MAX_LIMIT) => Ok(limit),
        Some(limit) => Err(ApiError::bad_request(format!("limit={limit}: expected 1 to {MAX_LIMIT}"))),
    }
}

/// A refusal of a page's beginning that no answer gave.
pub(in crate::http) fn not_a_page(after: &str) -> ApiError {
    ApiError::bad_request(format!("after={after}: expected what `next` of the page before says"))
}

/// The id after which a page begins: 0 for the first page, else what a cursor was made of.
pub(in crate::http) fn after(after: Option<&str>, cursors: &Cursors) -> Result<i64, ApiError> {
    let Some(after) = after.filter(|after| *after != "0") else { return Ok(0) };
    let id = after.parse().ok().and_then(|cursor| cursors.id(cursor));
    id.ok_or_else(|| {
        let expected = "expected what `next` of a page of this list says, or 0 to begin with the first page";
        ApiError::bad_request(format!("after={after}: {expected}"))
    })
}
