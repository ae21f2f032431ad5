//! Pages about silent devices: checks all devices every few seconds, and pages by the channel of their tenant.
//!
//! `domain/silence` decides which device is silent, `tilth-notify` how a message is retried; both are pure. A silence is stored before
//! it is paged, so a restart pages nobody again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tilth_config::Channel;
use tilth_core::alert::AlertId;
use tilth_core::effect::{AlertDetails, Reason};
use tilth_core::escalate::Cause;
use tilth_core::id::{Id, SensorId};
use tilth_core::local::Local;
use tilth_core::plan::{AlertKey, Severity};
use tilth_core::rules::DisplayValue;
use tilth_core::time::{Stamp, Uptime, WallTime};
use tilth_notify::HttpClients;
use tilth_notify::client::ChannelClient;
use tilth_notify::message::{DeliveryStatus, Failure, Outcome, Retry};
use tilth_notify::notification::{Kind, Notification};
use tilth_notify::queue::{Effect, Input, Limits, Queue};
use tilth_notify::secret::Secrets;
use tokio::task::{Id as TaskId, JoinError, JoinSet};
use tokio::time::Instant;

use crate::clock;
use crate::db::{DeviceContext, MonitoredDevice, MonitoredTenant};
use crate::domain::silence::{Finding, Monitor, Requested, Silence, SilenceStep};
use crate::http::ApiState;

/// Time between two checks of all devices.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Name of this program for servers.
const USER_AGENT: &str = concat!("tilth-hub/", env!("CARGO_PKG_VERSION"));

/// Rule that a page about a silent device names.
const RULE: &str = "device-silent";

/// Zone of the pages' sensor, `device/NAME`.
const ZONE: &str = "device";

const ADVICE: &str =
    "Check its power, then the farm's internet connection; the agent on site continues to watch and page.";

/// Pages until it is dropped.
pub(crate) async fn run(state: Arc<ApiState>, secrets: Secrets) {
    let mut pager = Pager {
        monitor: Monitor::new(clock::now()),
        state,
        secrets,
        http: Arc::new(HttpClients::new(USER_AGENT)),
        began: Instant::now(),
        channels: BTreeMap::new(),
        sending: JoinSet::new(),
        senders: HashMap::new(),
    };
    let mut next_check = Instant::now();
    loop {
        pager.send_due().await;
        let due = pager.deadline().map_or(next_check, |due| due.min(next_check));
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            Some(ended) = pager.sending.join_next_with_id() => pager.take_answer(ended),
        }
        if Instant::now() >= next_check {
            pager.check_devices().await;
            next_check = Instant::now() + CHECK_INTERVAL;
        }
        pager.tick();
    }
}

/// State of the task.
struct Pager {
    state: Arc<ApiState>,
    secrets: Secrets,
    http: Arc<HttpClients>,
    monitor: Monitor,
    /// Time 0 of the queues.
    began: Instant,
    channels: BTreeMap<Id, TenantChannel>,
    sending: JoinSet<Result<(), Failure>>,
    /// Tenant whose channel each sending task serves.
    senders: HashMap<TaskId, Id>,
}

/// The channel of one tenant.
struct TenantChannel {
    /// The channel in JSON, as the database holds it.
    text: String,
    client: Arc<ChannelClient>,
    queue: Queue,
    /// Pages that the queue was given, of silences that are the newest of their devices.
    requested: Requested,
    /// Device, number and step of the silence of each queued notification, by its id.
    steps: HashMap<String, (DeviceContext, u64, SilenceStep)>,
}

