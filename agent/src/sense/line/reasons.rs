//! Why lines of text, or fields of one, are not used.

use crate::sense::bus::health::Reason;

pub(crate) const PARTIAL: Reason = Reason::new("partial", "half a line after opening");
pub(crate) const TOO_LONG: Reason = Reason::new("too_long", "too long");
pub(crate) const NOT_TEXT: Reason = Reason::new("not_text", "not text");
pub(crate) const NOT_JSON: Reason = Reason::new("not_json", "broken JSON");
pub(crate) const CHECKSUM: Reason = Reason::new("checksum", "wrong checksum");
pub(crate) const HEADER: Reason = Reason::new(
    "header",
    "a header ignored: no sensor reads a column of it, and sensors read columns of the one before",
);
pub(crate) const NO_HEADER: Reason = Reason::new("no_header", "columns without a header");
pub(crate) const WIDTH: Reason = Reason::new("width", "more or fewer columns than the header");
pub(crate) const UNKNOWN: Reason = Reason::new("unknown", "not understood");
pub(crate) const NOT_A_NUMBER: Reason = Reason::new("not_a_number", "a wanted field is no number");
pub(crate) const NOT_A_STATE: Reason = Reason::new("not_a_state", "a wanted contact is neither 0 nor 1");
pub(crate) const WRONG_UNIT: Reason = Reason::new("wrong_unit", "a wanted field has the wrong unit");
pub(crate) const TWICE: Reason = Reason::new("twice", "a wanted field comes twice");
pub(crate) const AMBIGUOUS: Reason = Reason::new("ambiguous", "a wanted name fits two labels");
pub(crate) const NODE_UNCLEAR: Reason = Reason::new("node_unclear", "a wanted field could be of two nodes");
pub(crate) const BAD_TIME: Reason = Reason::new("bad_time", "its time cannot be read");
