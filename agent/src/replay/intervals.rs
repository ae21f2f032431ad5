//! The interval of each sensor's readings in a recording. Where it was exported at a minute and the sensor sends every two seconds, the
//! silence between two rows comes from the export and is no fault.

use std::collections::BTreeMap;
use std::sync::Arc;

use tilth_core::plan::Plan;
use tilth_core::reading::SensorIx;
use tilth_core::time::Span;

use super::readings::Row;
use super::recorded_names::RecordedNames;
use crate::console::{counted, listed};

/// Fewer gaps than this between readings show no usual distance.
const MIN_GAPS: usize = 3;

/// Readings may be lost: a sensor is silent after so many usual distances without one, as a configured interval has it.
const LOST: i64 = 3;

/// Sensors named in a note before the others are only counted.
const MAX_NAMED: usize = 3;

/// A plan that allows each sensor the silence that is usual in the recording, and what there is to say about that; nothing
/// where the plan allows it already. `rows` are the first of the recording.
pub(crate) fn allow_usual_gaps(plan: &Plan, rows: &[Row], names: &RecordedNames) -> Option<(Arc<Plan>, Vec<String>)> {
    let mut wider = plan.clone();
    let mut coarse: BTreeMap<(Span, Span), Vec<&str>> = BTreeMap::new();
    for (sensor, usual) in usual_gaps(rows, names) {
        if let Some(soonest) = plan.soonest_silent(sensor).filter(|soonest| usual >= *soonest) {
            wider.allow_silence(sensor, usual, Span(usual.0 * LOST));
            coarse.entry((usual, soonest)).or_default().push(plan.sensor(sensor).id.as_str());
        }
    }
    let notes = coarse.iter().map(|((usual, soonest), sensors)| note(*usual, *soonest, sensors)).collect();
    (!coarse.is_empty()).then(|| (Arc::new(wider), notes))
}

fn note(usual: Span, soonest: Span, sensors: &[&str]) -> String {
    let mut named = listed(sensors, MAX_NAMED);
    if sensors.len() > MAX_NAMED {
        named = format!("{} ({named})", counted(sensors.len() as u64, "sensor"));
    }
    let has = if sensors.len() == 1 { "has" } else { "have" };
    format!(
        "{named} {has} a reading every {usual} in this recording, but the configuration calls a sensor silent after \
         {soonest}: this replay waits {}; set interval = \"{usual}\" to replay it as configured",
        Span(usual.0 * LOST)
    )
}

/// The median distance between readings of each sensor that shows one, rounded to seconds.
fn usual_gaps(rows: &[Row], names: &RecordedNames) -> BTreeMap<SensorIx, Span> {
    let mut seen: BTreeMap<SensorIx, (i64, Vec<i64>)> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.value.is_some()) {
        let Some(sensor) = row.sensor.and_then(|index| names.sensor(index)) else { continue };
        let (newest, gaps) = seen.entry(sensor).or_insert((row.at_ms, Vec::new()));
        gaps.extend(Some(row.at_ms - *newest).filter(|gap| *gap > 0));
        *newest = row.at_ms;
    }
    seen.retain(|_, (_, gaps)| gaps.len() >= MIN_GAPS);
    seen.into_iter().map(|(sensor, (_, gaps))| (sensor, median(gaps))).collect()
}

fn median(mut gaps: Vec<i64>) -> Span {
    let middle = gaps.len() / 2;
    let (_, median, _) = gaps.select_nth_unstable(middle);
    let second = 1000;
    Span(if *median < second { *median } else { (*median + second / 2) / second * second })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_gap_is_the_middle_one() {
        for (gaps, expected) in [
            (&[60_000, 60_000, 60_000][..], 60_000),
            (&[59_900, 60_100, 60_050, 59_950, 3_600_000], 60_000),
            (&[500, 500, 500], 500),
            (&[1_000, 60_000, 60_000], 60_000),
        ] {
            assert_eq!(median(gaps.to_vec()), Span(expected), "{gaps:?}");
        }
    }
}
