//! What channels ask for: an acknowledgement by a reply, an event.

use tilth_core::alert::AlertId;
use tilth_core::engine::{AlertState, AlertView, Input};
use tilth_core::time::Span;
use tilth_notify::modem::OpenAlert;

use super::Decide;
use crate::notify::to_decide::{Acknowledged, ChannelRequest};

/// How long a reply keeps an alert quiet: as long as `tilth-agent ack` without a time.
const QUIET_FOR: Span = Span::from_mins(60);

impl Decide {
    pub(super) fn handle_channel_request(&mut self, request: ChannelRequest) {
        match request {
            ChannelRequest::Event(kind, body) => self.stage_event(kind, body),
            ChannelRequest::Siren { channel, is_test, answer } => self.page_siren(&channel, is_test, answer),
            ChannelRequest::Acknowledge { alert, by, answer } => {
                let acknowledged = self.acknowledge(alert, by);
                let _ = answer.send(acknowledged);
            }
        }
    }

    fn acknowledge(&mut self, asked: Option<(AlertId, Option<Span>)>, by: String) -> Acknowledged {
        let alert = asked.map(|(alert, _)| alert);
        if let Some((alert, span)) = asked {
            self.handle(Input::Acknowledge { alert, span: span.unwrap_or(QUIET_FOR), by });
        }
        let mut views: Vec<AlertView> = self.engine.alerts().filter(|view| view.details.alert.is_some()).collect();
        views.sort_by_key(|view| (std::cmp::Reverse(view.details.severity), view.details.alert));
        let quiet =
            views.iter().find(|view| alert.is_some() && view.details.alert == alert).map(|view| self.quiet(view));
        let open = views.iter().filter_map(|view| {
            let sensor = view.details.key.sensor.to_string();
            Some(OpenAlert { alert: view.details.alert?, severity: view.details.severity, sensor })
        });
        Acknowledged { quiet, open: open.collect() }
    }

    /// How long an alert is quiet: until a time on the farm's clocks, or for so long where they are not set.
    fn quiet(&self, view: &AlertView) -> String {
        let AlertState::Acknowledged(until) = view.state else { return "no longer".to_owned() };
        match until.wall {
            Some(wall) => format!("until {}", self.plan.local().near(wall, self.clock.now().1)),
            None => format!("for {}", (until.uptime - view.details.at.uptime).in_words()),
        }
    }
}
