//! Pages of a channel of kind `log`: a line each in the log of the program.

use tilth_core::plan::Severity;
use tilth_notify::message::{Failure, Message, Retry};
use tilth_notify::text::Text;

use crate::console;
use crate::console::journal::Priority;

/// Delivers a message: a line that is queued when this returns, and delivered once it is written.
pub(super) fn send(message: &Message) -> impl Future<Output = Result<(), Failure>> + Send + use<> {
    let text = Text::of(message);
    let line = format!("notify {}: {} ({})", message.id(), text.title, text.body.replace('\n', "; "));
    let written = console::tell_for_certain(priority(message), line);
    async {
        written.await.map_err(|error| Failure {
            reason: format!("standard error: {error}"),
            retry: Retry::UntilExpired,
            retry_after: None,
            may_have_arrived: false,
        })
    }
}

/// Priority of a message in the log: that of its most severe page; of resolved alerts `Notice`.
fn priority(message: &Message) -> Priority {
    let first = message.items.first().map(|item| &item.notification);
    match first.filter(|first| first.is_page()).map(|page| page.details.severity) {
        Some(Severity::Critical | Severity::Urgent) => Priority::Error,
        Some(Severity::Warning) => Priority::Warning,
        Some(Severity::Preventive) | None => Priority::Notice,
    }
}
