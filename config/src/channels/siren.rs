//! Keys of a channel of kind `siren`: its actuator, and how it sounds.

use tilth_core::plan::Severity;
use tilth_core::time::Span;

use super::{Channel, Target};
use crate::reader::{self, Fields};

/// How a siren sounds: on for a time, off for a time, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    /// Time on.
    pub on: Span,
    /// Time off.
    pub off: Span,
}

/// A pattern for each severity, in the order of [`Severity::ALL`].
pub type Patterns = [Pattern; 4];

const fn pattern(on: i64, off: i64) -> Pattern {
    Pattern { on: Span::from_secs(on), off: Span::from_secs(off) }
}

/// Patterns where the document names none: from a chirp a minute to nearly without a pause.
const DEFAULTS: Patterns = [pattern(1, 60), pattern(2, 30), pattern(10, 10), pattern(60, 2)];

pub(crate) fn read(fields: &Fields<'_>) -> Option<Channel> {
    let actuator = fields.required("actuator", reader::id);
    let mut patterns = DEFAULTS;
    for severity in Severity::ALL {
        let Some(written) = fields.table(severity.name()) else { continue };
        let pattern = &mut patterns[severity as usize];
        pattern.on = written.optional("on", reader::some_duration).unwrap_or(pattern.on);
        pattern.off = written.optional("off", reader::duration).unwrap_or(pattern.off);
        written.finish();
    }
    let target = Target::Siren { actuator: actuator?, patterns };
    Some(Channel { target, secret: None, max_per_hour: None, blocked: None })
}
