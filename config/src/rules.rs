//! Rules as they are written, each checked by itself and not yet bound to sensors.

use std::sync::Arc;

use tilth_core::id::Id;
use tilth_core::interlock::Wanted;
use tilth_core::message::Template;
use tilth_core::plan::{Action, Severity};
use tilth_core::quantity::Quantity;
use tilth_core::time::Span;

use crate::conditions::{self, RuleCondition};
use crate::diagnostic::{Diagnostics, Problem};
use crate::document::ZONES;
use crate::namespaces::{ACTION, RULE};
use crate::path;
use crate::reader::{self, Fields};
use crate::selector::{self, Selector};
use crate::source::{Place, Sources};
use crate::tree::{Entry, Node, Table};

/// The name of the rule that tells of a sensor's own fault.
pub(crate) const SENSOR_FAULT: &str = "sensor-fault";

/// The name of the rule that tells of a line that is down.
pub(crate) const BUS_DOWN: &str = "bus-down";

/// The name of the rule that tells of a line that carries nothing although it is up.
pub(crate) const BUS_SILENT: &str = "bus-silent";

/// The name of the rule that tells of a channel that cannot send.
pub(crate) const CHANNEL_DOWN: &str = "channel-down";

/// The name under which a hub that refuses the device is told.
pub(crate) const HUB_REFUSES: &str = "hub-refuses";

/// The name under which actuators that must not dose are told.
pub(crate) const DOSING_STOPPED: &str = "dosing-stopped";

/// Default message of an alert, by the key of its condition.
pub(crate) fn default_message(condition: Option<&str>) -> &'static str {
    match condition {
        Some("missing_for") => "{sensor} silent for {value}",
        Some("stuck_for") => "{sensor} has not changed for {value}",
        Some("differs_from") => "{sensor} {value} {unit} differs from {other_sensor} {other} {unit}, limit {limit}",
        _ => "{sensor} {value} {unit}, limit {limit}",
    }
}

/// One entry of `rules`.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: Id,
    pub(crate) path: String,
    /// Place of the rule's key in the latest document that says something of it.
    pub(crate) key: Place,
    pub(crate) selector: Selector,
    /// Place of the selector.
    pub(crate) watches: Place,
    pub(crate) quantity: Option<Quantity>,
    /// Watches sensors of other zones too, and where that stands.
    pub(crate) across: Option<Place>,
    pub(crate) condition: RuleCondition,
    pub(crate) during: Option<Name>,
    pub(crate) alert: AlertSettings,
    pub(crate) actions: Vec<RuleAction>,
}

/// What an actuator does when the alert of a rule fires.
#[derive(Debug)]
pub(crate) struct RuleAction {
    pub(crate) action: Action,
    /// Place of the actuator's name.
    pub(crate) place: Place,
}

/// Settings of an alert, of a rule or of the agent itself.
#[derive(Debug, Clone)]
pub(crate) struct AlertSettings {
    pub(crate) enabled: bool,
    pub(crate) hold: Span,
    /// Place of the hold.
    pub(crate) hold_at: Place,
    pub(crate) keep_firing_for: Span,
    pub(crate) cooldown: Span,
    pub(crate) severity: Severity,
    pub(crate) escalation: Name,
    pub(crate) message: Arc<Template>,
    pub(crate) advice: Option<Arc<str>>,
}

/// The name of something that stands elsewhere, and where it is named.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) path: String,
}

/// Reads the entries of `rules`.
pub(crate) struct RuleReader<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) log: &'a Diagnostics,
    /// The rules of the whole device, of which a name may be a misspelling.
    pub(crate) known: &'a Table,
}

