//! Settings of a board as the configuration has them: what its channels measure, and the limits of its relays. Pure.

use std::collections::BTreeMap;

use tilth_config::BoardChannel;
use tilth_core::actuator::Actuator;
use tilth_core::quantity::Quantity;
use tilth_core::time::Span;
use tilth_wire::{OVERSAMPLING_OF_CONTACT, SetChannel, SetRelay, UNLIMITED};

use super::clock::DRIFT_PERCENT;
use super::relays::relay;
use super::settings_queue::Setting;
use super::texts::channel_kind;

/// The longest link timeout of the protocol, in milliseconds: that of the board's wiring is shorter, and holds.
const LINK_TIMEOUT: u32 = 600_000;

/// Share of a pause in percent that the board insists on: less by twice the drift, for a board whose clock is slow must not refuse what the
/// interlock has counted rightly.
const MIN_OFF_PERCENT: i64 = 100 - 2 * DRIFT_PERCENT;

/// Settings for the channels of a bus, and for the relays that its actuators are on. Relays come first.
pub(super) fn settings(channels: &BTreeMap<u8, BoardChannel>, actuators: &[Actuator]) -> Vec<Setting> {
    let relays = actuators
        .iter()
        .filter_map(|actuator| Some(Setting::Relay(limits(relay(&actuator.output)?, actuator, actuators))));
    relays.chain(channels.iter().map(|(number, channel)| Setting::Channel(measuring(*number, channel)))).collect()
}

fn measuring(channel: u8, configured: &BoardChannel) -> SetChannel {
    let BoardChannel { kind, interval, pulses, .. } = *configured;
    // The bucket of a rain gauge moves a reed contact, which the board debounces where oversampling is 0; the others may be too fast for that.
    let is_contact = pulses.is_some_and(|scale| scale.quantity == Quantity::Rain);
    let oversampling = if is_contact { OVERSAMPLING_OF_CONTACT } else { configured.oversampling };
    SetChannel { command: 0, channel, kind: channel_kind(kind), interval: millis(interval), oversampling }
}

/// The limits of an actuator as those of its relay. One that is normally energised has none: it is on while the actuator rests.
fn limits(relay: u8, actuator: &Actuator, all: &[Actuator]) -> SetRelay {
    let excludes =
        all.iter().filter(|other| exclude_each_other(actuator, other)).filter_map(|other| self::relay(&other.output));
    let (max_on, min_off) = match actuator.max_on {
        Some(max_on) if !actuator.normally_energised => {
            (millis(max_on), Span(actuator.min_off.0 / 100 * MIN_OFF_PERCENT))
        }
        _ => (UNLIMITED, Span::ZERO),
    };
    let excludes = excludes.fold(0, |bits, other| bits | 1 << other);
    SetRelay { command: 0, relay, max_on, min_off: millis(min_off), link_timeout: LINK_TIMEOUT, excludes }
}

/// Whether the relays of two actuators must not be on together.
fn exclude_each_other(one: &Actuator, other: &Actuator) -> bool {
    let is_named = one.excludes.contains(&other.id) || other.excludes.contains(&one.id);
    is_named && one.id != other.id && !one.normally_energised && !other.normally_energised
}

/// Milliseconds on the wire; what is longer than it can say is as long as it can.
fn millis(span: Span) -> u32 {
    u32::try_from(span.0).unwrap_or(UNLIMITED - 1).min(UNLIMITED - 1)
}

#[cfg(test)]
mod tests {
    use tilth_config::{BoardChannelKind, PulseScale};
    use tilth_core::actuator::Output;
    use tilth_core::id::Id;
    use tilth_wire::ChannelKind;

    use super::*;

    fn id(name: &str) -> Id {
        Id::new(name).unwrap()
    }

    fn actuator(name: &str, channel: &str, excludes: &[&str]) -> Actuator {
        Actuator {
            id: id(name),
            zone: id("tank"),
            output: Output::Board { bus: id("one"), channel: id(channel) },
            enabled: true,
            normally_energised: false,
            is_alarm: false,
            max_on: Some(Span::from_secs(3)),
            min_off: Span::from_mins(10),
            dose_per_hour: None,
            dose_per_day: None,
            excludes: excludes.iter().map(|name| id(name)).collect(),
            needs_fresh: Default::default(),
        }
    }

    fn relays(actuators: &[Actuator]) -> Vec<(u8, u32, u32, u8)> {
        let relay = |setting: Setting| match setting {
            Setting::Relay(SetRelay { relay, max_on, min_off, excludes, link_timeout: LINK_TIMEOUT, command: 0 }) => {
                (relay, max_on, min_off, excludes)
            }
            other => panic!("{other:?}"),
        };
        settings(&BTreeMap::new(), actuators).into_iter().map(relay).collect()
    }

    #[test]
    fn a_relay_has_the_limits_of_its_actuator_and_excludes_those_that_either_names() {
        let pumps = [
            actuator("acid", "relay-0", &["base", "lamp"]),
            actuator("base", "relay-2", &[]),
            actuator("fan", "relay-7", &["base"]),
        ];
        let minutes = 588_000;
        assert_eq!(
            relays(&pumps),
            [(0, 3_000, minutes, 0b100), (2, 3_000, minutes, 0b1000_0001), (7, 3_000, minutes, 0b100)]
        );
        assert_eq!(relays(&[actuator("acid", "pump", &[])]), [], "expected no setting of what is no relay");
    }

    /// The relay of a siren that rests energised is on while nothing is wrong: it must neither time out nor keep a pump off.
    #[test]
    fn a_siren_that_rests_energised_has_no_limit_and_excludes_nobody() {
        let siren = Actuator { normally_energised: true, max_on: None, ..actuator("siren", "relay-1", &["acid"]) };
        let pump = actuator("acid", "relay-0", &["siren"]);
        assert_eq!(relays(&[siren, pump]), [(1, UNLIMITED, 0, 0), (0, 3_000, 588_000, 0)]);
    }

    #[test]
    fn a_span_that_is_longer_than_the_wire_can_say_is_not_taken_for_none() {
        let lamp = Actuator { max_on: Some(Span::from_mins(60 * 24 * 60)), ..actuator("lamp", "relay-0", &[]) };
        assert_eq!(relays(&[lamp])[0].1, UNLIMITED - 1);
    }

    #[test]
    fn a_channel_is_set_as_its_table_says() {
        let channel =
            BoardChannel { kind: BoardChannelKind::Pulses, interval: Span(500), oversampling: 6, pulses: None };
        let expected = SetChannel { command: 0, channel: 5, kind: ChannelKind::Pulse, interval: 500, oversampling: 6 };
        assert_eq!(settings(&BTreeMap::from([(5, channel)]), &[]), [Setting::Channel(expected)]);
    }

    #[test]
    fn pulses_of_rain_are_those_of_a_contact() {
        let oversampling = |quantity| {
            let pulses = Some(PulseScale::new(quantity, 0.2));
            let kind = BoardChannelKind::Pulses;
            measuring(5, &BoardChannel { kind, interval: Span(500), oversampling: 6, pulses }).oversampling
        };
        assert_eq!([Quantity::Rain, Quantity::Flow, Quantity::Wind].map(oversampling), [OVERSAMPLING_OF_CONTACT, 6, 6]);
    }
}
