//! Orders for the relays of one board: sent until they are answered, and what became of each. Pure.

use std::collections::{BTreeMap, VecDeque};

use tilth_config::relay_number;
use tilth_core::actuator::Output;
use tilth_core::interlock::{ActuatorInput, OutputReason, SWITCH_WITHIN, SwitchOrder};
use tilth_core::time::Span;
use tilth_wire::{BoardKind, MAX_RELAYS, OffReason, Refusal, Switch, Switched, ToBoard, UNLIMITED};

use super::clock::DRIFT_PERCENT;
use super::texts;

/// Seconds after which an order to switch on that has no answer is lost.
const LOST_AFTER: u32 = 3;

/// How far ahead of the newest board time an order to switch on expires, in milliseconds. No later than the interlock expects it.
const EXPIRES_AFTER: u32 = SWITCH_WITHIN.0 as u32;

/// An order that the board has not answered.
#[derive(Debug, Clone, PartialEq)]
struct Waiting {
    order: SwitchOrder,
    relay: u8,
    /// Id of the command on the wire.
    command: u32,
    /// How long the relay is on, in milliseconds of board time.
    on_for: u32,
    /// Board time after which it switches nothing on.
    expires: u32,
    seconds: u32,
}

/// The relays of a board, as the interlock orders them.
#[derive(Debug, Default)]
pub(super) struct Relays {
    waiting: VecDeque<Waiting>,
    /// The newest order for each relay.
    newest: BTreeMap<u8, SwitchOrder>,
    /// Relays that are energised as far as answers and reports say, as bits.
    energised: u8,
    /// Relays whose last time on the board made shorter than ordered, with the time ordered.
    shortened: BTreeMap<u8, Span>,
}

/// Number of the relay that an output names.
pub(super) fn relay(output: &Output) -> Option<u8> {
    let Output::Board { channel, .. } = output;
    relay_number(channel.as_str()).filter(|number| usize::from(*number) < MAX_RELAYS)
}

/// Whether the relay is energised by an order.
fn is_energised(order: &SwitchOrder) -> bool {
    order.on != order.normally_energised
}

/// How long a relay is on by an order, in milliseconds of board time. Less than ordered where the board's clock may be slow: no dose is larger than booked.
fn on_for(order: &SwitchOrder, board: Option<BoardKind>) -> u32 {
    let percent = match board {
        Some(BoardKind::Pico | BoardKind::Host) => 100,
        Some(BoardKind::Uno | BoardKind::Mega2560) | None => 100 - DRIFT_PERCENT,
    };
    match (is_energised(order), order.at_most.filter(|_| order.on)) {
        (false, _) => 0,
        (true, None) => UNLIMITED,
        (true, Some(span)) => {
            u32::try_from(span.0.saturating_mul(percent) / 100).unwrap_or(UNLIMITED - 1).clamp(1, UNLIMITED - 1)
        }
    }
}

/// Outcome of an order that reached no relay, as an input of the interlock: an actuator that was to go on is off; whether one that was to go off is off is unknown.
pub(super) fn not_sent(order: &SwitchOrder) -> ActuatorInput {
    let why = Some(OutputReason::NotReached);
    if order.on {
        ActuatorInput::Switched { order: order.order, on: false, why }
    } else {
        ActuatorInput::Lost(order.order)
    }
}

/// Why a relay is off that a board refused to switch on.
fn refused(refusal: Refusal) -> OutputReason {
    match refusal {
        Refusal::NotUnderstood | Refusal::NoSuchNumber | Refusal::NotPossible | Refusal::AlreadyOn => {
            OutputReason::NotPossible
        }
        Refusal::Expired => OutputReason::Expired,
        Refusal::Excluded => OutputReason::Excluded,
        Refusal::TooSoon => OutputReason::MinOff,
        Refusal::LinkLost => OutputReason::LinkLost,
    }
}

/// Why a relay went off.
fn ended(reason: OffReason) -> Option<OutputReason> {
    match reason {
        OffReason::Done => Some(OutputReason::Done),
        OffReason::MaxOn => Some(OutputReason::MaxOn),
        OffReason::Command => None,
        OffReason::LinkLost => Some(OutputReason::LinkLost),
        OffReason::Settings => Some(OutputReason::Settings),
    }
}