impl RuleReader<'_> {
    /// Says that a rule watches nothing, unless that is for a name that was misspelt, which is said instead.
    fn say_watches_nothing(&self, name: &str, fields: &Fields<'_>) {
        let complete = |(known, entry): &(&String, &Entry)| {
            known.as_str() != name && ["sensor", "quantity"].iter().any(|key| entry.node.get([*key]).is_some())
        };
        let known = self.known.iter().filter(complete).map(|(known, _)| known.as_str());
        let problem = Problem::new("a rule that watches nothing").across_documents();
        let keys = "sensor, such as \"*/ph\", or quantity, such as \"ph\"";
        let help = match self.log.did_you_mean(name, known) {
            Some(meant) => format!("{meant} a rule of its own needs {keys}"),
            None => format!("expected {keys}"),
        };
        fields.error_here(problem.help(help));
    }

    fn unknown_key(&self, rule: &str, key: &str, node: &Node, quantity: Option<Quantity>) -> Option<Problem> {
        if conditions::UNSUPPORTED.contains(&key) {
            let problem = Problem::new("this version cannot do that yet");
            return Some(problem.help("take the key out: nothing would come of it"));
        }
        if key != "zone" && key != "zones" {
            return reader::unit_key(key, quantity);
        }
        let zone = node.as_text().filter(|zone| Id::new(zone).is_ok()).unwrap_or("tower-1");
        let header = path::join(&path::join(ZONES, zone), "rules");
        let help = format!("to limit a rule to a zone write [{}], or sensor = \"{zone}/*\"", path::join(&header, rule));
        Some(Problem::new("unknown key").help(help))
    }
}

/// Reads an entry of `rules`; none where something in it is wrong. `own` is what a zone itself says of it.
pub(crate) fn read(
    name: &str,
    entry: &Entry,
    own: Option<&Table>,
    path: String,
    reader: &RuleReader<'_>,
) -> Option<Rule> {
    let log = reader.log;
    let fields = Fields::of(entry, path, &RULE, log)?.with_own(own);
    for (kept, what, setting) in [
        (SENSOR_FAULT, "the fault of a sensor itself", "sensor_fault"),
        (BUS_DOWN, "a bus that is down", "bus_down"),
        (BUS_SILENT, "a bus that is silent", "bus_silent"),
        (CHANNEL_DOWN, "a channel that cannot send", "channel_down"),
        (HUB_REFUSES, "a hub that refuses this device", "hub_refuses"),
        (DOSING_STOPPED, "actuators that must not dose", "dosing_stopped"),
    ] {
        if name == kept {
            let problem = Problem::new(format!("this name is kept for {what}"));
            let help = format!("set agent.{setting} to change what is said then, or choose another name");
            fields.error_here(problem.help(help));
            return None;
        }
    }
    let id = reader::entry_id(name, &fields, log);
    let has_selector = fields.has("sensor");
    let selector = fields.optional("sensor", selector::read);
    let has_quantity = fields.has("quantity");
    let quantity = fields.word("quantity", Quantity::from_name);
    if !has_selector && !has_quantity {
        reader.say_watches_nothing(name, &fields);
    }
    let watches = fields.place(if has_selector { "sensor" } else { "quantity" });
    let across = fields.or_default("across", reader::boolean);
    let across = across.then(|| fields.place("across"));
    // A rule that neither names sensors nor states a condition gets one message, that it watches nothing: its name is what is wrong.
    let is_other = !has_selector && !has_quantity && !conditions::states_any(&fields);
    let condition = if is_other { None } else { conditions::read(name, &fields, reader.sources) };
    let during = fields.optional("during", reader::id);
    let during = during.map(|id| name_at(&fields, "during", id.as_str()));
    let alert = AlertSettings::read(&fields, default_message(condition.as_ref().map(|condition| condition.key)));
    if alert.message.is_about_another()
        && condition.as_ref().is_some_and(|condition| condition.of_one_sensor().is_some())
    {
        let problem = Problem::new("{other} and {other_sensor} mean nothing without differs_from");
        fields.error("message", problem.help("expected {value}, {limit} or {sensor}").across_documents());
    }
    let actions = read_actions(&fields);
    let (path, key) = (fields.path.clone(), fields.key);
    fields.finish_but(|key, node| reader.unknown_key(name, key, node, quantity));
    if (has_quantity && quantity.is_none()) || (has_selector && selector.is_none()) {
        return None;
    }
    let selector = selector.or_else(|| has_quantity.then(Selector::all))?;
    Some(Rule {
        id: id?,
        path,
        key,
        selector,
        watches,
        quantity,
        across,
        condition: condition?,
        during,
        alert,
        actions,
    })
}

