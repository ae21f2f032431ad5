use std::collections::BTreeSet;
use std::time::Duration;

use tilth_core::time::Stamp;

use super::*;
use crate::clock::{Anchor, Trust};
use crate::store::tests::farm::{Chance, Farm, Folder, WALL, booted, note, open};
use crate::store::{Export, Store};

/// Two hours of readings of three sensors, some of them late, in commits of ten seconds with a note every ten minutes.
fn two_hours(store: &mut Store, farm: &mut Farm) {
    let mut chance = Chance::new(7);
    for commit in 0..720 {
        farm.wait(Span::from_secs(10));
        for sensor in 0..3 {
            let behind = if chance.one_in(20) { chance.below(2_000_000) } else { chance.below(2000) };
            farm.read(sensor, chance.below(5000) as f64 / 100.0, Span(behind as i64));
        }
        let mut taken = farm.take();
        taken.now = farm.now;
        if commit % 60 == 0 {
            taken.events.push(note(farm.now, "looked"));
        }
        store.commit(&taken).unwrap();
    }
}

fn learn_the_clock(store: &mut Store, farm: &mut Farm) {
    let mut commit = farm.take();
    commit.anchor = Some(Anchor { offset_ms: WALL.0, trust: Trust::Synchronised, error: None });
    store.commit(&commit).unwrap();
}

/// A deadline that no test reaches.
fn later() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

/// What the pages of an export hold, and whether rows were deleted meanwhile.
fn exported(reader: &StoreReader, contents: &Contents) -> (Export, bool) {
    let mut export = Export::scratch().unwrap();
    export.begin(contents, &BTreeSet::new()).unwrap();
    let mut is_cut = false;
    for table in TABLES {
        for (mut from, through) in contents.keys[&table].clone() {
            loop {
                let page = reader.page(table, (from, through), later()).unwrap();
                is_cut |= page.oldest.is_none_or(|oldest| oldest > from);
                // As it comes over the socket.
                let page: Page = serde_json::from_str(&serde_json::to_string(&page).unwrap()).unwrap();
                export.add(table, &page.rows).unwrap();
                let Some(next) = page.next else { break };
                from = next;
            }
        }
    }
    (export, is_cut)
}

/// Times of readings with their values, and times of windows and events, each sorted.
fn shown(export: &Export) -> (Vec<(i64, u64)>, Vec<String>, Vec<String>) {
    let mut readings = Vec::new();
    let push = |reading: crate::store::ExportedReading| {
        readings.push((reading.at.map_or(0, |at| at.0), reading.value.to_bits()));
        Ok::<(), ()>(())
    };
    export.readings(None, push).unwrap().unwrap();
    readings.sort_unstable();
    let column = |view: &str| {
        let mut times = Vec::new();
        let row = |cells: &[String]| {
            times.push(cells[..3].join(" "));
            Ok::<(), ()>(())
        };
        export.show(view, row).unwrap().unwrap();
        times.remove(0);
        times.sort_unstable();
        times
    };
    (readings, column("windows"), column("notes"))
}

fn rfc3339(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at).unwrap().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

#[test]
fn a_span_has_what_was_measured_in_it_late_or_not_and_nothing_else() {
    let folder = Folder::new();
    let (mut store, mut farm) = (booted(&folder), Farm::new(3));
    two_hours(&mut store, &mut farm);
    learn_the_clock(&mut store, &mut farm);
    let (whole, _) = exported(store.reader(), &store.reader().contents(None, later()).unwrap());
    let (readings, windows, notes) = shown(&whole);
    assert_eq!((readings.len(), notes.len()), (3 * 720, 12));
    assert!(windows.len() > 3 * 110, "{}", windows.len());
    let now = Stamp { boot: 1, uptime: farm.now, wall: Some(WallTime(WALL.0 + farm.now.0)) };
    for (from, until) in [(120, 0), (119, 118), (60, 30), (33, 32), (10, 0), (1, 0), (240, 100), (500, 130)] {
        let period = Period { now, from: Span::from_mins(from), until: Span::from_mins(until) };
        let (part, is_cut) = exported(store.reader(), &store.reader().contents(Some(&period), later()).unwrap());
        let (begin, end) = (WALL.0 + farm.now.0 - from * 60_000, WALL.0 + farm.now.0 - until * 60_000);
        let end = end + i64::from(until == 0);
        let (part_readings, part_windows, part_notes) = shown(&part);
        let expected: Vec<_> = readings.iter().filter(|(at, _)| (begin..end).contains(at)).copied().collect();
        assert_eq!(part_readings, expected, "{from} to {until}");
        let (begin, end) = (rfc3339(begin), rfc3339(end));
        let within = |row: &&String| (begin.as_str()..end.as_str()).contains(&&row[..24]);
        assert_eq!(part_windows, windows.iter().filter(within).cloned().collect::<Vec<_>>(), "{from} to {until}");
        assert_eq!(part_notes, notes.iter().filter(within).cloned().collect::<Vec<_>>(), "{from} to {until}");
        assert!(!is_cut);
        // A disk that is slow: more is read, and the same is exported.
        let late = store.reader().contents(Some(&period), Instant::now()).unwrap();
        assert_eq!(late.keys[&Table::Raw], store.reader().contents(None, later()).unwrap().keys[&Table::Raw]);
        assert_eq!(shown(&exported(store.reader(), &late).0), (part_readings, part_windows, part_notes));
    }
}

