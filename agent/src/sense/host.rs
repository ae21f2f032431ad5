//! The machine's own figures: temperature, load, disk and memory, read from the kernel's files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tilth_config::Host;
use tilth_core::id::SensorId;
use tilth_core::time::{Span, Uptime};

use super::queue::{Queue, Told};
use super::sample::Sample;
use crate::clock::Clock;

/// How often the machine is looked at where a sensor does not say.
pub(crate) const USUAL_INTERVAL: Span = Span::from_secs(10);

/// A sensor of the machine itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostFeed {
    /// Which sensor.
    pub(crate) sensor: SensorId,
    /// Which figure.
    pub(crate) figure: Host,
    /// How often.
    pub(crate) interval: Span,
}

/// Where the machine's files are.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// `/`, but in tests.
    pub(crate) root: PathBuf,
    /// A folder on the disk that is watched: the store's.
    pub(crate) disk: PathBuf,
}

/// Reads every figure at its interval, for ever.
pub(crate) async fn run(machine: Arc<Machine>, feeds: Vec<HostFeed>, clock: Clock, queue: Queue) {
    clock.started().await;
    let start = clock.uptime();
    let mut due: Vec<Uptime> = feeds.iter().map(|_| start).collect();
    loop {
        let Some(next) = due.iter().min() else { return std::future::pending().await };
        clock.sleep_until(*next).await;
        let now = clock.uptime();
        for (feed, due) in feeds.iter().zip(&mut due) {
            if *due <= now {
                let value = machine.read(feed.figure).unwrap_or(f64::NAN);
                let sample = Sample { sensor: feed.sensor.clone(), value, arrived: now, stamp: None, refused: None };
                queue.push(Told::Value(sample));
                // What was missed while the clock jumped is not made up for.
                let missed = (now - *due).0 / feed.interval.0.max(1);
                *due = *due + Span(feed.interval.0.max(1) * (missed + 1));
            }
        }
    }
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
    use super::*;
    use crate::clock::Source;

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
            let feed = |sensor: &str, figure, secs| HostFeed {
                sensor: SensorId::new(sensor).unwrap(),
                figure,
                interval: Span::from_secs(secs),
            };
            let queue = Queue::new(2);
            let feeds = vec![feed("pi/load", Host::Load, 10), feed("pi/memory", Host::MemoryUsed, 30)];
            let machine = Arc::new(Machine { root: "/".into(), disk: ".".into() });
            let end = clock.uptime() + Span::from_secs(95);
            tokio::select! {
                () = run(machine, feeds, clock.clone(), queue.clone()) => {}
                () = clock.sleep_until(end) => {}
            }
            let mut counts = [0, 0];
            while let Some(Told::Value(sample)) = queue.try_next() {
                counts[usize::from(sample.sensor.as_str() == "pi/memory")] += 1;
            }
            assert!((5..=10).contains(&counts[0]) && (2..=4).contains(&counts[1]), "{counts:?}");
        });
    }
}
