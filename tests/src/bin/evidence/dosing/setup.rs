//! Configuration of the farm: its dosers with their limits, and who asks for doses. Drawn again every few kills, so that what was dosed
//! before counts against limits that come later.

use std::fmt;
use std::fmt::Write as _;

use tilth_tests::live::flow::Flow;
use tilth_tests::random::Random;

/// A dose, the longest one, and the one that the saboteur makes forgotten.
pub(super) const DOSE_S: f64 = 2.0;
pub(super) const LONGEST_S: f64 = 6.0;
pub(super) const FORGOTTEN_S: f64 = 6.0;

/// What is on while the disk takes nothing: its relay, and the time that is asked for, in seconds.
pub(super) const FEED: (&str, u8, f64) = ("feed", 2, 400.0);

/// The channel that rules compare, and what it shows while none of them asks.
pub(super) const PROBE: u8 = 0;
pub(super) const USUAL: i32 = 30_000;

/// Beside the dosers.
const REST: &str = "
[sensors.'tank/probe']
quantity = 'count'
input = 'board:doser/0'
max_rate = 10000000
[actuators.feed]
zone = 'tank'
output = 'board:doser/relay-2'
max_on = '400s'
dose_per_day = '4000s'
";

/// A total in force: over which period, and how much at most, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limit {
    pub(super) period: Period,
    pub(super) most_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Period {
    Hour,
    Day,
}

/// A doser with one limit or two.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doser {
    pub(super) name: &'static str,
    pub(super) relay: u8,
    /// What the probe shows when the doser's rule is to ask for a dose.
    pub(super) asks_at: i32,
    limits: [Option<Limit>; 2],
    min_off_s: i64,
}

/// The source of a request for a dose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Asker {
    Person,
    /// The rule whose alert fires.
    Rule,
    /// People, for both dosers at once.
    Both,
}

/// A configuration, and who asks while it is in force.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup {
    pub(super) dosers: [Doser; 2],
    is_exclusive: bool,
    pub(super) asker: Asker,
}

impl Setup {
    /// People, an hour's limit for the one doser and a day's for the other, in seconds.
    pub(super) fn plain([hour_s, day_s]: [i64; 2]) -> Setup {
        let limit = |period, most_s| Some(Limit { period, most_ms: most_s * 1_000 });
        let limits = [[limit(Period::Hour, hour_s), None], [None, limit(Period::Day, day_s)]];
        Setup::of(limits, [6, 6], true, Asker::Person)
    }

    /// With limits of at most so many seconds an hour and a day.
    pub(super) fn drawn(random: &mut Random, [hour_s, day_s]: [i64; 2], asker: Asker) -> Setup {
        let mut limits = || {
            let mut limit = |period, most_s: i64| {
                Some(Limit { period, most_ms: most_s * 1_000 / [1, 3][random.below(2) as usize] })
            };
            let limits = [limit(Period::Hour, hour_s), limit(Period::Day, day_s)];
            match random.below(3) {
                0 => [limits[0], None],
                1 => [None, limits[1]],
                _ => limits,
            }
        };
        let limits = [limits(), limits()];
        let mut min_off = || [6, 8, 12][random.below(3) as usize];
        let min_off = [min_off(), min_off()];
        Setup::of(limits, min_off, random.one_in(2), asker)
    }

    fn of(limits: [[Option<Limit>; 2]; 2], min_off: [i64; 2], is_exclusive: bool, asker: Asker) -> Setup {
        let doser = |name, relay, asks_at, limits, min_off_s| Doser { name, relay, asks_at, limits, min_off_s };
        let dosers = [doser("acid", 0, 50_000, limits[0], min_off[0]), doser("base", 1, 10_000, limits[1], min_off[1])];
        Setup { dosers, is_exclusive, asker }
    }