#[test]
fn pages_show_the_store_of_one_instant_and_say_when_retention_was_faster() {
    let folder = Folder::new();
    let (mut store, mut farm) = (booted(&folder), Farm::new(3));
    two_hours(&mut store, &mut farm);
    let contents = store.reader().contents(None, later()).unwrap();
    let (before, _) = exported(store.reader(), &contents);
    let pages = store.reader().page(Table::Raw, contents.keys[&Table::Raw][0], Instant::now()).unwrap();
    assert!(
        pages.next.is_some() && pages.rows.len() <= 2,
        "a page that is late has the blocks of one commit: {pages:?}"
    );
    two_hours(&mut store, &mut farm);
    let (after, is_cut) = exported(store.reader(), &contents);
    assert_eq!((shown(&after), is_cut), (shown(&before), false));
    store.reader().0.execute("DELETE FROM raw WHERE id < 100", []).unwrap();
    let (rest, is_cut) = exported(store.reader(), &contents);
    assert!(is_cut && shown(&rest).0.len() < shown(&before).0.len());
}

#[test]
fn a_farm_without_a_clock_is_exported_by_its_uptime() {
    let folder = Folder::new();
    let (mut store, mut farm) = (booted(&folder), Farm::new(3));
    two_hours(&mut store, &mut farm);
    drop(store);
    let store = open(&folder).0;
    let contents = store.reader().contents(None, later()).unwrap();
    let (export, _) = exported(store.reader(), &contents);
    assert_eq!((export.counts.readings, export.counts.undated > 3 * 720), (3 * 720, true), "{:?}", export.counts);
    let mut rows = Vec::new();
    let row = |cells: &[String]| {
        rows.push(cells.join(","));
        Ok::<(), ()>(())
    };
    export.show("readings", row).unwrap().unwrap();
    assert_eq!(rows[0], "time,sensor,value,unit,quality,before_calibration,boot,uptime_s");
    assert!(rows[1].starts_with(",z/s") && rows[1].contains(",C,good,"), "{}", rows[1]);
    assert_eq!(export.clockless_boot().unwrap(), Some(1));
    // A span needs the time of day: of this boot, which does not run, nobody knows it.
    let now = Stamp { boot: u32::MAX, uptime: Uptime(0), wall: Some(WALL) };
    let period = Period { now, from: Span::from_mins(60), until: Span::ZERO };
    let part = store.reader().contents(Some(&period), later()).unwrap();
    assert_eq!((part.boots.len(), part.undated.as_slice()), (0, &[1][..]));
    assert_eq!(exported(store.reader(), &part).0.counts.readings, 0);
}

/// Guards against: a replay in which what waited for a disk that hung comes behind what was read after it.
#[test]
fn what_waited_for_the_disk_is_exported_in_its_order() {
    let folder = Folder::new();
    let (mut store, mut farm) = (booted(&folder), Farm::new(2));
    let mut commits = Vec::new();
    for _ in 0..120 {
        farm.wait(Span::from_secs(10));
        farm.read(0, 20.0, Span::ZERO);
        farm.read(1, 20.0, Span::ZERO);
        let mut taken = farm.take();
        taken.now = farm.now;
        commits.push(taken);
    }
    store.commit_all(&commits, &crate::store::Losses::default()).unwrap();
    let (export, _) = exported(store.reader(), &store.reader().contents(None, later()).unwrap());
    let mut times = Vec::new();
    let push = |reading: crate::store::ExportedReading| {
        times.push(reading.at.map(|at| at.0));
        Ok::<(), ()>(())
    };
    export.readings(Some(1), push).unwrap().unwrap();
    assert_eq!(times.len(), 240);
    assert!(times.is_sorted(), "{times:?}");
}