impl Relays {
    /// Takes an order for a board of this kind, whose command gets an id; one for the same relay that is not answered gives way to it.
    pub(super) fn order(
        &mut self,
        order: SwitchOrder,
        (board, relay): (Option<BoardKind>, u8),
        command: u32,
        board_time: u32,
    ) -> ToBoard {
        self.waiting.retain(|waiting| waiting.relay != relay);
        self.newest.insert(relay, order.clone());
        let (on_for, expires) = (on_for(&order, board), board_time.wrapping_add(EXPIRES_AFTER));
        let waiting = Waiting { order, relay, command, on_for, expires, seconds: 0 };
        let message = waiting.message();
        self.waiting.push_back(waiting);
        message
    }

    /// Whether an order to switch on is under way. Switching off may be done twice, and is repeated for ever.
    pub(super) fn is_switching_on(&self) -> bool {
        self.waiting.iter().any(|waiting| is_energised(&waiting.order))
    }

    /// What is sent again after a second without an answer, and orders that are lost meanwhile. Switching off is repeated until it is
    /// answered.
    pub(super) fn second(&mut self) -> (Vec<ToBoard>, Vec<ActuatorInput>) {
        self.waiting.iter_mut().for_each(|waiting| waiting.seconds += 1);
        let is_lost = |waiting: &Waiting| waiting.seconds == LOST_AFTER;
        let lost =
            self.waiting.iter().filter(|waiting| is_lost(waiting)).map(|lost| ActuatorInput::Lost(lost.order.order));
        let lost = lost.collect();
        self.waiting.retain(|waiting| !is_energised(&waiting.order) || !is_lost(waiting));
        (self.waiting.iter().map(Waiting::message).collect(), lost)
    }

    /// A command was done or refused.
    pub(super) fn answered(&mut self, command: u32, refusal: Option<Refusal>) -> Option<ActuatorInput> {
        let ix = self.waiting.iter().position(|waiting| waiting.command == command)?;
        let Waiting { order, relay, .. } = self.waiting.remove(ix)?;
        let energised = match refusal {
            None => is_energised(&order),
            // The time of the order before holds; the board says when it is over.
            Some(Refusal::AlreadyOn) => true,
            Some(_) => false,
        };
        self.energised = self.energised & !(1 << relay) | u8::from(energised) << relay;
        let why = refusal.filter(|refusal| *refusal != Refusal::AlreadyOn).map(refused);
        Some(ActuatorInput::Switched { order: order.order, on: energised != order.normally_energised, why })
    }

    /// The board switched a relay, by itself or by a command.
    pub(super) fn switched(&mut self, switched: &Switched) -> Option<ActuatorInput> {
        let order = self.newest.get(&switched.relay)?;
        let is_answered = self.waiting.iter().all(|waiting| waiting.relay != switched.relay);
        // An order that is under way is told by its answer.
        let off = switched.off.filter(|_| is_answered)?;
        self.energised &= !(1 << switched.relay);
        Some(ActuatorInput::Switched { order: order.order, on: order.normally_energised, why: ended(off) })
    }

    /// The board restarted, so all of its relays are off.
    pub(super) fn restarted(&mut self) -> Vec<ActuatorInput> {
        self.energised = 0;
        let why = Some(OutputReason::Restarted);
        let off =
            |order: &SwitchOrder| ActuatorInput::Switched { order: order.order, on: order.normally_energised, why };
        let outcomes = self.newest.values().map(off).collect();
        self.waiting.retain(|waiting| !is_energised(&waiting.order));
        outcomes
    }

    /// Normally energised relays that may have dropped out with the link, and the order that energises each again.
    pub(super) fn to_reenergise(&self) -> Vec<(u8, SwitchOrder)> {
        let is_due = |(_, order): &(&u8, &SwitchOrder)| order.normally_energised && !order.on;
        self.newest.iter().filter(is_due).map(|(relay, order)| (*relay, order.clone())).collect()
    }

    /// Compares the Heartbeat's relays, as bits, with ours (a Switched may be lost). Returns outcomes of relays that went off unnoticed,
    /// and orders that correct a relay. Leaves alone relays without an order, or with one under way.
    pub(super) fn heartbeat(&mut self, on: u8) -> (Vec<ActuatorInput>, Vec<(u8, SwitchOrder)>) {
        let (mut outcomes, mut orders) = (Vec::new(), Vec::new());
        for (relay, order) in &self.newest {
            let bit = 1 << relay;
            let is_energised_at_rest = order.normally_energised && !order.on;
            let (is_on, was_on) = (on & bit != 0, self.energised & bit != 0);
            if self.waiting.iter().any(|waiting| waiting.relay == *relay) {
                continue;
            }
            if was_on && !is_on {
                outcomes.push(ActuatorInput::Switched { order: order.order, on: order.normally_energised, why: None });
            }
            if is_energised_at_rest && !is_on {
                orders.push((*relay, order.clone()));
            } else if is_on && !was_on && !is_energised_at_rest {
                orders.push((*relay, SwitchOrder { on: order.normally_energised, at_most: None, ..order.clone() }));
            }
            self.energised = self.energised & !bit | on & bit;
        }
        (outcomes, orders)
    }

