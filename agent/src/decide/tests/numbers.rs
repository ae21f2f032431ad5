//! Numbers of alerts while the store is slow.

use std::fmt::Write as _;

use super::*;

/// Sensors that alert at once: more than the alert numbers reserved when a boot begins.
const SENSORS: usize = 150;

fn farm() -> String {
    (0..SENSORS).fold(FARM.to_owned(), |mut farm, number| {
        write!(
            farm,
            "[sensors.'room/c{number}']
             quantity = 'count'
             input = 'line:gateway/c{number}'
             [rules.high-{number}]
             sensor = 'room/c{number}'
             above = 30
             severity = 'warning'\n"
        )
        .unwrap();
        farm
    })
}

impl Life {
    fn count(&mut self, at_s: i64, number: usize, value: f64) {
        self.clock.observe(WallTime(at_s * 1000));
        let sensor = self.decide.engine.plan().sensor_ix(&format!("room/c{number}")).unwrap();
        let raw = Raw { sensor, at: Uptime(at_s * 1000), value, quality: Quality::Good };
        self.decide.handle(Input::Reading(raw));
        self.decide.flush();
    }

    fn open_alerts(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> =
            self.decide.engine.alerts().filter_map(|alert| Some(alert.details.alert?.0)).collect();
        numbers.sort_unstable();
        numbers
    }
}

/// Guards against: six random digits on an alert that only fired while a commit took its time.
#[test]
fn numbers_stay_in_a_row_while_the_store_stands_still() {
    let mut life = Life::begin(0, &farm(), None);
    life.decide.stage_checkpoint();
    life.decide.flush();
    // The first commit is through, and from here on none is.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while life.decide.store_writer.alerts_through() <= 100 && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let (let_go, held) = std::sync::mpsc::channel::<()>();
    life.store.change(move |_| held.recv().unwrap_or_default()).unwrap();
    (0..SENSORS).for_each(|number| life.count(10, number, 31.0));
    assert_eq!(life.open_alerts(), (1..=SENSORS as u64).collect::<Vec<_>>());
    drop(let_go);
}
