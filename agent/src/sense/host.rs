//! The machine's own figures: temperature, load, disk and memory, read from the kernel's files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tilth_config::{Feed, Host, Input};
use tilth_core::id::SensorId;
use tilth_core::reading::Quality;
use tilth_core::time::{Span, Uptime};

use super::bus::{Context, blocking};
use super::sample::Sample;

/// How often the machine is looked at where a sensor does not say.
const USUAL_INTERVAL: Span = Span::from_secs(10);

/// Between two looks at whether the kernel has answered.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the machine's files are.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// `/`, but in tests.
    pub(crate) root: PathBuf,
    /// A folder on the disk that is watched: the store's.
    pub(crate) disk: PathBuf,
}

/// A figure that a sensor shows, and when it is read next.
struct Due {
    sensor: SensorId,
    figure: Host,
    interval: Span,
    at: Uptime,
}

/// Reads every figure at its interval, for ever. Where other sensors are wanted, all are read at once.
pub(crate) async fn run(machine: Arc<Machine>, mut context: Context) {
    context.clock.started().await;
    let mut figures = wanted(&mut context);
    loop {
        let next = figures.iter().map(|figure| figure.at).min();
        let due = async {
            match next {
                Some(next) => context.clock.sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            Ok(()) = context.wanted.changed() => {
                figures = wanted(&mut context);
                continue;
            }
        }
        let now = context.clock.uptime();
        for figure in figures.iter_mut().filter(|figure| figure.at <= now) {
            let value = read(&machine, figure.figure).await.unwrap_or(f64::NAN);
            let sensor = figure.sensor.clone();
            let (quality, fault) = (Quality::Good, None);
            context.value(Sample { sensor, value, quality, fault, arrived: now, stamp: None, refused: None });
            // What was missed while the clock jumped is not made up for.
            let missed = (now - figure.at).0 / figure.interval.0.max(1);
            figure.at = figure.at + Span(figure.interval.0.max(1) * (missed + 1));
        }
    }
}

/// The figures that sensors show, all due now.
fn wanted(context: &mut Context) -> Vec<Due> {
    let at = context.clock.uptime();
    let wanted = context.wanted.borrow_and_update();
    let due = |(sensor, feed): &(SensorId, Feed)| {
        let Some(Input::Host(figure)) = feed.input else { return None };
        Some(Due { sensor: sensor.clone(), figure, interval: feed.interval.unwrap_or(USUAL_INTERVAL), at })
    };
    wanted.feeds.iter().filter_map(due).collect()
}

/// One figure. A kernel or disk that does not answer holds up the machine's figures, and no other task.
async fn read(machine: &Arc<Machine>, figure: Host) -> Option<f64> {
    let machine = Arc::clone(machine);
    blocking(move || Ok(machine.read(figure)), PATIENCE, || ()).await.ok().flatten()
}

impl Machine {
    /// A figure as it is now; nothing where the machine does not tell.
    pub(crate) fn read(&self, figure: Host) -> Option<f64> {
        match figure {
            Host::CpuTemp => cpu_temp(&self.root),
            Host::Load => self.text("proc/loadavg")?.split(' ').next()?.parse().ok(),
            Host::MemoryUsed => memory_used(&self.text("proc/meminfo")?),
            Host::DiskUsed => disk_used(&self.disk),
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
    let read = |zone: &Path| {
        let kind = fs::read_to_string(zone.join("type")).unwrap_or_default();
        let milli: f64 = fs::read_to_string(zone.join("temp")).ok()?.trim().parse().ok()?;
        Some((kind.contains("cpu") || kind.contains("pkg"), milli / 1000.0))
    };
    zones
        .filter_map(|zone| read(&zone.path()))
        .max_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)))
        .map(|zone| zone.1)
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

    use super::super::bus::{HealthHandle, Wanted};
    use super::super::queue::{Queue, SenseMessage};
    use super::*;
    use crate::clock::{Clock, Source};

    #[test]
    fn this_machine_tells_its_figures() {
        let machine = Machine { root: "/".into(), disk: ".".into() };
        let memory = machine.read(Host::MemoryUsed).unwrap();
        let disk = machine.read(Host::DiskUsed).unwrap();
        assert!((0.0..=100.0).contains(&memory) && (0.0..=100.0).contains(&disk), "{memory} {disk}");
        assert!(machine.read(Host::Load).unwrap() >= 0.0);
        let nowhere = Machine { root: "nowhere".into(), disk: "nowhere".into() };
        for figure in [Host::CpuTemp, Host::Load, Host::MemoryUsed, Host::DiskUsed] {
            assert_eq!(nowhere.read(figure), None);
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
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let clock = Clock::new(Source::Scaled(1000));
            let feed = |sensor: &str, figure, secs| {
                let (input, interval) = (Some(Input::Host(figure)), Some(Span::from_secs(secs)));
                let (stamp, quantity) = (Stamping::Arrival, Quantity::Count);
                (SensorId::new(sensor).unwrap(), Feed { input, bus: None, interval, stamp, quantity, unit: None })
            };
            let queue = Queue::new(2);
            let feeds = vec![feed("pi/load", Host::Load, 10), feed("pi/memory", Host::MemoryUsed, 30)];
            let (_sender, wanted) = watch::channel(Wanted { columns: None, feeds });
            let (id, health) = (Id::new("host").unwrap(), HealthHandle::default());
            let context = Context { id, wanted, health, clock: clock.clone(), queue: queue.clone() };
            let machine = Arc::new(Machine { root: "/".into(), disk: ".".into() });
            let end = clock.uptime() + Span::from_secs(95);
            tokio::select! {
                () = run(machine, context) => {}
                () = clock.sleep_until(end) => {}
            }
            let mut counts = [0, 0];
            while let Some(SenseMessage::Value(sample)) = queue.try_next() {
                counts[usize::from(sample.sensor.as_str() == "pi/memory")] += 1;
            }
            assert!((5..=10).contains(&counts[0]) && (2..=4).contains(&counts[1]), "{counts:?}");
        });
    }
}