    /// The board acknowledged a command. Returns a remark the first time that it limits the time on (`is_limited`).
    pub(super) fn done(&mut self, command: u32, is_limited: bool) -> Option<String> {
        let Waiting { order, relay, .. } = self.waiting.iter().find(|waiting| waiting.command == command)?;
        if order.normally_energised {
            return (is_limited && !order.on).then(|| texts::limited(*relay));
        }
        let ordered = order.at_most.filter(|_| order.on)?;
        if !is_limited {
            self.shortened.remove(relay);
            return None;
        }
        let is_news = self.shortened.insert(*relay, ordered).is_none();
        is_news.then(|| texts::shortened(*relay, ordered))
    }

    /// What is to be said of relays whose last time on the board made shorter than ordered.
    pub(super) fn shortened(&self) -> impl Iterator<Item = String> {
        self.shortened.iter().map(|(relay, ordered)| texts::shortened(*relay, *ordered))
    }
}

impl Waiting {
    fn message(&self) -> ToBoard {
        let Waiting { relay, command, on_for, expires, .. } = *self;
        ToBoard::Switch(Switch { command, relay, on_for, expires })
    }
}

#[cfg(test)]
mod tests {
    use tilth_core::id::Id;

    use super::*;

    fn order(number: u64, on: bool, normally_energised: bool) -> SwitchOrder {
        let output = Output::Board { bus: Id::new("gateway").unwrap(), channel: Id::new("relay-1").unwrap() };
        let at_most = on.then_some(Span(2_000)).filter(|_| !normally_energised);
        SwitchOrder { order: number, actuator: Id::new("pump").unwrap(), output, normally_energised, on, at_most }
    }

    fn off(order: u64, why: OutputReason) -> Option<ActuatorInput> {
        Some(ActuatorInput::Switched { order, on: false, why: Some(why) })
    }

    /// A relay of a board with a crystal, whose clock is right.
    const fn at(relay: u8) -> (Option<BoardKind>, u8) {
        (Some(BoardKind::Pico), relay)
    }

    fn on_for(message: ToBoard) -> u32 {
        let ToBoard::Switch(switch) = message else { panic!("{message:?}") };
        switch.on_for
    }

    #[test]
    fn outputs_are_relays_by_their_number() {
        let named = |name: &str| relay(&Output::Board { bus: Id::new("a").unwrap(), channel: Id::new(name).unwrap() });
        assert_eq!(["relay-0", "relay-7", "relay-8", "pump"].map(named), [Some(0), Some(7), None, None]);
    }

    #[test]
    fn an_order_is_sent_until_it_is_answered_and_tells_what_the_relay_does() {
        let mut relays = Relays::default();
        assert_eq!(on_for(relays.order(order(1, true, false), at(1), 50, 0)), 2_000);
        assert_eq!(relays.second().0.len(), 1);
        assert_eq!(relays.answered(49, None), None);
        assert_eq!(relays.answered(50, None), Some(ActuatorInput::Switched { order: 1, on: true, why: None }));
        assert!(relays.second().0.is_empty());
        let done = Switched { at: 0, relay: 1, command: 50, off: Some(OffReason::Done) };
        assert_eq!(relays.switched(&done), off(1, OutputReason::Done));
        let shortened = Switched { off: Some(OffReason::MaxOn), ..done };
        assert_eq!(relays.switched(&shortened), off(1, OutputReason::MaxOn));
        relays.order(order(2, true, false), at(1), 51, 0);
        assert_eq!(relays.answered(51, Some(Refusal::TooSoon)), off(2, OutputReason::MinOff));
    }

