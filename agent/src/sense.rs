//! Where raw values come from: one task for each bus, one for the machine itself, and the queue on which they reach decide.

pub(crate) mod host;
pub(crate) mod line;
pub(crate) mod queue;
pub(crate) mod sample;
pub(crate) mod stamp;
pub(crate) mod supervise;

use std::collections::BTreeMap;
use std::sync::Arc;

use tilth_config::{Feed, Input, Link, Serial, Site, Stamping};
use tilth_core::id::{Id, SensorId};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use host::{HostFeed, Machine, USUAL_INTERVAL};
use line::{LineBus, LineFeed, LineStatus, SeenLabels, Want, Wanted};
use queue::{Queue, Told};

/// What a configuration wants to have read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sources {
    lines: BTreeMap<Id, (Serial, Wanted)>,
    host: Vec<HostFeed>,
}

/// The tasks that read. Dropping it stops them.
pub(crate) struct Senses {
    clock: Clock,
    queue: Queue,
    machine: Arc<Machine>,
    lines: BTreeMap<Id, LineTask>,
    host: Option<(Vec<HostFeed>, Stopping)>,
    /// Of each bus the labels that names fitted before the restart; nothing more once its configuration was another.
    seen_labels: BTreeMap<Id, SeenLabels>,
}

struct LineTask {
    serial: Serial,
    wanted: watch::Sender<Wanted>,
    status: LineStatus,
    _task: Stopping,
}

/// A task that stops with whoever holds this.
struct Stopping(JoinHandle<()>);

impl Drop for Stopping {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Sources {
    /// What the sensors of a configuration are read from. A bus that no sensor wants is opened all the same: `status` then
    /// shows what it carries.
    pub(crate) fn of(site: Option<&Site>, feeds: &BTreeMap<SensorId, Feed>) -> Sources {
        let mut sources = Sources::default();
        for (id, bus) in site.into_iter().flat_map(|site| &site.buses) {
            if let (tilth_config::BusKind::Line, Link::Serial(serial)) = (bus.kind, &bus.link) {
                let wanted = Wanted { columns: bus.columns.clone(), feeds: Vec::new() };
                sources.lines.insert(id.clone(), (serial.clone(), wanted));
            }
        }
        for (sensor, feed) in feeds {
            match &feed.input {
                Some(Input::Line { bus, name }) => {
                    if let Some((_, wanted)) = sources.lines.get_mut(bus) {
                        let (name, sensor) = (name.clone(), sensor.clone());
                        let want = Want { name, sensor, quantity: feed.quantity, unit: feed.unit };
                        wanted.feeds.push(LineFeed { want, use_stamp: feed.stamp == Stamping::Source });
                    }
                }
                Some(Input::Host(figure)) => {
                    let interval = feed.interval.unwrap_or(USUAL_INTERVAL);
                    sources.host.push(HostFeed { sensor: sensor.clone(), figure: *figure, interval });
                }
                _ => {}
            }
        }
        sources
    }
}

impl Senses {
    /// Nothing is read yet.
    pub(crate) fn new(clock: Clock, queue: Queue, machine: Machine, seen_labels: BTreeMap<Id, SeenLabels>) -> Senses {
        Senses { clock, queue, machine: Arc::new(machine), lines: BTreeMap::new(), host: None, seen_labels }
    }

