use super::*;

fn network(last: u8) -> Option<Network> {
    Some(Network::of([192, 0, 2, last].into()))
}

/// For each connection whether it was told to end.
fn gone(slots: &[&ConnectionSlot]) -> Vec<bool> {
    let is_told = |slot: &&ConnectionSlot| {
        let mut told = std::pin::pin!(slot.evicted.notified());
        told.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    };
    slots.iter().map(is_told).collect()
}

#[test]
fn the_oldest_without_a_key_makes_room_for_its_network() {
    let slots = ConnectionSlots::new(100, 3);
    let [known, busy, waiting] = [(); 3].map(|()| slots.take(network(1)).unwrap());
    known.progress.set_known();
    busy.progress.asked();
    let other = slots.take(network(2)).unwrap();
    let next = slots.take(network(1)).unwrap();
    assert_eq!(gone(&[&known, &busy, &waiting, &other, &next]), [false, false, true, false, false]);
    next.progress.asked();
    let after = slots.take(network(1)).unwrap();
    assert_eq!(gone(&[&known, &busy, &other, &next, &after]), [true, false, false, false, false]);
    after.progress.asked();
    assert!(slots.take(network(1)).is_none(), "all are busy");
    drop(busy);
    assert!(slots.take(network(1)).is_some());
}

#[test]
fn whoever_has_most_makes_room_for_others() {
    let slots = ConnectionSlots::new(5, 4);
    let many = [(); 4].map(|()| slots.take(network(1)).unwrap());
    let one = slots.take(network(2)).unwrap();
    let next = slots.take(network(3)).unwrap();
    let many: Vec<&ConnectionSlot> = many.iter().collect();
    assert_eq!(gone(&many), [true, false, false, false]);
    assert_eq!(gone(&[&one, &next]), [false, false]);
}

#[test]
fn a_thousand_addresses_with_one_connection_each_push_out_nobody_with_a_key() {
    let slots = ConnectionSlots::new(4, 4);
    let known = slots.take(network(9)).unwrap();
    known.progress.set_known();
    let strangers: Vec<ConnectionSlot> = (1..=8).map(|last| slots.take(network(last)).unwrap()).collect();
    assert_eq!(gone(&[&known]), [false]);
    assert_eq!(gone(&strangers.iter().collect::<Vec<_>>()), [true, true, true, true, true, false, false, false]);
}

#[test]
fn a_proxy_has_as_many_as_there_are() {
    let slots = ConnectionSlots::new(5, 1);
    let of_proxy = [(); 5].map(|()| slots.take(None).unwrap());
    let of_proxy: Vec<&ConnectionSlot> = of_proxy.iter().collect();
    assert_eq!(gone(&of_proxy), [false; 5]);
    let one = slots.take(network(1)).unwrap();
    assert_eq!(gone(&of_proxy), [true, false, false, false, false]);
    assert_eq!(gone(&[&one]), [false]);
}
