//! The images that ship, run by the emulator: sensors and their faults, relays and what sends them off, a queue that outlives the
//! agent's absence, settings that outlive power. Skipped without TILTH_BOARDS.

mod emulated;

use emulated::Emulated;
use serde_json::json;
use tilth_tests::live::emulator::{MEGA_2560, Model, PICO, UNO, UNO_ALL};
use tilth_tests::random::Random;
use tilth_wire::{
    BoardId, ChannelKind, Fault, OffReason, Reading, Refusal, ResetCause, Sample, SetChannel, SetRelay, Switch,
    ToBoard, UNLIMITED,
};

/// Runs a test on every board; its name is that of the test.
fn on_boards(test: &str, check: impl Fn(&Model, Emulated)) {
    on(&[UNO, MEGA_2560, PICO], test, check);
}

/// Runs a test on some boards.
fn on(models: &[Model], test: &str, check: impl Fn(&Model, Emulated)) {
    for model in models {
        println!("{test}: {}", model.image);
        if let Some(board) = Emulated::start(model.image, model.options, test) {
            check(model, board);
        }
    }
}

/// The newest sample of a channel.
fn newest(readings: &[Reading], channel: u8) -> Sample {
    readings
        .iter()
        .rev()
        .find(|reading| reading.channel == channel)
        .unwrap_or_else(|| panic!("no reading of {channel}"))
        .sample
}

fn value(readings: &[Reading], channel: u8) -> i32 {
    match newest(readings, channel) {
        Sample::Value(value) => value,
        Sample::Fault(fault) => panic!("channel {channel} has the fault {fault:?}"),
    }
}

fn every_second(board: &mut Emulated, channel: u8, kind: ChannelKind) {
    let command = 1_000 + u32::from(channel);
    board.send(&ToBoard::SetChannel(SetChannel { command, channel, kind, interval: 1_000, oversampling: 2 }));
}

fn switch(board: &mut Emulated, command: u32, relay: u8, on_for: u32) {
    let expires = board.board_time() + 5_000;
    board.send(&ToBoard::Switch(Switch { command, relay, on_for, expires }));
}

#[test]
fn every_sensor_gives_its_value() {
    on_boards("every_sensor_gives_its_value", |model, mut board| {
        board.control(
            &json!({ "analog": { "0": model.volts / 2.0 }, "sht3x": { "temperature": 21.5, "humidity": 55 } }),
        );
        board.control(&json!({ "ds18b20": { "temperature": -10.125 }, "pin": { model.contact_pin: 0 } }));
        let heard = board.greeted();
        let hello = heard.hellos.first().expect("a Hello");
        assert_eq!((hello.reset, hello.id), (ResetCause::PowerOn, None));
        assert_eq!(hello.kinds[usize::from(model.temperature)], ChannelKind::Sht3xTemperature);
        let measuring: Vec<_> = (0..).zip(&hello.kinds).filter(|(_, kind)| **kind != ChannelKind::Off).collect();
        let mut acks = 0;
        // As many at a time as a board remembers until it has answered them.
        for some in measuring.chunks(4) {
            some.iter().for_each(|(channel, kind)| every_second(&mut board, *channel, **kind));
            acks += board.run_with_agent(100).acks.len();
        }
        assert_eq!(acks, measuring.len(), "acknowledged settings");
        board.control(&json!({ "pulses": { "pin": model.pulse_pin, "count": 40, "hz": 100 } }));
        let heard = board.run_with_agent(4_000);
        let readings = &heard.readings;
        assert_eq!(value(readings, model.analog), (512 << 6) + (512 << 6 >> 10));
        assert!((value(readings, model.temperature) - 21_500).abs() <= 2, "{:?}", newest(readings, model.temperature));
        assert!((value(readings, model.humidity) - 55_000).abs() <= 2, "{:?}", newest(readings, model.humidity));
        assert_eq!(value(readings, model.ds18b20), -10_125);
        assert_eq!(value(readings, model.pulse), 40);
        assert_eq!(value(readings, model.contact), 0);
    });
}

