//! Runs a program to its end and says what it took.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tilth_tests::agent::{Run, peak_memory_kb};

/// How often a running program's memory is looked at. The figure is the kernel's own highest, so that a look late in the run
/// misses only what is taken after it.
const LOOK: Duration = Duration::from_millis(3);

/// The kernel counts CPU time for us in hundredths of a second.
const TICKS_A_SECOND: f64 = 100.0;

/// What a run took.
pub(crate) struct Spent {
    /// How it ended and what it said, as far as the caller did not send that elsewhere.
    pub(crate) run: Run,
    pub(crate) wall_s: f64,
    pub(crate) cpu_s: f64,
    /// The most memory it held: VmHWM.
    pub(crate) peak_kb: u64,
}

/// Runs it; its standard output goes where the caller sent it.
pub(crate) fn run(command: &mut Command) -> Spent {
    let cpu_before = children_cpu_s();
    let start = Instant::now();
    let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program can be run");
    let (process, ended, peak_kb) = (child.id(), AtomicBool::new(false), AtomicU64::new(0));
    let output = thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                if let Some(kb) = peak_memory_kb(process) {
                    peak_kb.fetch_max(kb, Ordering::Relaxed);
                }
                thread::sleep(LOOK);
            }
        });
        let output = child.wait_with_output();
        ended.store(true, Ordering::Relaxed);
        output.expect("it is a child of ours")
    });
    Spent {
        run: Run::of(output),
        wall_s: start.elapsed().as_secs_f64(),
        cpu_s: children_cpu_s() - cpu_before,
        peak_kb: peak_kb.into_inner(),
    }
}

/// User and system time of all children that have ended.
fn children_cpu_s() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux has it");
    // The program's name, in brackets, may hold blanks. After it come fields 3 and on; these are 16 and 17.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: f64 = fields.skip(13).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / TICKS_A_SECOND
}
