//! Boards at other ports, while the agent runs and while it does not: every value stays with the sensor of its board.

use super::*;

/// Rules that fire when a value of one board reaches the sensor of the other one. A board shows 21.5 C at first, board one then less
/// than 20 C and board two more than 30 C.
const MIXED: &str = "
[rules.one-shows-two]
sensor = 'room/temp'
above = 30
[rules.two-shows-one]
sensor = 'other/temp'
below = 20
";

const LINKS: [&str; 2] = ["board-one", "board-two"];

/// A farm whose boards are known by nothing but their ports, and the boards.
fn two_boards(name: &str) -> (Farm, [HostBoard; 2]) {
    let farm = farm(name, LINKS.map(|link| (link, "")));
    farm.folder.write("etc/config.d/mixed.toml", MIXED);
    let boards = [plug_in(&farm, LINKS[0], "one"), plug_in(&farm, LINKS[1], "two")];
    (farm, boards)
}

/// A board by its memory, at a link.
fn plug_in(farm: &Farm, link: &str, memory: &str) -> HostBoard {
    let _ = fs::remove_file(path(farm, link));
    HostBoard::start(&text(farm, link), &path(farm, memory))
}

/// Makes each board show a temperature and waits until its sensor has it, and no sensor ever had another one's.
#[track_caller]
fn until_each_shows_its_own(farm: &mut Farm, [one, two]: &mut [HostBoard; 2], [of_one, of_two]: [u32; 2]) {
    one.command(&format!("value 2 {}", of_one * 1_000));
    two.command(&format!("value 2 {}", of_two * 1_000));
    until_shown(farm, "room/temp", of_one.into());
    until_shown(farm, "other/temp", of_two.into());
    assert!(!farm.log().contains("one-shows-two") && !farm.log().contains("two-shows-one"), "{}", farm.log());
}

/// The names of the two ports change places.
fn swap_links(farm: &Farm) {
    for (from, to) in [(LINKS[0], "aside"), (LINKS[1], LINKS[0]), ("aside", LINKS[1])] {
        fs::rename(path(farm, from), path(farm, to)).unwrap();
    }
}

fn ids(farm: &Farm) -> [Value; 2] {
    ["one", "two"].map(|name| bus(farm, name)["board"]["id"].clone())
}

#[test]
fn boards_that_swap_their_ports_while_the_agent_runs_keep_their_values() {
    let (mut farm, mut boards) = two_boards("board-swap");
    farm.launch();
    until_each_shows_its_own(&mut farm, &mut boards, [11, 31]);
    let before = ids(&farm);

    // The names change under open lines, which stay open.
    swap_links(&farm);
    until_each_shows_its_own(&mut farm, &mut boards, [12, 32]);
    // The lines fall silent and are opened again, each under the other's name.
    boards.iter_mut().for_each(|board| board.command("cut"));
    farm.until("the silence is said", |farm| ["one", "two"].iter().all(|name| bus(farm, name)["state"] == "down"));
    boards.iter_mut().for_each(|board| board.command("join"));
    until_each_shows_its_own(&mut farm, &mut boards, [13, 33]);
    assert!(bus(&farm, "one")["board"]["port"].as_str().unwrap().ends_with(LINKS[1]), "{}", bus(&farm, "one"));

    // Both are pulled out, and plugged in the other way round.
    drop(boards);
    let mut boards = [plug_in(&farm, LINKS[0], "one"), plug_in(&farm, LINKS[1], "two")];
    until_each_shows_its_own(&mut farm, &mut boards, [14, 34]);
    assert_eq!((ids(&farm), &bus(&farm, "one")["failures"]), (before, &0.into()));
}

#[test]
fn boards_that_swap_their_ports_while_the_agent_is_away_keep_their_values() {
    let (mut farm, mut boards) = two_boards("board-away");
    farm.launch();
    until_each_shows_its_own(&mut farm, &mut boards, [11, 31]);
    let before = ids(&farm);
    farm.stop();
    swap_links(&farm);
    farm.launch();
    until_each_shows_its_own(&mut farm, &mut boards, [12, 32]);
    assert_eq!(ids(&farm), before);
    assert!(bus(&farm, "one")["board"]["port"].as_str().unwrap().ends_with(LINKS[1]), "{}", bus(&farm, "one"));
}

#[test]
fn a_new_board_takes_the_place_of_one_that_is_gone_with_a_warning() {
    let (mut farm, [one, mut two]) = two_boards("board-replaced");
    farm.launch();
    until_shown(&mut farm, "room/temp", 21.5);
    until_up(&mut farm, "two");
    let [broken, _] = ids(&farm);
    let broken = broken.as_str().unwrap();
    // What the agent must know is on the disk, and needs no orderly end.
    farm.kill();
    drop(one);
    let mut new = plug_in(&farm, LINKS[0], "new");
    new.command("value 2 12000");
    two.command("value 2 33000");
    farm.launch();
    farm.until("the old board is looked for", |farm| {
        let reason = bus(farm, "one")["reason"].clone();
        reason.as_str().is_some_and(|reason| reason.contains(&format!("one has board {broken}, which is looked for")))
    });
    until_shown(&mut farm, "room/temp", 12.0);
    until_shown(&mut farm, "other/temp", 33.0);
    assert_eq!(bus(&farm, "one")["board"]["instead_of"], broken);
    assert!(farm.log().contains(&format!("takes the place of board {broken}")), "{}", farm.log());
    assert!(farm.shown().contains(&format!("took the place of board {broken}")), "{}", farm.shown());
    assert!(bus(&farm, "two")["board"]["instead_of"].is_null(), "{}", bus(&farm, "two"));
}
