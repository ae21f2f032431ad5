//! The log: events of `tracing` as lines of text, which the journal's thread writes while the daemon runs.
//!
//! A line is `tilth-agent: TARGET: FIELD VALUE: MESSAGE`. Only a target that the event names is shown; a sensor's id stands
//! without the word. Events of libraries are left out: their fields may hold secrets.

use std::fmt::{Debug, Write};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::journal::Priority;
use super::put;

struct Log {
    level: Level,
    put: fn(Priority, String),
}

/// From here on events up to `level` are lines of the log.
pub(crate) fn start(level: Level) {
    // Fails only where there is one already.
    let _ = tracing::subscriber::set_global_default(Log { level, put });
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level && is_ours(metadata.module_path())
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(self.level.into())
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut text = Text::default();
        if metadata.module_path() != Some(metadata.target()) {
            text.context = format!("{}: ", metadata.target());
        }
        event.record(&mut text);
        (self.put)(priority(*metadata.level()), format!("tilth-agent: {}{}", text.context, text.message));
    }

    // There are no spans: what a line is about stands in its fields.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn is_ours(module: Option<&str>) -> bool {
    module.is_some_and(|module| module.starts_with("tilth_"))
}

fn priority(level: Level) -> Priority {
    match level {
        Level::ERROR => Priority::Error,
        Level::WARN => Priority::Warning,
        Level::INFO => Priority::Info,
        _ => Priority::Debug,
    }
}

#[derive(Default)]
struct Text {
    context: String,
    message: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "sensor" => write!(self.context, "{value:?}: "),
            name => write!(self.context, "{name} {value:?}: "),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tracing::subscriber::with_default;
    use tracing::{debug, error, info, warn};

    use super::*;

    thread_local! {
        static LINES: RefCell<Vec<(Priority, String)>> = const { RefCell::new(Vec::new()) };
    }

    #[test]
    fn an_event_is_a_line_with_its_target_and_fields_before_the_message() {
        let log =
            Log { level: Level::INFO, put: |priority, line| LINES.with_borrow_mut(|all| all.push((priority, line))) };
        with_default(log, || {
            let (bus, sensor) = ("gateway", "tower-1/ph");
            info!("watching {} sensors", 3);
            warn!(%sensor, "fault: no number");
            warn!(bus, %sensor, "{}", "a line without it");
            error!(target: "store", "the disk is full");
            debug!("not at this level");
        });
        let expected = [
            (Priority::Info, "tilth-agent: watching 3 sensors"),
            (Priority::Warning, "tilth-agent: tower-1/ph: fault: no number"),
            (Priority::Warning, "tilth-agent: bus gateway: tower-1/ph: a line without it"),
            (Priority::Error, "tilth-agent: store: the disk is full"),
        ];
        assert_eq!(LINES.take(), expected.map(|(priority, line)| (priority, line.to_owned())));
    }

    /// Guards against: a header or an address with a secret in it that a library writes at its debug level.
    #[test]
    fn what_libraries_say_is_left_out() {
        assert!(is_ours(Some("tilth_agent::sync")) && is_ours(Some("tilth_sync::driver")));
        assert!(!is_ours(Some("hyper_util::client")) && !is_ours(None));
    }
}