    /// As a document of `config.d`.
    pub(super) fn config(&self) -> String {
        let mut text = REST.to_owned();
        for (doser, other) in [(self.dosers[0], None), (self.dosers[1], self.is_exclusive.then_some("acid"))] {
            let Doser { name, relay, asks_at, min_off_s, .. } = doser;
            let _ = writeln!(text, "[actuators.{name}]\nzone = 'tank'\noutput = 'board:doser/relay-{relay}'");
            let _ = writeln!(text, "max_on = '{LONGEST_S}s'\nmin_off = '{min_off_s}s'");
            for Limit { period, most_ms } in doser.limits() {
                let _ = writeln!(text, "{} = '{}s'", period.key(), most_ms / 1_000);
            }
            if let Some(other) = other {
                let _ = writeln!(text, "excludes = ['{other}']");
            }
            let (limit, clear) = if asks_at > USUAL { ("above", asks_at - 5_000) } else { ("below", asks_at + 5_000) };
            let _ = writeln!(text, "[rules.{name}-asks]\nsensor = 'tank/probe'\n{limit} = {clear}\ncooldown = '0s'");
            let _ = writeln!(text, "actions = [{{ actuator = '{name}', on = '{DOSE_S}s' }}]");
        }
        text
    }
}

impl Doser {
    pub(super) fn limits(&self) -> impl Iterator<Item = Limit> {
        self.limits.into_iter().flatten()
    }

    /// The limits of an hour and of a day, in seconds.
    pub(super) fn limits_s(&self) -> [Option<f64>; 2] {
        self.limits.map(|limit| Some(limit?.most_ms as f64 / 1_000.0))
    }
}

/// The times on of both dosers that began under each setup, from the instant at which it came into force, in milliseconds of board time. What
/// passed a limit, and the most of each doser within each period.
pub(super) fn judge(flow: &Flow, setups: &[(i64, Setup)], now: i64) -> (Vec<String>, Vec<String>) {
    let mut too_much = Vec::new();
    for (place, (from, setup)) in setups.iter().enumerate() {
        let until = setups.get(place + 1).map_or(i64::MAX, |(until, _)| *until);
        for doser in setup.dosers {
            for (_, end) in flow.since(doser.relay, *from).take_while(|(begin, _)| *begin < until) {
                let end = end.unwrap_or(now);
                for Limit { period, most_ms } in doser.limits() {
                    let flowed_ms = flow.between_ms(doser.relay, end - period.millis(), end);
                    if flowed_ms > most_ms {
                        let name = doser.name;
                        too_much
                            .push(format!("too much: {flowed_ms} ms of {name} within {period}, limit {most_ms} ms"));
                    }
                }
            }
        }
    }
    let most = [("acid", 0), ("base", 1)].map(|(name, relay)| {
        let most_s = |period: Period| flow.most_within_ms(relay, period.millis()) as f64 / 1_000.0;
        format!("{:.1} s of {name} within an hour and {:.1} s within a day", most_s(Period::Hour), most_s(Period::Day))
    });
    (too_much, most.to_vec())
}

impl Period {
    pub(super) const fn millis(self) -> i64 {
        match self {
            Period::Hour => 3_600_000,
            Period::Day => 86_400_000,
        }
    }

    const fn key(self) -> &'static str {
        match self {
            Period::Hour => "dose_per_hour",
            Period::Day => "dose_per_day",
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Period::Hour => "an hour",
            Period::Day => "a day",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dose_is_judged_by_the_limits_that_were_in_force_when_it_began() {
        let setups = [(0, Setup::plain([4, 4])), (10_000, Setup::plain([2, 8]))];
        let mut flow = Flow::default();
        for (relay, begin, end) in [(0, 1_000, 4_000), (1, 1_000, 5_000), (1, 11_000, 15_000)] {
            flow.switched(relay, true, begin);
            flow.switched(relay, false, end);
        }
        assert_eq!(judge(&flow, &setups, 20_000).0, Vec::<String>::new());
        flow.switched(0, true, 12_000);
        flow.switched(0, false, 12_001);
        let expected = "too much: 3001 ms of acid within an hour, limit 2000 ms";
        assert_eq!(judge(&flow, &setups, 20_000).0, [expected]);
    }
}