#[test]
fn channels_measure_what_the_agent_sets() {
    on(&[UNO_ALL, MEGA_2560, PICO], "channels_measure_what_the_agent_sets", |model, mut board| {
        board.control(&json!({ "dht22": { "temperature": -4.5 }, "bme280": { "present": true } }));
        board.greeted();
        let (dht22, bme280) = (ChannelKind::Dht22Temperature, ChannelKind::Bme280Temperature);
        for (channel, kind) in [(model.spare, dht22), (model.temperature, bme280)] {
            let set = SetChannel { command: channel.into(), channel, kind, interval: 2_500, oversampling: 0 };
            board.send(&ToBoard::SetChannel(set));
        }
        let heard = board.run_with_agent(6_000);
        assert_eq!(value(&heard.readings, model.spare), -4_500);
        // The datasheet's example.
        assert_eq!(value(&heard.readings, model.temperature) / 10, 2_508);
    });
}

/// Half of each pulse is low: 5 ms of it is a bounce to a contact, and 50 ms a tip.
#[test]
fn pulses_of_a_contact_are_counted_once_it_rests() {
    on_boards("pulses_of_a_contact_are_counted_once_it_rests", |model, mut board| {
        board.greeted();
        let (channel, kind, interval) = (model.pulse, ChannelKind::Pulse, 500);
        board.send(&ToBoard::SetChannel(SetChannel { command: 1, channel, kind, interval, oversampling: 0 }));
        board.run_with_agent(2_000);
        board.control(&json!({ "pulses": { "pin": model.pulse_pin, "count": 20, "hz": 100 } }));
        board.run_with_agent(1_000);
        board.control(&json!({ "pulses": { "pin": model.pulse_pin, "count": 7, "hz": 10 } }));
        assert_eq!(value(&board.run_with_agent(2_000).readings, channel), 7);
    });
}

/// The Uno counts the pulses of two pins at the same time.
#[test]
fn a_pin_that_is_off_lets_another_one_be_counted() {
    on_boards("a_pin_that_is_off_lets_another_one_be_counted", |model, mut board| {
        board.greeted();
        every_second(&mut board, model.spare, ChannelKind::Pulse);
        board.run_with_agent(2_500);
        let (channel, kind, interval) = (model.spare, ChannelKind::Off, 1_000);
        board.send(&ToBoard::SetChannel(SetChannel { command: 1, channel, kind, interval, oversampling: 2 }));
        every_second(&mut board, model.contact, ChannelKind::Pulse);
        board.run_with_agent(2_500);
        board.control(&json!({ "pulses": { "pin": model.contact_pin, "count": 30, "hz": 100 } }));
        let heard = board.run_with_agent(3_000);
        assert_eq!(value(&heard.readings, model.contact), 30);
    });
}

#[test]
fn a_kind_that_the_image_has_no_driver_for_is_refused() {
    on(&[UNO], "a_kind_that_the_image_has_no_driver_for_is_refused", |model, mut board| {
        board.greeted();
        every_second(&mut board, model.spare, ChannelKind::Dht22Temperature);
        every_second(&mut board, model.temperature, ChannelKind::Bme280Temperature);
        let heard = board.run_with_agent(2_000);
        let refused: Vec<_> = heard.errors.iter().map(|error| error.reason).collect();
        assert_eq!(refused, [Refusal::NotPossible; 2]);
    });
}