    /// The clock of a resonator may be 1 % slow: 1.98 s of it last 2 s.
    #[test]
    fn a_dose_is_not_larger_than_booked_on_a_board_whose_clock_is_slow() {
        let on_for = |board, span| {
            let order = SwitchOrder { at_most: Some(Span(span)), ..order(1, true, false) };
            on_for(Relays::default().order(order, (board, 1), 50, 0))
        };
        for (board, expected) in [
            (Some(BoardKind::Uno), [1_980, 2_998, 1, UNLIMITED - 1]),
            (Some(BoardKind::Mega2560), [1_980, 2_998, 1, UNLIMITED - 1]),
            (Some(BoardKind::Pico), [2_000, 3_029, 1, UNLIMITED - 1]),
        ] {
            assert_eq!([2_000, 3_029, 1, i64::MAX].map(|span| on_for(board, span)), expected, "{board:?}");
        }
        assert_eq!(super::on_for(&order(1, false, true), Some(BoardKind::Uno)), UNLIMITED, "held without an end");
    }

    #[test]
    fn a_time_on_that_the_board_makes_shorter_is_said_once_and_shown_until_it_does_not() {
        let mut relays = Relays::default();
        let mut run = |number: u64, is_limited| {
            relays.order(order(number, true, false), at(1), number as u32, 0);
            let said = relays.done(number as u32, is_limited);
            relays.answered(number as u32, None);
            (said, relays.shortened().count())
        };
        let shortened = texts::shortened(1, Span(2_000));
        assert_eq!(run(1, false), (None, 0));
        assert_eq!(run(2, true), (Some(shortened), 1));
        assert_eq!((run(3, true), run(4, false)), ((None, 1), (None, 0)));
    }

    #[test]
    fn switching_on_is_lost_without_an_answer_and_switching_off_is_repeated() {
        let mut relays = Relays::default();
        relays.order(order(1, true, false), at(1), 50, 0);
        let lost: Vec<ActuatorInput> = (0..5).flat_map(|_| relays.second().1).collect();
        assert_eq!(lost, [ActuatorInput::Lost(1)]);
        assert!(relays.second().0.is_empty());
        assert_eq!(on_for(relays.order(order(2, false, false), at(1), 51, 0)), 0);
        let lost: Vec<ActuatorInput> = (0..5).flat_map(|_| relays.second().1).collect();
        assert_eq!((lost, relays.second().0.len()), (vec![ActuatorInput::Lost(2)], 1));
    }

    /// Guards against: a pump that counts as on though it stopped, or runs on though it counts as off, since a Switched was lost.
    #[test]
    fn a_heartbeat_corrects_what_is_known_of_each_relay() {
        let mut relays = Relays::default();
        assert_eq!(relays.heartbeat(0xFF), (vec![], vec![]), "expected relays without an order to be left alone");
        relays.order(order(1, true, false), at(1), 50, 0);
        assert_eq!(relays.heartbeat(0), (vec![], vec![]), "expected an order under way to be waited for");
        relays.answered(50, None);
        assert_eq!(relays.heartbeat(0b10), (vec![], vec![]));
        assert_eq!(relays.heartbeat(0).0, [ActuatorInput::Switched { order: 1, on: false, why: None }]);
        assert_eq!(relays.heartbeat(0), (vec![], vec![]));
        let (outcomes, release) = relays.heartbeat(0b10);
        assert_eq!((outcomes, release), (vec![], vec![(1, SwitchOrder { at_most: None, ..order(1, false, false) })]));
        assert_eq!(on_for(relays.order(order(1, false, false), at(1), 51, 0)), 0);
        relays.answered(51, None);
        assert_eq!(relays.heartbeat(0), (vec![], vec![]));
    }

    #[test]
    fn a_siren_that_is_energised_at_rest_is_energised_again_after_a_restart_of_the_board() {
        let mut relays = Relays::default();
        assert_eq!(on_for(relays.order(order(1, false, true), at(1), 50, 0)), UNLIMITED);
        assert_eq!(relays.answered(50, None), Some(ActuatorInput::Switched { order: 1, on: false, why: None }));
        let why = Some(OutputReason::Restarted);
        assert_eq!(relays.restarted(), [ActuatorInput::Switched { order: 1, on: true, why }]);
        assert_eq!(relays.to_reenergise(), [(1, order(1, false, true))]);
        assert_eq!([0b01, 0b10].map(|on| relays.heartbeat(on)), [(vec![], relays.to_reenergise()), (vec![], vec![])]);
        relays.order(order(1, false, true), at(1), 52, 0);
        assert_eq!(
            (relays.heartbeat(0), relays.done(52, true)),
            ((vec![], vec![]), Some(texts::limited(1))),
            "expected an order under way to be enough"
        );
        assert_eq!(on_for(relays.order(order(2, true, true), at(1), 51, 0)), 0);
        assert!(relays.to_reenergise().is_empty());
    }
}
