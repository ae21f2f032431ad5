//! Decoder of the text lines of one bus: bytes in, values for sensors out. Pure; memory is bounded for any input.

use std::sync::Arc;

use tilth_core::id::Id;
use tilth_core::time::WallTime;

use super::assign::FieldAssigner;
use super::clean::{clean, lossy};
use super::formats::Formats;
use super::lines::{LinePiece, Lines};
use super::missing;
use super::names::LineInput;
use super::reasons;
use crate::sense::bus::MissingValues;
use crate::sense::bus::health::{MessageStats, UnusableValue};

/// The values of one line; sensors by their index in the list of inputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Decoded<'a> {
    /// NaN where the board says that it has no value.
    pub(crate) values: &'a [(usize, f64)],
    /// Sensors that read a fault, and why.
    pub(crate) faults: &'a [(usize, Arc<str>)],
    /// Sensors whose field is no number, and what stands there.
    pub(crate) not_numbers: &'a [(usize, UnusableValue)],
    /// The line's own time, if it carries one.
    pub(crate) time: Option<WallTime>,
    /// A number in the place of a time that is no time of day, such as a board's `millis()`, taken as seconds since 1970.
    pub(crate) counter: Option<WallTime>,
}

#[derive(Debug, Default)]
pub(crate) struct Decoder {
    lines: Lines,
    formats: Formats,
    pub(super) assigner: FieldAssigner,
    text: String,
}

impl Decoder {
    /// Replaces the inputs, and the names of columns that have no header. A line that is half read and the header stay.
    pub(crate) fn set_inputs(&mut self, inputs: Vec<LineInput>, columns: Option<Vec<String>>) {
        self.assigner.set_inputs(inputs);
        self.formats.set_columns(columns, &self.assigner.names);
    }

    pub(crate) fn messages(&self) -> &MessageStats {
        &self.assigner.messages
    }

    /// The sensors whose values no line has, each with the reason in words.
    pub(crate) fn missing(&self, bus: &Id) -> MissingValues {
        missing::missing(&self.assigner.names, &self.assigner.messages, bus)
    }

    /// The port was opened: the first line may be half of one. The header stays, for the same board is behind the same port.
    pub(crate) fn reopen(&mut self) {
        self.lines.reopen();
        self.formats.reopen();
    }

    /// Takes more bytes; calls `each` for every line that has something for a sensor.
    pub(crate) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Decoded<'_>)) {
        let Decoder { lines, formats, assigner, text } = self;
        lines.push(bytes, |piece| {
            assigner.begin();
            let read = match piece {
                LinePiece::TooLong(head) => {
                    lossy(head, text);
                    Err(reasons::TOO_LONG)
                }
                LinePiece::Line(line, first) => clean(line, text).and_then(|()| assigner.read(formats, text, first)),
            };
            if let Err(reason) = read {
                assigner.messages.ignore(reason, text.trim(), None);
            }
            let decoded = assigner.decoded();
            if !(decoded.values.is_empty() && decoded.faults.is_empty() && decoded.not_numbers.is_empty()) {
                each(decoded);
            }
        });
    }
}

#[cfg(test)]
mod tests;
