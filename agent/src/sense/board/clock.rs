//! Board time on the agent's clock: when something that a board stamped was, corrected for crystal and connection. Pure.
//!
//! Every Hello and Heartbeat carries the board time at which it was made and arrives some delay after that. A delay is never
//! negative, so each arrival bounds the offset between both clocks from above, and the least delayed ones bound it best. The clock
//! keeps the least delayed message of each half minute and lays a straight line below all of them, the closest one: an edge of
//! their lower convex hull (Moon, Skelly, Towsley: "Estimation and Removal of Clock Skew from Network Delay Measurements", INFOCOM
//! 1999). Its slope is the drift, which for the ceramic resonator of an Uno may be nearly [`DRIFT_PERCENT`].

use std::collections::VecDeque;

use tilth_core::time::Uptime;

/// One message is kept of each span of this length, in milliseconds of uptime.
const BUCKET: i64 = 30_000;

/// Messages that are kept: those of the last 16 minutes, longer than a temperature takes to change a crystal's rate.
const MAX_POINTS: usize = 32;

/// Over less than this the jitter of a connection looks like drift, in milliseconds.
const MIN_SPAN: i64 = 60_000;

/// No clock of a board drifts by more. The ceramic resonator of an Uno or Mega 2560 is off by 0.5 % when new, by 0.3 to 0.4 % more in heat and
/// cold, and by 0.1 % with age (datasheet of the Murata CSTCE16M0V53); crystals are a hundred times better.
pub(super) const DRIFT_PERCENT: i64 = 1;
const MAX_DRIFT: f64 = DRIFT_PERCENT as f64 / 100.0;

/// A board whose clock is further behind than this, in milliseconds, and by twice the drift of the time that passed, restarted.
const LAG: i64 = 5_000;
const LAG_PERCENT: i64 = 2 * DRIFT_PERCENT;

/// A message of the board, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    /// Board time at which it was made, not wrapped.
    board: i64,
    /// Arrival of the message on the agent's clock, less the board time.
    offset: i64,
}

/// The straight line that says by how much the agent's clock is ahead of the board's, at each board time.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fit {
    through: Point,
    slope: f64,
}

/// The clock of one board since its boot, as its messages show it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct BoardClock {
    /// Oldest first, at most one for each span of [`BUCKET`].
    points: VecDeque<Point>,
    /// Newest board time, not wrapped.
    newest: i64,
    fit: Option<Fit>,
}

impl BoardClock {
    /// A Hello or Heartbeat that was made at the board time `at` arrived.
    pub(super) fn note(&mut self, at: u32, now: Uptime) {
        let board = if self.fit.is_none() { i64::from(at) } else { self.unwrapped(at) };
        self.newest = self.newest.max(board);
        let point = Point { board, offset: now.0 - board };
        let bucket = |point: &Point| (point.board + point.offset).div_euclid(BUCKET);
        match self.points.back_mut() {
            Some(last) if bucket(last) == bucket(&point) => {
                if point.offset < last.offset {
                    *last = point;
                }
            }
            _ => {
                self.forget_earlier_boot();
                self.points.push_back(point);
            }
        }
        if self.points.len() > MAX_POINTS {
            self.points.pop_front();
        }
        self.fit = fit_below(&self.points);
    }

    /// Whether nothing was heard for so long that a board time may be of the next turn of the board's clock.
    pub(super) fn is_outdated(&self, now: Uptime) -> bool {
        self.points.back().is_some_and(|last| now.0 - (last.board + last.offset) > i64::from(i32::MAX))
    }

    /// Forgets what was before the newest span where even the least delayed message of that is far behind. A line that stalls delays some
    /// messages of a span; a board that restarted, which its numbers do not always show, is behind in all of them.
    fn forget_earlier_boot(&mut self) {
        let mut newest = self.points.iter().rev();
        if let (Some(last), Some(before)) = (newest.next(), newest.next())
            && last.offset - before.offset > LAG + (last.board - before.board) * LAG_PERCENT / 100
        {
            self.points.drain(..self.points.len() - 1);
        }
    }

    /// Uptime of the agent at a board time; none before the first message.
    pub(super) fn uptime(&self, at: u32) -> Option<Uptime> {
        let Fit { through, slope } = self.fit?;
        let board = self.unwrapped(at);
        let drift = slope * (board - through.board) as f64;
        Some(Uptime(board + through.offset + drift.round() as i64))
    }

    /// A board time near the newest one, not wrapped: up to 24.8 days before or after it.
    fn unwrapped(&self, at: u32) -> i64 {
        self.newest + i64::from(at.wrapping_sub(self.newest as u32) as i32)
    }
}

/// The line below all points that is closest to them; level through the least delayed one where they span too little time.
fn fit_below(points: &VecDeque<Point>) -> Option<Fit> {
    let least = points.iter().copied().min_by_key(|point| point.offset)?;
    let level = Some(Fit { through: least, slope: 0.0 });
    let (first, last) = (points.front()?, points.back()?);
    if last.board - first.board < MIN_SPAN {
        return level;
    }
    let mean = points.iter().map(|point| point.board - first.board).sum::<i64>() / points.len() as i64 + first.board;
    let hull = lower_hull(points);
    let Some([from, to]) = hull.array_windows().find(|[_, to]| to.board >= mean) else { return level };
    Some(Fit { through: *to, slope: slope(*from, *to).clamp(-MAX_DRIFT, MAX_DRIFT) })
}

