//! `--record FILE`: each input of the engine with its instant, one JSON object a line, so that a farm's run can be looked at
//! on a desk. `replay` does not read it yet: it also needs how each start began and the plans.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;
use tilth_core::engine::Input;
use tilth_core::plan::Plan;
use tilth_core::time::Uptime;

/// An open recording. A disk that fails ends it and nothing else.
pub(crate) struct Recording {
    file: Option<BufWriter<File>>,
}

/// One line.
#[derive(Serialize)]
struct Entry<'a, T: Serialize> {
    at: Uptime,
    input: &'a str,
    #[serde(flatten)]
    what: T,
}

impl Recording {
    /// Goes on at the end of a file, or makes it.
    pub(crate) fn open(path: &Path) -> io::Result<Recording> {
        let file = File::options().append(true).create(true).open(path)?;
        Ok(Recording { file: Some(BufWriter::new(file)) })
    }

    pub(super) fn write(&mut self, at: Uptime, input: &Input, plan: &Plan) {
        let Some(file) = &mut self.file else { return };
        if let Err(error) = write(file, at, input, plan) {
            eprintln!("tilth-agent: the recording ends here: {error}");
            self.file = None;
        }
    }
}

fn write(file: &mut BufWriter<File>, at: Uptime, input: &Input, plan: &Plan) -> io::Result<()> {
    let mut line = |input: &str, what: serde_json::Value| -> io::Result<()> {
        serde_json::to_writer(&mut *file, &Entry { at, input, what })?;
        file.write_all(b"\n")
    };
    match input {
        Input::Tick => Ok(()),
        Input::Reading(raw) => {
            let sensor = &plan.sensor(raw.sensor).id;
            let value = raw.value.is_finite().then_some(raw.value);
            line(
                "reading",
                serde_json::json!({ "sensor": sensor, "stamp": raw.at, "value": value, "quality": raw.quality }),
            )
        }
        Input::Clock(wall) => line("clock", serde_json::json!({ "wall": wall })),
        Input::Plan(_) => line("plan", serde_json::json!({})),
        Input::Acknowledge { alert, span, by } => {
            line("acknowledge", serde_json::json!({ "alert": alert, "span": span, "by": by }))
        }
        Input::Silence { of, span, by } => line("silence", serde_json::json!({ "of": of, "span": span, "by": by })),
        Input::EndSilence(number) => line("end_silence", serde_json::json!({ "number": number })),
        Input::Calibrate { sensor, calibration } => {
            line("calibrate", serde_json::json!({ "sensor": sensor, "calibration": calibration }))
        }
        Input::Bus { bus, up } => line("bus", serde_json::json!({ "bus": bus, "up": up })),
    }
}