#[test]
fn a_sensor_that_fails_is_a_fault_and_comes_back() {
    on_boards("a_sensor_that_fails_is_a_fault_and_comes_back", |model, mut board| {
        board.greeted();
        every_second(&mut board, model.temperature, ChannelKind::Sht3xTemperature);
        every_second(&mut board, model.ds18b20, ChannelKind::Ds18b20);
        let cases = [
            (json!({ "sht3x": { "badChecksum": true }, "ds18b20": { "badChecksum": true } }), Some(Fault::Checksum)),
            (
                json!({ "sht3x": { "badChecksum": false, "present": false }, "ds18b20": { "badChecksum": false, "present": false } }),
                Some(Fault::Absent),
            ),
            (
                json!({ "sht3x": { "present": true }, "ds18b20": { "present": true, "shorted": true }, "i2c_held": true }),
                Some(Fault::Bus),
            ),
            (json!({ "ds18b20": { "shorted": false }, "i2c_held": false }), None),
        ];
        for (change, expected) in cases {
            board.control(&change);
            let heard = board.run_with_agent(4_000);
            for channel in [model.temperature, model.ds18b20] {
                match (newest(&heard.readings, channel), expected) {
                    (Sample::Fault(fault), Some(expected)) => {
                        assert_eq!(fault, expected, "channel {channel} after {change}");
                    }
                    (Sample::Value(_), None) => {}
                    (sample, expected) => {
                        panic!("channel {channel} after {change}: expected {expected:?}, got {sample:?}")
                    }
                }
            }
        }
    });
}

#[test]
fn a_relay_goes_off_when_its_time_is_over() {
    on_boards("a_relay_goes_off_when_its_time_is_over", |model, mut board| {
        board.greeted();
        switch(&mut board, 1, 0, 700);
        let heard = board.run_with_agent(2_000);
        assert_eq!(heard.acks.iter().filter(|ack| ack.command == 1).count(), 1);
        let edges = board.edges(model.relays[0]);
        assert_eq!(edges.iter().map(|edge| edge.0).collect::<Vec<_>>(), [1, 0], "edges of the relay: {edges:?}");
        let on_for = edges[1].1 - edges[0].1;
        assert!((698.0..=706.0).contains(&on_for), "expected 700 ms on, got {on_for}");
        assert_eq!(heard.switched.last().and_then(|switched| switched.off), Some(OffReason::Done));
    });
}

#[test]
fn repeated_commands_do_not_extend_the_time() {
    on_boards("repeated_commands_do_not_extend_the_time", |model, mut board| {
        board.greeted();
        for command in 1..=30 {
            switch(&mut board, command, 0, 1_000);
            board.run_with_agent(100);
        }
        let edges = board.edges(model.relays[0]);
        let longest = edges.chunks(2).filter_map(|pair| Some(pair.get(1)?.1 - pair[0].1)).fold(0.0, f64::max);
        assert!(
            !edges.is_empty() && longest <= 1_006.0,
            "expected at most 1,000 ms at a stretch, got {longest}: {edges:?}"
        );
    });
}

#[test]
fn a_relay_goes_off_when_the_agent_falls_silent() {
    on_boards("a_relay_goes_off_when_the_agent_falls_silent", |model, mut board| {
        board.greeted();
        board.send(&ToBoard::SetRelay(SetRelay {
            command: 1,
            relay: 0,
            max_on: 600_000,
            min_off: 1_000,
            link_timeout: 3_000,
            excludes: 0,
        }));
        board.run_with_agent(1_000);
        switch(&mut board, 2, 0, 60_000);
        board.run_with_agent(5_000);
        assert_eq!(board.edges(model.relays[0]).len(), 1, "expected the relay on");
        board.run(4_000);
        let edges = board.edges(model.relays[0]);
        assert_eq!(edges.len(), 2, "expected the relay off 3 s after the last heartbeat: {edges:?}");
    });
}

