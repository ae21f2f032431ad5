//! What is written to the disk, measured: `cargo test --release -p tilth-agent -- --ignored --nocapture bytes_written`.
//!
//! `TILTH_MEASURE="20 at 1 Hz | 512 | 15 s"` keeps to the lines that begin so. Prints the figures of
//! `docs/decisions/2026-11-20-store-layout.md`; decides nothing.

use std::fs;

use tilth_core::time::{Span, Uptime};

use super::farm::{Chance, Farm, Folder, options};
use crate::store::buffer::Buffer;
use crate::store::{Options, Store};

/// Bytes that this process handed to the system, and bytes of the pages that the system must write for them.
fn written() -> (u64, u64) {
    let io = fs::read_to_string("/proc/self/io").unwrap();
    let field = |name: &str| {
        let line = io.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse::<u64>().unwrap()
    };
    (field("wchar:"), field("write_bytes:"))
}

struct Load {
    sensors: u32,
    every: Span,
    /// Of the measurement, after one more of warming up.
    span: Span,
}

struct Figures {
    readings: u64,
    handed: u64,
    written: u64,
    file: u64,
    commits: u32,
}

fn run(load: &Load, interval: Span, options: &Options) -> Figures {
    let folder = Folder::new();
    let (mut store, _) = Store::open(&folder.database(), options).unwrap();
    store.begin_boot("boot-a", 0).unwrap();
    let (mut farm, mut chance, mut buffer) = (Farm::new(load.sensors), Chance::new(1), Buffer::new(interval));
    let mut values: Vec<f64> = (0..load.sensors).map(|n| 20.0 + f64::from(n)).collect();
    let (mut readings, mut commits, mut before) = (0, 0, None);
    while farm.now < Uptime(0) + load.span + load.span {
        if before.is_none() && farm.now >= Uptime(0) + load.span {
            before = Some(written());
            (readings, commits) = (0, 0);
        }
        let begin = farm.now;
        for sensor in 0..load.sensors {
            let due = begin + Span(load.every.0 * i64::from(sensor) / i64::from(load.sensors) + chance.below(4) as i64);
            farm.wait((due - farm.now).max(Span::ZERO));
            let value = &mut values[sensor as usize];
            *value += (chance.below(7) as f64 - 3.0) / 100.0;
            farm.read(sensor, (*value * 100.0).round() / 100.0, Span::ZERO);
            readings += 1;
        }
        farm.wait(begin + load.every - farm.now);
        buffer.add(farm.take());
        if buffer.is_due(farm.now) {
            let (waiting, lost) = buffer.waiting();
            store.commit_all(waiting, lost).unwrap();
            buffer.committed(buffer.waiting().0.len());
            commits += 1;
        }
    }
    let (before, after) = (before.unwrap(), written());
    let file = fs::metadata(folder.database()).unwrap().len();
    Figures { readings, handed: after.0 - before.0, written: after.1 - before.1, file, commits }
}

#[test]
#[ignore = "a measurement: takes minutes and asserts nothing"]
fn bytes_written() {
    let hours = |hours: i64| Span::from_mins(60 * hours);
    let loads = [
        ("20 at 1 Hz", Load { sensors: 20, every: Span::from_secs(1), span: hours(3) }),
        ("100 at 1 Hz", Load { sensors: 100, every: Span::from_secs(1), span: hours(3) }),
        ("20 at 20 Hz", Load { sensors: 20, every: Span(50), span: Span::from_mins(40) }),
    ];
    println!(
        "load | page | interval | log | handed B/reading | written B/reading | handed MB/day | written MB/day | commits"
    );
    let wanted = std::env::var("TILTH_MEASURE").unwrap_or_default();
    for (name, load) in &loads {
        for page_size in [512, 1024, 2048, 4096] {
            for interval in [10, 15, 30] {
                for log_kib in [256, 1024, 4096] {
                    let checkpoint_pages = log_kib * 1024 / page_size;
                    let label = format!("{name} | {page_size} | {interval} s | {log_kib} KiB");
                    if !label.contains(&wanted) {
                        continue;
                    }
                    let options = Options { page_size, checkpoint_pages, ..options() };
                    let figures = run(load, Span::from_secs(interval), &options);
                    let (readings, days) = (figures.readings as f64, load.span.as_secs_f64() / 86_400.0);
                    println!(
                        "{label} | {:.1} | {:.1} | {:.1} | {:.1} | {} ({} kB)",
                        figures.handed as f64 / readings,
                        figures.written as f64 / readings,
                        figures.handed as f64 / days / 1e6,
                        figures.written as f64 / days / 1e6,
                        figures.commits,
                        figures.file / 1000,
                    );
                }
            }
        }
    }
}
