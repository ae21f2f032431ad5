//! Body of a request: read within limits, unpacked, and parsed; an error names the place.

use std::io::Read;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use flate2::read::{GzDecoder, ZlibDecoder};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use tilth_protocol::{ErrorCode, MAX_BATCH_BYTES};

use crate::http::error::ApiError;
use crate::parse_error;

/// Timeout of a body.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Reads a JSON body of at most [`MAX_BATCH_BYTES`], before and after unpacking.
pub(in crate::http) async fn json<T: DeserializeOwned>(request: Request, what: &str) -> Result<T, ApiError> {
    let (parts, body) = request.into_parts();
    let decoder = decoder(&parts.headers)?;
    check_type(&parts.headers)?;
    let bytes = match tokio::time::timeout(TIMEOUT, read(body)).await {
        Ok(bytes) => bytes?,
        Err(_) => return Err(ApiError::bad_request(format!("the body did not arrive within {TIMEOUT:?}"))),
    };
    parse(&unpack(decoder, bytes)?, what)
}

async fn read(body: Body) -> Result<Bytes, ApiError> {
    match Limited::new(body, MAX_BATCH_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Err(_) => Err(ApiError::bad_request("the body is incomplete")),
    }
}

fn too_large() -> ApiError {
    ApiError::new(ErrorCode::TooLarge, format!("expected a body of at most {MAX_BATCH_BYTES} bytes, unpacked"))
}

fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(stated) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let stated = stated.to_str().unwrap_or_default();
    let essence = stated.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::bad_request(format!("Content-Type {stated:?}: expected application/json")))
}

/// Name of a compression and what reads through it.
type Decoder = (&'static str, fn(&[u8]) -> Box<dyn Read + '_>);

/// The decoder that `Content-Encoding` names; none for a body that is not compressed.
fn decoder(headers: &HeaderMap) -> Result<Option<Decoder>, ApiError> {
    let coding = headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or_default().trim());
    match coding {
        None | Some("identity") => Ok(None),
        Some("gzip") => Ok(Some(("gzip", |bytes| Box::new(GzDecoder::new(bytes))))),
        Some("deflate") => Ok(Some(("deflate (zlib)", |bytes| Box::new(ZlibDecoder::new(bytes))))),
        Some(other) => {
            let message = format!("Content-Encoding {other:?}: expected gzip, deflate or identity");
            Err(ApiError::bad_request(message))
        }
    }
}

/// Unpacks a body, and stops as soon as it is too large.
fn unpack(decoder: Option<Decoder>, bytes: Bytes) -> Result<Bytes, ApiError> {
    let Some((name, decoder)) = decoder else { return Ok(bytes) };
    let (mut unpacked, most) = (Vec::new(), MAX_BATCH_BYTES as u64 + 1);
    match decoder(&bytes).take(most).read_to_end(&mut unpacked) {
        Ok(length) if length as u64 == most => Err(too_large()),
        Ok(_) => Ok(unpacked.into()),
        Err(_) => Err(ApiError::bad_request(format!("the body is not {name}, as Content-Encoding says"))),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, ApiError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let place = if path == "." { String::new() } else { format!("{path}: ") };
        ApiError::bad_request(format!("expected {what}: {place}{}", parse_error::json(error.inner())))
    })?;
    reader.end().map_err(|error| {
        let (line, column) = (error.line(), error.column());
        ApiError::bad_request(format!("expected {what} and nothing after it (line {line}, column {column})"))
    })?;
    Ok(parsed)
}