impl Pager {
    fn uptime(&self) -> Uptime {
        Uptime(i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    fn deadline(&self) -> Option<Instant> {
        let due = self.channels.values().filter_map(|channel| channel.queue.deadline()).min()?;
        Some(self.began + Duration::from_millis(due.0.max(0).unsigned_abs()))
    }

    fn tick(&mut self) {
        let now = self.uptime();
        self.channels.values_mut().for_each(|channel| channel.queue.handle(now, Input::Tick));
    }

    /// Checks all devices, and queues pages.
    async fn check_devices(&mut self) {
        let now = clock::now();
        let found = self.state.database().monitored(now).await;
        let is_up = found.is_ok() && self.state.database().has_room().await;
        self.monitor.tick(now, is_up);
        let tenants = match found {
            Ok(tenants) => tenants,
            Err(error) => return tracing::warn!(%error, "cannot check for silent devices; will try again"),
        };
        self.channels.retain(|client, _| tenants.iter().any(|tenant| tenant.client == *client));
        for MonitoredTenant { client, channel, devices } in tenants {
            let Some(mut channel) = self.take_channel(&client, &channel) else { continue };
            let newest: HashSet<u64> =
                devices.iter().filter_map(|device| Some(device.contact.silence?.number)).collect();
            channel.requested.retain(|(number, _)| newest.contains(number));
            for mut device in devices {
                let known = device.contact.last_heard;
                device.contact.last_heard =
                    self.state.last_heard(device.context.id()).map_or(known, |heard| heard.max(known));
                if let Some(finding) = self.monitor.check(&device.contact, &channel.requested, now) {
                    self.handle_finding(&mut channel, &client, &device, finding, now).await;
                }
            }
            self.channels.insert(client, channel);
        }
    }

    /// The channel of a tenant by its settings; none if they cannot be read.
    fn take_channel(&mut self, client: &Id, text: &str) -> Option<TenantChannel> {
        let before = self.channels.remove(client);
        if before.as_ref().is_some_and(|before| before.text == text) {
            return before;
        }
        let Ok(channel) = Channel::from_json(text) else {
            tracing::error!(%client, "the tenant's channel cannot be read; set it again with `tilth-hub tenant set`");
            return None;
        };
        let limits = Limits::of(&channel);
        let client_before = before.as_ref().map(|before| &*before.client);
        let client = Arc::new(ChannelClient::new(channel, &self.secrets, &self.http, client_before));
        let (queue, requested, steps) = before.map_or_else(
            || (Queue::new(limits), HashSet::new(), HashMap::new()),
            |before| (before.queue, before.requested, before.steps),
        );
        let mut channel = TenantChannel { text: text.to_owned(), client, queue, requested, steps };
        channel.queue.set_limits(limits);
        channel.queue.redirect(self.uptime());
        Some(channel)
    }

    /// Stores a finding, and queues its page.
    async fn handle_finding(
        &self,
        channel: &mut TenantChannel,
        client: &Id,
        device: &MonitoredDevice,
        finding: Finding,
        now: WallTime,
    ) {
        let (db, context) = (self.state.database(), &device.context);
        let (noted, step) = match finding {
            Finding::Silent { since } => {
                let number = db.begin_silence(context, since, now).await;
                let silence = |number| Silence { number, since, ended: None, is_paged: false, is_end_paged: false };
                (number.map(silence), SilenceStep::Paged)
            }
            Finding::PageUnsent(silence) => (Ok(silence), SilenceStep::Paged),
            Finding::Ended(silence) => {
                let noted = db.note_silence(context, silence.number, SilenceStep::Ended, now).await;
                (noted.map(|()| Silence { ended: Some(now), ..silence }), SilenceStep::EndPaged)
            }
            Finding::EndUnsent(silence) => (Ok(silence), SilenceStep::EndPaged),
        };
        let silence = match noted {
            Ok(silence) => silence,
            Err(error) => {
                return tracing::error!(%client, device = %context.name(), %error, "cannot note a silence; will try again");
            }
        };
        match step {
            SilenceStep::Paged => {
                tracing::warn!(%client, device = %context.name(), since = %silence.since, "device silent");
            }
            SilenceStep::Ended | SilenceStep::EndPaged => {
                tracing::info!(%client, device = %context.name(), silent_since = %silence.since, "device reporting again");
            }
        }
        let paged_here = channel.requested.contains(&(silence.number, SilenceStep::Paged));
        // A page that was not delivered is withdrawn; then no message about the end is needed.
        let input = if step == SilenceStep::EndPaged && paged_here && !silence.is_paged {
            Input::Acknowledged(AlertId(silence.number))
        } else {
            let repeat = !paged_here && matches!(finding, Finding::PageUnsent(_) | Finding::EndUnsent(_));
            let notification = Notification { repeat, ..notification(client, device, &silence, now) };
            channel.steps.insert(notification.id.clone(), (context.clone(), silence.number, step));
            channel.requested.insert((silence.number, step));
            Input::Notification(Arc::new(notification))
        };
        channel.queue.handle(self.uptime(), input);
    }

    /// Sends due messages, and stores their outcomes.
    async fn send_due(&mut self) {
        let mut outcomes = Vec::new();
        for (client, channel) in &mut self.channels {
            while let Some(effect) = channel.queue.poll() {
                match effect {
                    Effect::Send(message) => {
                        let sender = Arc::clone(&channel.client);
                        let task = self.sending.spawn(async move { sender.send(&message, Some(clock::now())).await });
                        self.senders.insert(task.id(), client.clone());
                    }
                    Effect::Outcome(outcome) | Effect::GivenUp(_, outcome) => outcomes.push((client.clone(), outcome)),
                }
            }
        }
        for (client, outcome) in outcomes {
            self.note_outcome(&client, outcome).await;
        }
    }

    async fn note_outcome(&mut self, client: &Id, outcome: Outcome) {
        let Outcome { notification, status, attempts, reason, .. } = outcome;
        let reason = reason.unwrap_or_default();
        if !status.is_final() {
            return tracing::warn!(%client, notification, attempts, reason, "channel unavailable; will try again");
        }
        let step = self.channels.get_mut(client).and_then(|channel| channel.steps.remove(&notification));
        let Some((device, number, step)) = step else { return };
        if status.is_given_up() {
            tracing::error!(%client, notification, attempts, reason, "notification given up");
        }
        if status != DeliveryStatus::Sent {
            return;
        }
        match self.state.database().note_silence(&device, number, step, clock::now()).await {
            Ok(()) => tracing::info!(%client, notification, "notification delivered"),
            Err(error) => {
                tracing::warn!(%client, notification, %error, "cannot note the delivery: it may be repeated after a restart");
            }
        }
    }

    fn take_answer(&mut self, ended: Result<(TaskId, Result<(), Failure>), JoinError>) {
        let (task, result) = ended.unwrap_or_else(|error| (error.id(), Err(failed_inside())));
        let now = self.uptime();
        let client = self.senders.remove(&task);
        if let Some(channel) = client.and_then(|client| self.channels.get_mut(&client)) {
            channel.queue.handle(now, result.map_or_else(Input::Failed, |()| Input::Sent));
        }
    }
}

fn failed_inside() -> Failure {
    let reason = "sending failed inside the hub".to_owned();
    Failure { reason, retry: Retry::UntilExpired, retry_after: None, may_have_arrived: true }
}

/// Notification of a silence or of its end.
fn notification(client: &Id, device: &MonitoredDevice, silence: &Silence, now: WallTime) -> Notification {
    let name = device.context.name();
    let length = silence.ended.unwrap_or(now) - silence.since;
    let (kind, what, message) = match silence.ended {
        None => {
            (Kind::Page(Cause::Fired), "silent", format!("device {name} of {client} silent for {}", length.in_words()))
        }
        Some(_) => {
            let message = format!("device {name} of {client} reporting again after {}", length.in_words());
            (Kind::Resolved(Reason::Cleared), "back", message)
        }
    };
    let id = |text: &str| Id::new(text).expect("a constant of this file is an id");
    let sensor = SensorId::new(&format!("{ZONE}/{name}")).expect("the name of a device is an id");
    let details = AlertDetails {
        at: stamp(silence.ended.unwrap_or(now)),
        alert: Some(AlertId(silence.number)),
        key: AlertKey { zone: id(ZONE), rule: id(RULE), sensor },
        severity: Severity::Critical,
        value: Some(DisplayValue::Time(length)),
        limit: Some(DisplayValue::Time(device.contact.limit)),
        since: stamp(silence.since),
        reading_at: None,
        pages: 1,
        message,
        advice: Some(ADVICE.into()),
    };
    Notification {
        // A silence begins once, so that the id means no other, not even after a restore.
        id: format!("{client}-{name}-{what}-{}", silence.since.0),
        kind,
        details,
        local: Local::UTC,
        unit: String::new(),
        is_measured: true,
        why: None,
        repeat: false,
        others: Vec::new(),
        instead: None,
    }
}

/// The hub's clock never stops: its uptime is the time of day.
fn stamp(at: WallTime) -> Stamp {
    Stamp { boot: 0, uptime: Uptime(at.0), wall: Some(at) }
}
