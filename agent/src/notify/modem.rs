//! The task of a modem: has its line, opens it again after a loss, drives its session, and answers people who reply.
//!
//! `tilth_notify::modem` decides what is said to the modem and what goes to whom; this file is its line and its clock. Time here is the
//! machine's, also where the agent runs on another clock: a modem keeps no other.

mod tried_pin;

use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use serde_json::json;
use tilth_config::SecretName;
use tilth_core::id::Id;
use tilth_core::plan::Severity;
use tilth_core::time::{Span, Uptime};
use tilth_notify::message::{Failure, Retry};
use tilth_notify::modem::{self, Effect, Input, Outgoing, Reply, Session, Sms, SmsOutcome};
use tilth_notify::queue;
use tilth_notify::secret::Secrets;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::to_decide::{ChannelRequest, ModemProblems};
use crate::sense::endpoint::{ByteStream, Endpoint};
use crate::sense::port::Port;
use crate::sense::released::Ports;
use tried_pin::{PinFile, TriedPin, WritesInOrder};

/// Time between two attempts to open the line, and between two looks whether it is still the same device.
const REOPEN: Duration = Duration::from_secs(5);

/// Time in which a line opens, unless something is wrong with it.
const OPENS_WITHIN: Duration = Duration::from_secs(1);

/// How long decide has to answer a reply, which else comes again from the storage.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes read at once.
const CHUNK: usize = 512;

/// Port of a modem and the numbers that it pages; the same modem goes on when the configuration changes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    pub(super) endpoint: Endpoint,
    /// Numbers, each with the severity from which it is told.
    pub(super) numbers: Vec<(Severity, String)>,
    pub(super) pin: Option<SecretName>,
}

/// What the tasks of all modems are given.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) secrets: Secrets,
    /// The data folder.
    pub(super) data: PathBuf,
    /// Ports that are left to another program for a while.
    pub(super) ports: Ports,
    pub(super) to_decide: mpsc::Sender<ChannelRequest>,
    /// Hears of a modem that can send again, and of pages that arrived nowhere.
    pub(super) notify: mpsc::Sender<(Id, queue::Input)>,
    pub(super) problems: watch::Sender<ModemProblems>,
}

/// A modem: the sender of its task.
#[derive(Debug)]
pub(super) struct Modem {
    pub(super) settings: Settings,
    orders: mpsc::Sender<Order>,
    /// Network, signal and the last delivery report.
    network: watch::Receiver<String>,
    /// Ends its task when it is dropped.
    _task: JoinSet<()>,
}

/// A page to send.
#[derive(Debug)]
struct Order {
    id: String,
    text: String,
    /// Only numbers that are told from here on or before are told.
    severity: Severity,
    answer: oneshot::Sender<Sent>,
}

/// Whether a message was delivered, by a modem to one number at least; and a line about each number of a modem.
pub(super) type Sent = (Result<(), Failure>, Vec<String>);

impl Modem {
    pub(super) fn start(channel: Id, settings: Settings, context: Context) -> Modem {
        let (orders, taken) = mpsc::channel(1);
        let task = Task::new(channel, settings.clone(), context);
        let network = task.network.subscribe();
        Modem { settings, orders, network, _task: JoinSet::from_iter([task.run(taken)]) }
    }

    /// Port, network, signal and the last delivery report.
    pub(super) fn state(&self) -> String {
        format!("{}, {}", self.settings.endpoint.name(), *self.network.borrow())
    }

    /// Sends a text to the numbers that are told at a severity; done once the network has it for one of them.
    pub(super) fn send(
        &self,
        id: String,
        text: String,
        severity: Severity,
    ) -> impl Future<Output = Sent> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        let orders = self.orders.clone();
        async move {
            let order = Order { id, text, severity, answer };
            if orders.send(order).await.is_ok()
                && let Ok(result) = answered.await
            {
                return result;
            }
            let reason = "the modem's task ended".to_owned();
            let failure = Failure { reason, retry: Retry::UntilExpired, retry_after: None, may_have_arrived: true };
            (Err(failure), Vec::new())
        }
    }
}