/// Guards against: a siren that is normally energised, on a relay that ends its time, and so sounds for nothing every ten minutes.
#[test]
fn the_siren_relay_is_held_without_an_end_and_falls_with_the_link() {
    on_boards("the_siren_relay_is_held_without_an_end_and_falls_with_the_link", |model, mut board| {
        let siren = model.siren();
        let pin = model.relays[usize::from(siren)];
        board.greeted();
        switch(&mut board, 1, siren, UNLIMITED);
        switch(&mut board, 2, 0, UNLIMITED);
        // Eleven minutes take an emulator one; the code of the other boards is the same, and their answers say what they would do.
        let heard = board.run_with_agent(if model.image == UNO.image { 660_000 } else { 5_000 });
        let limited: Vec<_> = heard.acks.iter().map(|ack| (ack.command, ack.limited)).collect();
        assert_eq!(limited, [(1, false), (2, true)], "only the siren's relay has no maximum on-time");
        assert_eq!(board.edges(pin).len(), 1, "expected the siren held: {:?}", board.edges(pin));
        if model.image == UNO.image {
            let pump = board.edges(model.relays[0]);
            assert_eq!(pump.len(), 2, "expected the pump's relay off after 10 minutes: {pump:?}");
            assert!((599_990.0..600_060.0).contains(&(pump[1].1 - pump[0].1)), "{pump:?}");
        }
        let heard = board.run(11_000);
        assert_eq!(board.edges(pin).len(), 2, "expected the siren to fall with the link: {:?}", board.edges(pin));
        assert_eq!(heard.switched.last().and_then(|switched| switched.off), Some(OffReason::LinkLost));
        // The siren has no pause: it is quiet as soon as the agent is back.
        board.run_with_agent(1_000);
        switch(&mut board, 3, siren, UNLIMITED);
        board.run_with_agent(500);
        assert_eq!(board.edges(pin).len(), 3, "expected the siren held again: {:?}", board.edges(pin));
    });
}

#[test]
fn relays_that_exclude_each_other_are_not_on_together() {
    on_boards("relays_that_exclude_each_other_are_not_on_together", |model, mut board| {
        board.greeted();
        board.send(&ToBoard::SetRelay(SetRelay {
            command: 1,
            relay: 1,
            max_on: 60_000,
            min_off: 1_000,
            link_timeout: 10_000,
            excludes: 1,
        }));
        board.run_with_agent(1_000);
        switch(&mut board, 2, 0, 5_000);
        switch(&mut board, 3, 1, 5_000);
        let heard = board.run_with_agent(1_000);
        assert_eq!(
            heard.errors.iter().map(|error| (error.command, error.reason)).collect::<Vec<_>>(),
            [(3, Refusal::Excluded)]
        );
        assert!(board.edges(model.relays[1]).is_empty(), "relay 1: {:?}", board.edges(model.relays[1]));
    });
}

#[test]
fn a_command_that_came_too_late_is_refused() {
    on_boards("a_command_that_came_too_late_is_refused", |model, mut board| {
        board.greeted();
        board.run_with_agent(2_000);
        board.send(&ToBoard::Switch(Switch { command: 9, relay: 0, on_for: 1_000, expires: 500 }));
        let heard = board.run_with_agent(500);
        assert_eq!(heard.errors.first().map(|error| (error.command, error.reason)), Some((9, Refusal::Expired)));
        assert!(board.edges(model.relays[0]).is_empty());
    });
}

#[test]
fn a_hang_ends_in_a_reset_with_the_relays_off() {
    on_boards("a_hang_ends_in_a_reset_with_the_relays_off", |model, mut board| {
        board.greeted();
        switch(&mut board, 1, 0, 60_000);
        board.run_with_agent(1_000);
        board.control(&json!({ "hang": true }));
        let heard = board.run(3_000);
        let edges = board.edges(model.relays[0]);
        assert_eq!(edges.len(), 2, "expected the relay off: {edges:?}");
        let hello = heard.hellos.first().expect("a Hello after the reset");
        assert_eq!(hello.reset, ResetCause::Watchdog);
    });
}

#[test]
fn a_panic_opens_the_relays_first() {
    on_boards("a_panic_opens_the_relays_first", |model, mut board| {
        board.greeted();
        switch(&mut board, 1, 0, 60_000);
        board.run_with_agent(1_000);
        board.control(&json!({ "panic": true }));
        board.run(1);
        assert_eq!(
            board.edges(model.relays[0]).len(),
            2,
            "expected the relay off before the reset: {:?}",
            board.edges(model.relays[0])
        );
        let heard = board.run(3_000);
        assert_eq!(heard.hellos.first().expect("a Hello after the reset").reset, ResetCause::Panic);
    });
}

