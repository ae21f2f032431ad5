//! The machine's own metrics: temperature, load, disk and memory, read from the kernel's files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tilth_config::{HostMetric, Input, InputSettings};
use tilth_core::id::SensorId;
use tilth_core::reading::Quality;
use tilth_core::time::{Span, Uptime};

use super::bus::{BusContext, blocking, next_due};
use super::sensor_value::SensorValue;

/// How often the machine is looked at where a sensor does not say.
const USUAL_INTERVAL: Span = Span::from_secs(10);

/// Interval at which a read that hangs is noticed; a read itself has no timeout.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Root of the machine's files.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// `/`, but in tests.
    pub(crate) root: PathBuf,
    /// A folder on the disk that is watched: the store's.
    pub(crate) disk: PathBuf,
}

/// A metric that a sensor reads, and when it is read next.
struct PolledMetric {
    sensor: SensorId,
    metric: HostMetric,
    interval: Span,
    at: Uptime,
}

/// Reads every metric at its interval, for ever. Where other sensors are configured, all are read at once.
pub(crate) async fn run(machine: Arc<Machine>, mut context: BusContext) {
    context.clock.started().await;
    let mut metrics = configured(&mut context);
    loop {
        let next = metrics.iter().map(|metric| metric.at).min();
        tokio::select! {
            () = context.clock.sleep_until(next) => {}
            Ok(()) = context.config.changed() => {
                metrics = configured(&mut context);
                continue;
            }
        }
        let now = context.clock.uptime();
        for metric in metrics.iter_mut().filter(|metric| metric.at <= now) {
            metric.at = next_due(metric.at, metric.interval, now);
            let (value, quality, fault) = match read(&machine, metric.metric).await {
                Some(value) => (value, Quality::Good, None),
                None => (f64::NAN, Quality::Fault, Some(Arc::from(unavailable(metric.metric)))),
            };
            context.value(SensorValue::new(metric.sensor.clone(), value, quality, fault, now));
        }
    }
}

/// The metrics that sensors read, all due now.
fn configured(context: &mut BusContext) -> Vec<PolledMetric> {
    let at = context.clock.uptime();
    let config = context.config.borrow_and_update();
    let due = |(sensor, settings): &(SensorId, InputSettings)| {
        let Some(Input::Host(metric)) = settings.input else { return None };
        Some(PolledMetric { sensor: sensor.clone(), metric, interval: settings.interval.unwrap_or(USUAL_INTERVAL), at })
    };
    config.sensors.iter().filter_map(due).collect()
}

/// Why a metric has no value.
const fn unavailable(metric: HostMetric) -> &'static str {
    match metric {
        HostMetric::CpuTemp => "this machine has no file with the temperature of its processor",
        HostMetric::Load => "the kernel does not say the load",
        HostMetric::MemoryUsed => "the kernel does not say how much memory is used",
        HostMetric::DiskUsed => "the system does not say how full the disk of the data folder is",
    }
}

/// One metric. A kernel or disk that does not answer holds up the machine's metrics, and no other task.
async fn read(machine: &Arc<Machine>, metric: HostMetric) -> Option<f64> {
    let machine = Arc::clone(machine);
    blocking(move || Ok(machine.read(metric)), TIMEOUT, || ()).await.ok().flatten()
}

impl Machine {
    /// A metric as it is now; nothing where the machine does not tell.
    pub(crate) fn read(&self, metric: HostMetric) -> Option<f64> {
        match metric {
            HostMetric::CpuTemp => cpu_temp(&self.root),
            HostMetric::Load => self.text("proc/loadavg")?.split(' ').next()?.parse().ok(),
            HostMetric::MemoryUsed => memory_used(&self.text("proc/meminfo")?),
            HostMetric::DiskUsed => disk_used(&self.disk),
        }
    }

    fn text(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.root.join(file)).ok()
    }
}

/// The hottest of the processor's zones; the first zone at all where none says that it is the processor's.
fn cpu_temp(root: &Path) -> Option<f64> {
    let zones = fs::read_dir(root.join("sys/class/thermal")).ok()?;
    let zones = zones.flatten().filter(|zone| zone.file_name().to_string_lossy().starts_with("thermal_zone"));
    let read = |zone: fs::DirEntry| {
        let kind = fs::read_to_string(zone.path().join("type")).unwrap_or_default();
        let milli: i64 = fs::read_to_string(zone.path().join("temp")).ok()?.trim().parse().ok()?;
        Some((kind.contains("cpu") || kind.contains("pkg"), milli))
    };
    zones.filter_map(read).max().map(|(_, milli)| milli as f64 / 1000.0)
}

/// What programs could not get if they asked for it, in %.
fn memory_used(meminfo: &str) -> Option<f64> {
    let field = |name: &str| -> Option<f64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    let (total, available) = (field("MemTotal")?, field("MemAvailable")?);
    (total > 0.0).then(|| 100.0 * (total - available) / total)
}