struct Task {
    channel: Id,
    settings: Settings,
    context: Context,
    network: watch::Sender<String>,
    began: Instant,
    session: Session,
    outgoing: Outgoing,
    /// Waits for the page that is being sent.
    page: Option<oneshot::Sender<Sent>>,
    /// The PIN that the session has.
    pin: Option<PinFile>,
    /// The PIN that was entered and that no SIM accepted, as the data folder has it.
    tried_pin: Option<TriedPin>,
    pin_writes: WritesInOrder,
    /// Why the PIN cannot be read.
    pin_problem: Option<String>,
    /// The last delivery report, in words.
    report: Option<String>,
}

impl Task {
    fn new(channel: Id, settings: Settings, context: Context) -> Task {
        Task {
            channel,
            settings,
            context,
            network: watch::Sender::default(),
            began: Instant::now(),
            session: Session::default(),
            outgoing: Outgoing::default(),
            page: None,
            pin: None,
            tried_pin: None,
            pin_writes: WritesInOrder::default(),
            pin_problem: None,
            report: None,
        }
    }

    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        self.read_tried_pin().await;
        loop {
            self.read_pin().await;
            let (channel, problems) = (self.channel.clone(), self.context.problems.clone());
            let hangs = |why: String| {
                problems.send_modify(|problems| drop(problems.insert(channel.clone(), Some(why))));
            };
            let (endpoint, ports) = (self.settings.endpoint.clone(), self.context.ports.clone());
            let why = match self
                .without_line(endpoint.open(Port::open_without_reset, hangs, &ports), OPENS_WITHIN, &mut orders)
                .await
            {
                Ok(mut stream) => {
                    self.session.handle(self.now(), Input::Opened);
                    self.talk(&mut stream, &mut orders).await
                }
                Err(why) => why,
            };
            self.session.handle(self.now(), Input::Closed(why));
            // A page that was under way fails now, so that another channel can tell of it.
            self.go_on().await;
            self.without_line(sleep(REOPEN), Duration::ZERO, &mut orders).await;
        }
    }

    fn now(&self) -> Uptime {
        Uptime(i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    /// Waits for something while there is no line. Pages that come after a moment fail at once: another channel may be quicker.
    async fn without_line<T>(
        &mut self,
        waited: impl Future<Output = T>,
        moment: Duration,
        orders: &mut mpsc::Receiver<Order>,
    ) -> T {
        let mut waited = pin!(waited);
        if let Ok(done) = timeout(moment, &mut waited).await {
            return done;
        }
        loop {
            tokio::select! {
                done = &mut waited => return done,
                Some(order) = orders.recv(), if self.page.is_none() => {
                    self.take(order);
                    self.go_on().await;
                }
            }
        }
    }

    /// Talks to the modem until the line is lost, and says why.
    async fn talk(&mut self, stream: &mut ByteStream, orders: &mut mpsc::Receiver<Order>) -> String {
        let mut bytes = [0; CHUNK];
        let mut look = tokio::time::interval(REOPEN);
        loop {
            match self.go_on().await {
                Some(written) => {
                    if let Err(error) = stream.write(written.as_bytes()).await {
                        return self.settings.endpoint.reason(&error);
                    }
                }
                None => return self.session.problem().unwrap_or_default(),
            }
            let due = self.session.deadline().map_or(REOPEN, |due| machine_time(due - self.now()));
            tokio::select! {
                read = stream.read(&mut bytes) => match read {
                    Ok(read) => self.session.handle(self.now(), Input::Bytes(&bytes[..read])),
                    Err(error) => return self.settings.endpoint.reason(&error),
                },
                () = sleep(due) => self.session.handle(self.now(), Input::Tick),
                Some(order) = orders.recv(), if self.page.is_none() => self.take(order),
                _ = look.tick() => {
                    if let Err(error) = stream.check() {
                        return self.settings.endpoint.reason(&error);
                    }
                    // A person may have put the right one into its file.
                    if self.session.wants_pin() {
                        self.read_pin().await;
                    }
                }
            }
        }
    }

    fn take(&mut self, order: Order) {
        self.page = Some(order.answer);
        let numbers = self.settings.numbers.iter().filter(|(from, _)| *from <= order.severity);
        let numbers: Vec<String> = numbers.map(|(_, number)| number.clone()).collect();
        self.outgoing.page(&order.id, &order.text, &numbers);
    }

    /// Does what is due, and gives the session its next SMS. Returns what is to be written; none where the line is to be opened again.
    async fn go_on(&mut self) -> Option<String> {
        let mut written = self.perform().await?;
        while let Some(submit) = self.outgoing.next_submit() {
            self.session.handle(self.now(), Input::Submit(submit));
            written.push_str(&self.perform().await?);
        }
        Some(written)
    }

    /// Performs the effects of the session. Returns what is to be written; none where the line is to be opened again.
    async fn perform(&mut self) -> Option<String> {
        let (mut written, mut is_lost) = (String::new(), false);
        while let Some(effect) = self.session.poll() {
            match effect {
                Effect::Write(text) => written.push_str(&text),
                Effect::Submitted(result) => self.outgoing.submitted(result),
                Effect::Reported(report) => self.outgoing.reported(report),
                Effect::PinTried(tried) => self.keep_tried_pin(tried).await,
                Effect::Received(sms, slot) => {
                    let is_done = self.received(sms).await;
                    let input = slot.map(|slot| if is_done { Input::Done(slot) } else { Input::Kept(slot) });
                    input.into_iter().for_each(|input| self.session.handle(self.now(), input));
                }
                Effect::Reopen => is_lost = true,
            }
        }
        self.tell();
        self.show();
        (!is_lost).then_some(written)
    }

    /// Reports results of SMS to the sender that waits, and to the log.
    fn tell(&mut self) {
        let channel = &self.channel;
        while let Some(outcome) = self.outgoing.poll() {
            match outcome {
                SmsOutcome::Page(result) => {
                    let each = self.outgoing.numbers().iter().map(|(number, result)| match result {
                        Ok(()) => format!("{number}: the network has the SMS"),
                        Err(why) => format!("{number}: not sent: {why}"),
                    });
                    let _ = self.page.take().map(|answer| answer.send((result, each.collect())));
                }
                // Why no SMS can be sent at all is said once.
                SmsOutcome::Failed(..) if self.session.problem().is_some() => {}
                SmsOutcome::Failed(number, why) => warn!("channel {channel}: SMS to {number} not sent: {why}"),
                SmsOutcome::Lost(message, why) => {
                    let _ = self.context.notify.try_send((channel.clone(), queue::Input::Lost(message, why)));
                }
                SmsOutcome::Arrived(number, Ok(())) => self.report = Some(format!("last SMS arrived at {number}")),
                SmsOutcome::Arrived(number, Err(status)) => {
                    let why = format!("SMS to {number} did not arrive (status {status} of the service centre)");
                    warn!("channel {channel}: {why}");
                    self.report = Some(why);
                }
            }
        }
    }

    /// Posts state and problem, and logs a change.
    fn show(&mut self) {
        let network = [Some(self.session.network()), self.report.clone()].into_iter().flatten().collect::<Vec<_>>();
        self.network.send_replace(network.join(", "));
        let (channel, Context { problems, notify, .. }) = (&self.channel, &self.context);
        let (problem, before) = (self.session.problem(), problems.borrow().get(channel).cloned());
        // What was wrong before stands until it is known what is now.
        if before.as_ref() == Some(&problem) || !self.session.is_settled() {
            return;
        }
        match &problem {
            Some(why) => warn!("channel {channel} unavailable: {why}; alerts go to the other channels"),
            None if before.is_some() => {
                info!("channel {channel} is available again");
                let _ = notify.try_send((channel.clone(), queue::Input::Works));
            }
            None => {}
        }
        problems.send_modify(|problems| drop(problems.insert(channel.clone(), problem)));
    }

    /// Handles an SMS; false if it could not be handled, so that it must come again.
    async fn received(&mut self, sms: Sms) -> bool {
        let channel = self.channel.clone();
        let from = modem::masked(&sms.from);
        let numbers: Vec<String> = self.settings.numbers.iter().map(|(_, number)| number.clone()).collect();
        let Some(number) = modem::known_number(&numbers, &sms.from).cloned() else {
            info!("channel {channel}: SMS from {from} ignored: it is not one of the channel's numbers");
            return self.event("sms-ignored", &from).await;
        };
        let Some(reply) = Reply::of(&sms.text) else {
            info!("channel {channel}: SMS from {from} ignored: expected ACK and the number of an alert");
            return self.event("sms-ignored", &from).await;
        };
        let (alert, span) = match reply {
            Reply::Acknowledge(alert, span) => (Some(alert), span),
            Reply::WhichOne => (None, None),
        };
        let by = modem::masked(&number);
        let (answer, answered) = oneshot::channel();
        let request = ChannelRequest::Acknowledge { alert: alert.map(|alert| (alert, span)), by: by.clone(), answer };
        let answered = timeout(TIMEOUT, async {
            self.context.to_decide.send(request).await.ok()?;
            answered.await.ok()
        });
        let Some(acknowledged) = answered.await.ok().flatten() else { return false };
        let text = match (alert, acknowledged.quiet) {
            (Some(alert), Some(quiet)) => modem::acknowledged(alert, &by, &quiet),
            (alert, _) => modem::not_open(alert, &acknowledged.open),
        };
        info!("channel {channel}: SMS from {by}: answered \"{text}\"");
        self.outgoing.answer(self.now(), &number, &text);
        true
    }

    async fn event(&self, kind: &'static str, from: &str) -> bool {
        let body = json!({ "channel": self.channel, "from": from });
        self.context.to_decide.send(ChannelRequest::Event(kind, body)).await.is_ok()
    }
}

fn machine_time(span: Span) -> Duration {
    Duration::from_millis(u64::try_from(span.0).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tilth_notify::secret::Secrets;

    use super::*;

    fn task(numbers: &[(Severity, &str)]) -> Task {
        let numbers = numbers.iter().map(|(from, number)| (*from, (*number).to_owned())).collect();
        let settings = Settings { endpoint: Endpoint::Tcp("modem".to_owned()), numbers, pin: None };
        let context = Context {
            secrets: Secrets::of(std::path::Path::new("/nowhere")),
            data: PathBuf::from("/nowhere"),
            ports: Ports::default(),
            to_decide: mpsc::channel(1).0,
            notify: mpsc::channel(1).0,
            problems: watch::Sender::new(ModemProblems::new()),
        };
        Task::new(Id::new("sms").unwrap(), settings, context)
    }

    #[tokio::test]
    async fn a_number_is_told_from_its_severity_on_and_what_became_of_each_is_said() {
        let numbers = [(Severity::Preventive, "+4915112345678"), (Severity::Urgent, "+4915187654321")];
        for (severity, expected) in [
            (Severity::Critical, &["+49..5678: the network has the SMS"][..]),
            (Severity::Urgent, &["+49..5678: the network has the SMS", "+49..4321: the network has the SMS"]),
        ] {
            let mut task = task(&numbers);
            let (answer, answered) = oneshot::channel();
            task.take(Order { id: "pi-1-1".to_owned(), text: "pH".to_owned(), severity, answer });
            while task.outgoing.next_submit().is_some() {
                task.outgoing.submitted(Ok(1));
            }
            task.tell();
            assert_eq!(answered.await.unwrap(), (Ok(()), expected.iter().map(ToString::to_string).collect()));
        }
    }

    /// Guards against: a port that hangs in the kernel, and pages that wait for it without a limit.
    #[tokio::test]
    async fn pages_fail_at_once_while_the_port_hangs_in_being_opened() {
        let mut task = task(&[(Severity::Preventive, "+49151")]);
        let (orders, mut taken) = mpsc::channel(1);
        let pages = async {
            for id in ["pi-1-1", "pi-2-1"] {
                let (answer, answered) = oneshot::channel();
                let (text, severity) = ("pH".to_owned(), Severity::Urgent);
                orders.send(Order { id: id.to_owned(), text, severity, answer }).await.unwrap();
                let failure = answered.await.unwrap().0.expect_err("no modem has it");
                assert_eq!((failure.reason.as_str(), failure.may_have_arrived), ("the line is not open", false));
            }
        };
        tokio::select! {
            () = task.without_line(pending(), Duration::from_millis(1), &mut taken) => panic!("it hangs"),
            () = pages => {}
        }
    }
}