/// Reads the table of an alert of the agent itself, such as `agent.bus_down`.
pub(crate) fn read_alert_settings(fields: Fields<'_>) -> AlertSettings {
    let alert = AlertSettings::read(&fields, default_message(None));
    if alert.message.is_about_another() {
        let problem = Problem::new("{other} and {other_sensor} mean nothing here");
        fields.error("message", problem.help("expected {value}, {limit} or {sensor}"));
    }
    fields.finish();
    alert
}

impl AlertSettings {
    /// Reads the keys of an alert. What is wrong is in the log, so that no plan is made with what stands in for it here.
    fn read(fields: &Fields<'_>, default_message: &str) -> AlertSettings {
        let escalation = fields.or_default("escalation", reader::id);
        AlertSettings {
            enabled: fields.or_default("enabled", reader::boolean),
            hold: fields.or_default("for", reader::duration),
            hold_at: fields.place("for"),
            keep_firing_for: fields.or_default("keep_firing_for", reader::duration),
            cooldown: fields.or_default("cooldown", reader::duration),
            severity: fields.word_or_default("severity", Severity::from_name),
            escalation: name_at(fields, "escalation", escalation.as_str()),
            message: fields.optional("message", template).unwrap_or_else(|| shipped(default_message)),
            advice: fields.optional("advice", reader::text).map(Arc::from),
        }
    }
}

fn name_at(fields: &Fields<'_>, key: &str, name: &str) -> Name {
    Name { name: name.to_owned(), place: fields.place(key), path: path::join(&fields.path, key) }
}

/// A message that this program brings.
pub(crate) fn shipped(message: &str) -> Arc<Template> {
    Arc::new(Template::parse(message).expect("the shipped message is a template"))
}

fn template(node: &Node) -> Result<Arc<Template>, Problem> {
    let text = reader::text(node)?;
    Template::parse(&text).map(Arc::new).map_err(|error| Problem::new(error.to_string()))
}

fn read_actions(fields: &Fields<'_>) -> Vec<RuleAction> {
    let what = "a list such as [{ actuator = \"acid-pump\", on = \"2s\" }]";
    fields.list("actions", what, action).unwrap_or_default()
}

fn action(node: &Node) -> Result<RuleAction, Problem> {
    let table = node.as_table().ok_or_else(|| reader::not_a_table(node))?;
    if let Some((key, entry)) = table.iter().find(|(key, _)| ACTION.get(key).is_none()) {
        let problem = Problem::new(format!("unknown key {key} in an action"));
        return Err(problem.help("expected actuator with on or off").in_part(entry.key));
    }
    let field = |key: &str| table.get(ACTION.key(key).name).map(|entry| &entry.node);
    let actuator = field("actuator").ok_or_else(|| Problem::new("actuator is missing in an action"))?;
    let id = reader::part(actuator, reader::id)?;
    let on = field("on").map(|on| reader::part(on, reader::some_duration)).transpose()?;
    let off = field("off").map(|off| reader::part(off, reader::boolean)).transpose()?.unwrap_or(false);
    let wanted = match (on, off) {
        (Some(span), false) => Wanted::On(Some(span)),
        (None, true) => Wanted::Off,
        _ => return Err(Problem::new("expected either on, such as on = \"2s\", or off = true in an action")),
    };
    Ok(RuleAction { action: Action { actuator: id, wanted }, place: actuator.place })
}