/// As `df` counts it: of what is not kept for root.
fn disk_used(path: &Path) -> Option<f64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    let used = disk.f_blocks.checked_sub(disk.f_bfree)?;
    let all = used + disk.f_bavail;
    (all > 0).then(|| 100.0 * used as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use tilth_config::Stamping;
    use tilth_core::id::Id;
    use tilth_core::quantity::Quantity;
    use tokio::sync::watch;

    use super::super::Outputs;
    use super::super::bus::{BusConfig, HealthHandle};
    use super::super::queue::{Queue, SenseMessage};
    use super::*;
    use crate::clock::{Clock, ClockMode};

    #[test]
    fn this_machine_tells_its_figures() {
        let machine = Machine { root: "/".into(), disk: ".".into() };
        let memory = machine.read(HostMetric::MemoryUsed).unwrap();
        let disk = machine.read(HostMetric::DiskUsed).unwrap();
        assert!((0.0..=100.0).contains(&memory) && (0.0..=100.0).contains(&disk), "{memory} {disk}");
        assert!(machine.read(HostMetric::Load).unwrap() >= 0.0);
        let nowhere = Machine { root: "nowhere".into(), disk: "nowhere".into() };
        for metric in [HostMetric::CpuTemp, HostMetric::Load, HostMetric::MemoryUsed, HostMetric::DiskUsed] {
            assert_eq!(nowhere.read(metric), None);
        }
    }

    #[test]
    fn the_hottest_zone_of_the_processor_counts() {
        let root = std::env::temp_dir().join(format!("tilth-host-{}", std::process::id()));
        for (zone, kind, milli) in [("thermal_zone0", "cpu-thermal", "48312\n"), ("thermal_zone1", "wifi", "61000\n")] {
            let zone = root.join("sys/class/thermal").join(zone);
            fs::create_dir_all(&zone).unwrap();
            fs::write(zone.join("type"), kind).unwrap();
            fs::write(zone.join("temp"), milli).unwrap();
        }
        assert_eq!(cpu_temp(&root), Some(48.312));
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn memory_is_what_programs_could_not_get() {
        assert_eq!(memory_used("MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable:  250 kB\n"), Some(75.0));
        assert_eq!(memory_used("MemTotal: 1000 kB\n"), None);
    }

    #[test]
    fn each_figure_comes_at_its_own_interval() {
        let read_at = |interval, seconds: &[i64]| {
            let mut due = Uptime(0);
            let mut is_due = |now: Uptime| {
                let is_due = due <= now;
                due = if is_due { next_due(due, Span::from_secs(interval), now) } else { due };
                is_due
            };
            seconds.iter().copied().filter(|second| is_due(Uptime(second * 1000))).collect::<Vec<_>>()
        };
        let every_second: Vec<i64> = (0..95).collect();
        assert_eq!(read_at(10, &every_second), [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
        assert_eq!(read_at(30, &every_second), [0, 30, 60, 90]);
        assert_eq!(read_at(10, &[0, 4, 47, 48, 50, 120]), [0, 47, 50, 120], "what was missed is not made up for");
    }

    fn input(sensor: &str, metric: HostMetric) -> (SensorId, InputSettings) {
        let (input, interval) = (Some(Input::Host(metric)), Some(Span::from_mins(60)));
        let (stamp, quantity) = (Stamping::Arrival, Quantity::Count);
        (SensorId::new(sensor).unwrap(), InputSettings { input, bus: None, interval, stamp, quantity, unit: None })
    }

    fn context(sensors: Vec<(SensorId, InputSettings)>) -> (BusContext, watch::Sender<BusConfig>, Queue) {
        let queue = Queue::new(4);
        let (sender, config) = watch::channel(BusConfig { sensors, ..BusConfig::default() });
        let (id, health) = (Id::new("host").unwrap(), HealthHandle::default());
        let context = BusContext {
            id,
            config,
            health,
            clock: Clock::new(ClockMode::System),
            queue: queue.clone(),
            outputs: Outputs::new().0,
            ports: crate::sense::released::Ports::default(),
        };
        (context, sender, queue)
    }

    #[tokio::test]
    async fn a_figure_that_the_machine_does_not_tell_is_a_fault_with_its_reason() {
        let (context, _sender, queue) = context(vec![input("pi/load", HostMetric::Load)]);
        let nowhere = Machine { root: "nowhere".into(), disk: "nowhere".into() };
        let message = tokio::select! {
            () = run(Arc::new(nowhere), context) => panic!("ended"),
            message = queue.next() => message,
        };
        let SenseMessage::Value(sample) = message else { panic!("{message:?}") };
        let fault = sample.fault.as_deref();
        assert_eq!((sample.quality, fault), (Quality::Fault, Some("the kernel does not say the load")));
        assert!(sample.number.is_nan());
    }

    #[test]
    fn all_figures_are_read_at_once_when_they_are_configured() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (load, memory) = (input("pi/load", HostMetric::Load), input("pi/memory", HostMetric::MemoryUsed));
            let (context, sender, queue) = context(vec![load.clone(), memory]);
            let next = async || match queue.next().await {
                SenseMessage::Value(value) => value.sensor.to_string(),
                other => panic!("{other:?}"),
            };
            let test = async {
                assert_eq!([next().await, next().await], ["pi/load", "pi/memory"]);
                sender.send_replace(BusConfig { sensors: vec![load], ..BusConfig::default() });
                assert_eq!(next().await, "pi/load");
            };
            tokio::select! {
                () = run(Arc::new(Machine { root: "/".into(), disk: ".".into() }), context) => panic!("ended"),
                () = test => {}
            }
        });
    }
}