#[test]
fn noise_on_the_line_does_no_harm() {
    on_boards("noise_on_the_line_does_no_harm", |model, mut board| {
        board.greeted();
        let mut random = 1_u32;
        for command in 1..=20 {
            let noise: Vec<u8> = (0..97)
                .map(|_| {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (random >> 24) as u8
                })
                .collect();
            board.send_bytes(&noise);
            board.send_bytes(&[0]);
            // A Received of noise must not have lost the answer to what follows.
            board.send(&ToBoard::SetRelay(SetRelay {
                command: 50 + command,
                relay: 0,
                max_on: 1_000,
                min_off: 1_000,
                link_timeout: 3_000,
                excludes: 0,
            }));
            let heard = board.run_with_agent(500);
            assert!(
                heard.acks.iter().any(|ack| ack.command == 50 + command),
                "no answer after noise {command}: {heard:?}"
            );
            assert!(heard.hellos.iter().all(|hello| hello.reset == ResetCause::PowerOn), "the board restarted");
        }
        assert!(board.edges(model.relays[0]).is_empty());
    });
}

/// While all channels measure as fast as they may and the queue is full, which are the longest rounds of the board's loop. The Pico's holds
/// more than a test waits for.
#[test]
fn a_command_behind_noise_is_taken_while_everything_is_measured() {
    let test = "a_command_behind_noise_is_taken_while_everything_is_measured";
    on(&[UNO, UNO_ALL, MEGA_2560, PICO], test, |model, mut board| {
        board.control(&json!({ "bme280": { "present": true } }));
        board.greeted();
        let mut kinds = model.kinds();
        if model.image != UNO.image {
            kinds[usize::from(model.temperature)] = ChannelKind::Bme280Temperature;
            kinds[usize::from(model.spare)] = ChannelKind::Dht22Temperature;
        }
        for (channel, kind) in (0..).zip(kinds) {
            let command = 1_000 + u32::from(channel);
            let interval = if kind == ChannelKind::Dht22Temperature { 2_500 } else { 200 };
            board.send(&ToBoard::SetChannel(SetChannel { command, channel, kind, interval, oversampling: 4 }));
            let heard = board.run(50);
            assert_eq!(heard.acks.iter().map(|ack| ack.command).collect::<Vec<_>>(), [command], "{heard:?}");
        }
        let mut newest = board.run(if model.image == MEGA_2560.image { 30_000 } else { 8_000 });
        let mut random = Random::new(1);
        for command in 1..=40 {
            board.send(&ToBoard::Heartbeat { heard: board.board_time() });
            let heard = board.run(100 + random.below(100) as u32);
            newest = if heard.readings.is_empty() { newest } else { heard };
            if command == 40 {
                // Most of the queue is forgotten while noise and command come.
                let through = newest.readings.last().expect("readings").seq;
                board.send(&ToBoard::Received { through });
            }
            let noise: Vec<u8> = (0..20 + random.below(60)).map(|_| random.bits() as u8).chain([0]).collect();
            board.send_bytes(&noise);
            board.send(&ToBoard::Switch(Switch { command, relay: 0, on_for: 0, expires: 0 }));
            let heard = board.run(100);
            assert!(
                heard.acks.iter().any(|ack| ack.command == command),
                "no answer to command {command} behind {} bytes of noise: {heard:?}",
                noise.len()
            );
        }
        let lost = board.run(1_500).heartbeats.last().expect("a heartbeat").lost;
        assert!(lost > 0 || model.image == PICO.image, "the queue was not full");
    });
}