    /// Reads these from now on, within a runtime. A line whose port is the same stays open.
    pub(crate) fn read(&mut self, sources: Sources) {
        let Sources { mut lines, host } = sources;
        // One whose port is another keeps its status: the engine may have been told that it is down.
        let moved: BTreeMap<Id, LineStatus> =
            self.lines.iter().map(|(id, task)| (id.clone(), task.status.clone())).collect();
        self.lines.retain(|id, task| lines.get(id).is_some_and(|(serial, _)| *serial == task.serial));
        for (id, task) in &self.lines {
            if let Some((_, wanted)) = lines.remove(id) {
                task.wanted.send_if_modified(|now| {
                    let changed = *now != wanted;
                    *now = wanted;
                    changed
                });
            }
        }
        for (id, (serial, wanted)) in lines {
            let status = moved.get(&id).cloned().unwrap_or_default();
            status.recall_labels(self.seen_labels.remove(&id).unwrap_or_default());
            let task = self.open(&id, serial, wanted, status);
            self.lines.insert(id, task);
        }
        self.seen_labels.clear();
        if self.host.as_ref().is_none_or(|(now, _)| *now != host) {
            let task = tokio::spawn(host::run(
                Arc::clone(&self.machine),
                host.clone(),
                self.clock.clone(),
                self.queue.clone(),
            ));
            self.host = Some((host, Stopping(task)));
        }
    }

    /// Each line with its port, and how it is doing from now on.
    pub(crate) fn buses(&self) -> impl Iterator<Item = (&Id, &str, LineStatus)> {
        self.lines.iter().map(|(id, task)| (id, task.serial.port.as_str(), task.status.clone()))
    }

    fn open(&self, id: &Id, serial: Serial, wanted: Wanted, status: LineStatus) -> LineTask {
        let (sender, wanted) = watch::channel(wanted);
        let bus = LineBus { id: id.clone(), serial: serial.clone(), wanted };
        let (clock, queue, shown) = (self.clock.clone(), self.queue.clone(), status.clone());
        let failed = (bus.id.clone(), self.queue.clone(), status.clone());
        let task = tokio::spawn(async move {
            let make = || line::run(bus.clone(), clock.clone(), queue.clone(), shown.clone());
            let ended = |why: &str| {
                let (id, queue, status) = &failed;
                let down = format!("its task {why}");
                status.note_failure(&down);
                queue.push(Told::Bus { bus: id.clone(), down: Some(down) });
            };
            supervise::keep_running(make, ended).await;
        });
        LineTask { serial, wanted: sender, status, _task: Stopping(task) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tilth_config::{Document, Layer, Purpose, base, load_documents};
    use tilth_core::time::Span;

    #[test]
    fn a_configuration_says_what_is_read() {
        let mut documents = base();
        let farm = "
            [sensors.'room/temp']
            quantity = 'temperature'
            input = 'line:gateway/temp'
            stamp = 'source'
            [sensors.'room/humidity']
            quantity = 'humidity'
            input = 'line:gateway/hum'
            [sensors.'pi/load']
            quantity = 'count'
            resolution = 0.01
            input = 'host:load'
            interval = '1m'
            [sensors.'pi/off']
            quantity = 'temperature'
            input = 'host:cpu_temp'
            enabled = false
        ";
        let site = "
            [device]
            id = 'pi'
            [bus.gateway]
            kind = 'line'
            port = 'port-a'
            baud = 9600
            [bus.spare]
            kind = 'line'
            port = 'port-b'
        ";
        documents.layers.push(Document::toml(Layer::ConfigD, "config.d/farm.toml", farm));
        documents.site = Some(Document::site(site));
        let loaded = load_documents(documents, Purpose::Check);
        assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
        let Sources { lines, host } = Sources::of(loaded.site.as_ref(), &loaded.feeds);
        let said: Vec<String> = lines
            .iter()
            .map(|(id, (serial, wanted))| {
                let feed = |feed: &LineFeed| format!("{}={}/{}", feed.want.sensor, feed.want.name, feed.use_stamp);
                let feeds: Vec<String> = wanted.feeds.iter().map(feed).collect();
                format!("{id} {} {} {}", serial.port, serial.baud, feeds.join(" "))
            })
            .collect();
        assert_eq!(said, ["gateway port-a 9600 room/humidity=hum/false room/temp=temp/true", "spare port-b 115200 "]);
        assert_eq!(host.len(), 1);
        assert_eq!((host[0].sensor.as_str(), host[0].interval), ("pi/load", Span::from_mins(1)));
    }
}