/// The corners of the convex hull that have no point below them, from the first point to the last.
fn lower_hull(points: &VecDeque<Point>) -> Vec<Point> {
    let mut hull: Vec<Point> = Vec::new();
    for point in points {
        // A board that is seen twice at one board time has one offset then, the lesser.
        while let [.., before, last] = hull[..]
            && slope(before, last) >= slope(before, *point)
        {
            hull.pop();
        }
        hull.push(*point);
    }
    hull
}

fn slope(from: Point, to: Point) -> f64 {
    (to.offset - from.offset) as f64 / (to.board - from.board).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A board whose clock runs this many parts per million fast, and starts at `start`; its messages take 2 ms and a jitter.
    struct Board {
        ppm: i64,
        start: i64,
        begins_at: u32,
    }

    impl Board {
        fn time(&self, uptime: i64) -> u32 {
            let passed = uptime - self.start;
            self.begins_at.wrapping_add((passed + passed * self.ppm / 1_000_000) as u32)
        }
    }

    /// Delays of a line: 2 ms, often more, and now and then a second.
    fn delay(second: i64) -> i64 {
        2 + second * 7919 % 13 + if second % 17 == 0 { 900 } else { 0 }
    }

    fn hear(clock: &mut BoardClock, board: &Board, seconds: std::ops::Range<i64>) {
        for second in seconds {
            let sent = second * 1000;
            clock.note(board.time(sent), Uptime(sent + delay(second)));
        }
    }

    /// How far a reading is misplaced, in milliseconds.
    fn error(clock: &BoardClock, board: &Board, uptime: i64) -> i64 {
        clock.uptime(board.time(uptime)).unwrap().0 - uptime
    }

    #[test]
    fn crystals_a_hundred_parts_per_million_apart_agree_within_the_jitter_of_the_line() {
        for ppm in [-100, 0, 100, 5_000, -5_000, 9_500, -9_500] {
            let board = Board { ppm, start: 3_000, begins_at: 0 };
            let mut clock = BoardClock::default();
            hear(&mut clock, &board, 4..1800);
            for uptime in [1_000_000, 1_799_000] {
                assert!(error(&clock, &board, uptime).abs() <= 25, "{ppm} ppm: {}", error(&clock, &board, uptime));
            }
            // The agent is away for three minutes; what was measured meanwhile has its time.
            hear(&mut clock, &board, 1980..1982);
            for uptime in (1_800_000..1_980_000).step_by(10_000) {
                assert!(error(&clock, &board, uptime).abs() <= 50, "{ppm} ppm: {}", error(&clock, &board, uptime));
            }
        }
    }

    #[test]
    fn the_first_message_places_readings_and_a_less_delayed_one_corrects_them() {
        let mut clock = BoardClock::default();
        assert_eq!(clock.uptime(5), None);
        clock.note(10_000, Uptime(60_900));
        assert_eq!(clock.uptime(4_000), Some(Uptime(54_900)));
        clock.note(11_000, Uptime(61_002));
        assert_eq!(clock.uptime(4_000), Some(Uptime(54_002)));
        clock.note(12_000, Uptime(63_500));
        assert_eq!(clock.uptime(4_000), Some(Uptime(54_002)), "expected a delayed message to change nothing");
    }

    #[test]
    fn board_time_wraps_after_fifty_days() {
        let board = Board { ppm: 50, start: 0, begins_at: u32::MAX - 600_000 };
        let mut clock = BoardClock::default();
        hear(&mut clock, &board, 1..1200);
        for uptime in [300_000, 599_000, 601_000, 1_199_000] {
            assert!(error(&clock, &board, uptime).abs() <= 25, "{uptime}: {}", error(&clock, &board, uptime));
        }
    }

    /// Guards against: readings that are placed minutes too early, because the board's clock is taken to go on.
    #[test]
    fn a_clock_that_begins_anew_unnoticed_is_followed_within_a_minute_and_a_line_that_stalls_is_not() {
        let (board, again) = (Board { ppm: 0, start: 0, begins_at: 0 }, Board { ppm: 0, start: 60_000, begins_at: 0 });
        let mut clock = BoardClock::default();
        hear(&mut clock, &board, 1..20);
        hear(&mut clock, &again, 200..240);
        assert!(error(&clock, &again, 239_000).abs() <= 25, "{}", error(&clock, &again, 239_000));
        (240..280).for_each(|second| clock.note(again.time(second * 1000), Uptime(280_000)));
        hear(&mut clock, &again, 281..330);
        assert!(error(&clock, &again, 329_000).abs() <= 25, "{}", error(&clock, &again, 329_000));
    }

    #[test]
    fn messages_that_waited_together_move_nothing() {
        let board = Board { ppm: 20, start: 0, begins_at: 0 };
        let mut clock = BoardClock::default();
        hear(&mut clock, &board, 1..600);
        // The agent hung for 50 s, and then reads what lay in the port.
        for second in 600..650 {
            clock.note(board.time(second * 1000), Uptime(650_000));
        }
        hear(&mut clock, &board, 650..700);
        assert!(error(&clock, &board, 640_000).abs() <= 25, "{}", error(&clock, &board, 640_000));
    }
}
