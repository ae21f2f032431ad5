use std::sync::Arc;
use std::time::Duration;

use tilth_core::engine::{Engine, Start};
use tilth_core::id::SensorId;
use tilth_core::windows::Window;

use super::*;
use crate::clock::{Anchor, Trust};
use crate::store::tests::farm::{Farm, Folder, WALL, booted, note, open};

fn sensor(number: u32) -> SensorId {
    SensorId::new(&format!("z/s{number}")).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

/// Twenty minutes of readings of two sensors, one a minute late, with a note every five minutes, in the boot of this store.
fn twenty_minutes(store: &mut crate::store::Store, farm: &mut Farm, boot: u32) {
    for minute in 0..21 {
        farm.wait(Span::from_mins(1));
        farm.read(0, f64::from(minute), Span::ZERO);
        farm.read(0, f64::from(minute) + 0.5, Span::ZERO);
        farm.read(1, 7.0, Span::ZERO);
        farm.read(1, 8.0, Span::from_secs(90));
        let mut commit = farm.take();
        commit.now = farm.now;
        if minute % 5 == 0 {
            let mut note = note(farm.now, &format!("minute {minute}"));
            note.at.boot = boot;
            commit.events.push(note);
        }
        store.commit(&commit).unwrap();
    }
}

#[test]
fn windows_and_events_are_found_by_the_time_of_day_over_boots() {
    let folder = Folder::new();
    let (mut store, mut farm) = (booted(&folder), Farm::new(2));
    twenty_minutes(&mut store, &mut farm, 1);
    // The clock was learnt, and the device was off for an hour.
    let mut commit = farm.take();
    commit.anchor = Some(Anchor { offset_ms: WALL.0, trust: Trust::Synchronised, error: None });
    store.commit(&commit).unwrap();
    drop(store);
    let mut store = open(&folder).0;
    store.begin_boot("boot-b", 0).unwrap();
    let hour_later = WallTime(WALL.0 + 80 * 60_000);
    let now = |wall| Stamp { boot: 2, uptime: Uptime(60_000), wall };
    let reader = store.reader();
    let found = |from, until, wall| {
        let period = Period { now: now(wall), from: Span::from_mins(from), until: Span::from_mins(until) };
        let windows = reader.windows_within(&sensor(0), Grain::Minute, &period, soon()).unwrap().unwrap();
        let events = reader.events_within("note", &period, soon()).unwrap().unwrap();
        (windows, events)
    };
    let wall = Some(WallTime(hour_later.0 + 60_000));
    let (windows, events) = found(24 * 60, 0, wall);
    assert_eq!((windows.len(), events.len()), (20, 5));
    assert_eq!((windows[0].start.wall, windows[0].ago), (Some(WallTime(WALL.0 + 60_000)), Span::from_mins(80)));
    assert_eq!(windows[3].row.window, Window { bad: 0, good: windows[3].row.window.good });
    assert_eq!(windows[3].row.window.good.map(|sums| (sums.count, sums.mean())), Some((2, 325.0)));
    assert_eq!(events[1].body["text"], "minute 5");
    // The second five of the twenty minutes.
    let (windows, events) = found(75, 70, wall);
    assert_eq!((windows.len(), events.len()), (5, 1));
    // Without the time of day only the boot that runs has a past.
    let (windows, events) = found(24 * 60, 0, None);
    assert_eq!((windows.len(), events.len()), (0, 0));
    assert_eq!(reader.sensors_with_history().unwrap(), [sensor(0), sensor(1)]);
    let period = Period { now: now(wall), from: Span::from_mins(1000), until: Span::ZERO };
    let late = Instant::now();
    assert_eq!(reader.windows_within(&sensor(0), Grain::Minute, &period, late).unwrap(), None);
    assert_eq!(reader.events_within("note", &period, late).unwrap(), None);
    assert_eq!(reader.events_within("alert", &period, soon()).unwrap(), Some(Vec::new()));
}

#[test]
fn what_came_late_is_in_the_one_window_and_a_device_without_a_clock_has_its_boot() {
    let folder = Folder::new();
    let (mut store, mut farm) = (booted(&folder), Farm::new(2));
    twenty_minutes(&mut store, &mut farm, 1);
    let period = |from| Period {
        now: Stamp { boot: 1, uptime: farm.now, wall: None },
        from: Span::from_mins(from),
        until: Span::ZERO,
    };
    let windows = store.reader().windows_within(&sensor(1), Grain::Minute, &period(1000), soon()).unwrap().unwrap();
    let starts: Vec<i64> = windows.iter().map(|window| window.start.uptime.0 / 60_000).collect();
    assert!(starts.is_sorted_by(|one, next| one < next), "{starts:?}");
    assert!(windows.iter().any(|window| window.row.revision > 0), "no window was amended");
    let counts: Vec<u32> = windows.iter().filter_map(|window| Some(window.row.window.good?.count)).collect();
    assert!(counts.iter().filter(|count| **count == 2).count() >= 18, "{counts:?}");
    let windows = store.reader().windows_within(&sensor(0), Grain::Quarter, &period(1000), soon()).unwrap().unwrap();
    let counts: Vec<u32> = windows.iter().filter_map(|window| Some(window.row.window.good?.count)).collect();
    assert_eq!(counts, [28], "one quarter of an hour has ended, and began a minute before the first reading");
}

/// Guards against: a chart of a day whose clock was set back, which ends in the middle.
#[test]
fn windows_of_boots_that_overlap_by_the_time_of_day_are_oldest_first() {
    let folder = Folder::new();
    let mut store = booted(&folder);
    let mut farm = Farm::new(2);
    twenty_minutes(&mut store, &mut farm, 1);
    let mut commit = farm.take();
    commit.anchor = Some(Anchor { offset_ms: WALL.0, trust: Trust::Synchronised, error: None });
    store.commit(&commit).unwrap();
    drop(store);
    let mut store = open(&folder).0;
    store.begin_boot("boot-b", 0).unwrap();
    let mut farm = Farm::new(2);
    farm.engine = Engine::new(Arc::clone(&farm.calibrated.plan), Start { boot: 2, at: Uptime(0), wall: Some(WALL) });
    twenty_minutes(&mut store, &mut farm, 2);
    // The second boot began five minutes after the first, by a clock that was set back.
    let wall = Some(WallTime(WALL.0 + farm.now.0 + 5 * 60_000));
    let now = Stamp { boot: 2, uptime: farm.now, wall };
    let period = Period { now, from: Span::from_mins(1000), until: Span::ZERO };
    let windows = store.reader().windows_within(&sensor(0), Grain::Minute, &period, soon()).unwrap().unwrap();
    let boots: Vec<u32> = windows.iter().map(|window| window.start.boot).collect();
    assert_eq!((boots.len(), boots[0], boots[39]), (40, 1, 2), "{boots:?}");
    assert!(windows.is_sorted_by_key(|window| std::cmp::Reverse(window.ago)), "{boots:?}");
}