#[test]
fn readings_of_180_seconds_without_an_agent_are_kept() {
    on_boards("readings_of_180_seconds_without_an_agent_are_kept", |model, mut board| {
        board.greeted();
        // Four channels at 10 s, the others off.
        for channel in model.others.iter().copied() {
            board.send(&ToBoard::SetChannel(SetChannel {
                command: 1 + u32::from(channel),
                channel,
                kind: ChannelKind::Off,
                interval: 10_000,
                oversampling: 0,
            }));
        }
        // One of them was set another way for a while, as by a technician who tries.
        every_second(&mut board, model.analog, ChannelKind::Analog);
        board.run_with_agent(4_300);
        let (channel, kind, interval) = (model.analog, ChannelKind::Analog, 10_000);
        board.send(&ToBoard::SetChannel(SetChannel { command: 100, channel, kind, interval, oversampling: 4 }));
        let before = board.run_with_agent(30_000);
        let last = before.readings.last().expect("readings").seq;
        let away = board.run(180_000);
        let after = board.run_with_agent(30_000);
        let mut seqs: Vec<u32> =
            away.readings.iter().chain(&after.readings).map(|reading| reading.seq).filter(|seq| *seq > last).collect();
        seqs.sort_unstable();
        seqs.dedup();
        assert!(seqs.len() >= 72, "expected the readings of 180 s, got {}", seqs.len());
        assert_eq!(seqs.first(), Some(&(last + 1)), "the oldest reading is lost");
        assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "a gap in {seqs:?}");
        assert_eq!(after.heartbeats.last().map(|heartbeat| heartbeat.lost), Some(0));
    });
}

#[test]
fn id_and_settings_outlive_the_power() {
    on_boards("id_and_settings_outlive_the_power", |model, mut board| {
        board.greeted();
        let id = BoardId([1, 2, 3, 4, 5, 6, 7, 8]);
        board.send(&ToBoard::SetId(id));
        every_second(&mut board, model.contact, ChannelKind::Off);
        board.run_with_agent(2_000);
        board.control(&json!({ "power_cycle": true }));
        let heard = board.greeted();
        let hello = heard.hellos.first().expect("a Hello");
        assert_eq!((hello.id, hello.reset), (Some(id), ResetCause::PowerOn));
        assert_eq!(hello.kinds[usize::from(model.contact)], ChannelKind::Off);
    });
}

#[test]
fn stack_is_left_after_everything() {
    on_boards("stack_is_left_after_everything", |model, mut board| {
        board.greeted();
        for (channel, kind) in [
            (model.analog, ChannelKind::Analog),
            (model.temperature, ChannelKind::Sht3xTemperature),
            (model.humidity, ChannelKind::Sht3xHumidity),
            (model.ds18b20, ChannelKind::Ds18b20),
            (model.pulse, ChannelKind::Pulse),
            (model.contact, ChannelKind::Contact),
        ] {
            every_second(&mut board, channel, kind);
        }
        board.send(&ToBoard::SetId(BoardId([9; 8])));
        switch(&mut board, 1, 0, 2_000);
        board.run_with_agent(5_000);
        board.run(30_000);
        board.send(&ToBoard::Identify);
        board.run_with_agent(10_000);
        println!("bytes of stack left: {}", board.stack_free);
        assert!(board.stack_free >= 1_024, "expected 1,024 bytes of stack left, got {}", board.stack_free);
    });
}

#[test]
fn a_pico_speaks_over_usb_as_well() {
    let options = ["--chip", "rp2040", "--usb"];
    let Some(mut pico) = Emulated::start("pico", &options, "a_pico_speaks_over_usb_as_well") else { return };
    let heard = pico.greeted();
    assert_eq!(heard.hellos.last().map(|hello| hello.kinds.len()), Some(12));
    for channel in 0..3 {
        every_second(&mut pico, channel, ChannelKind::Analog);
    }
    let heard = pico.run_with_agent(10_000);
    assert_eq!(heard.acks.len(), 3, "acknowledged settings: {:?}", heard.acks);
    let seqs: Vec<u32> = heard.readings.iter().map(|reading| reading.seq).collect();
    assert!(seqs.len() >= 27 && seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "readings {seqs:?}");
}
