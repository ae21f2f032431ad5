//! Which speed is found, and what of a draft is left out.

use tilth_core::id::Id;

use super::*;

/// What a trial heard of these bytes.
fn heard(baud: u32, bytes: &[u8]) -> Heard {
    let chunks: Vec<Chunk> =
        (!bytes.is_empty()).then(|| Chunk { at: Duration::ZERO, bytes: bytes.to_vec() }).into_iter().collect();
    Heard { endpoint: serial("/dev/ttyUSB0", baud), survey: Survey::of(&chunks, None), chunks, is_board: false }
}

/// The speed that is found where each one makes this of what comes, and how many were tried.
fn found(hear: impl Fn(u32) -> anyhow::Result<&'static [u8]>) -> (Option<u32>, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut tried = 0;
    let best = runtime.block_on(best_speed(async |baud| {
        tried += 1;
        hear(baud).map(|bytes| heard(baud, bytes))
    }));
    (best.ok().and_then(|heard| baud(&heard.endpoint)), tried)
}

/// Guards against: a sketch that prints too seldom to be found, and a search that ends because a port refuses a speed.
#[test]
fn the_speed_is_the_one_that_makes_text_whatever_a_port_refuses() {
    let noise: &[u8] = b"\x80\xf8\n\x00\xfe\n\x80\x80\n";
    let slow = |baud| Ok(if baud == 19_200 { &b"pH: 6.1\n"[..] } else { noise });
    assert_eq!(found(slow), (Some(19_200), 5));
    let refused = |baud| if baud == 115_200 { Err(anyhow::anyhow!("refused")) } else { slow(baud) };
    assert_eq!(found(refused), (Some(19_200), 5));
    let broken = |baud| match baud {
        4800 => Ok(&b"pH: 6.1\npH: 6.2\npH: 6.3\nx\xff\n"[..]),
        230_400 => Err(anyhow::anyhow!("refused")),
        _ => Ok(noise),
    };
    assert_eq!(found(broken), (Some(4800), 7));
    assert_eq!(found(|_| Ok(b"")), (Some(115_200), 1), "expected silence at one speed to be silence at all");
    assert_eq!(found(|_| Err(anyhow::anyhow!("no such port"))), (None, 7));
}

/// Guards against: a whole line of good names that is lost because one of them is odd.
#[test]
fn a_label_that_no_input_can_name_is_left_out_and_the_others_are_not() {
    let lines = "half\n".to_owned() + &"{\"ready?\":5,\"ph\":6.1,\"a|b\":2}\n".repeat(3);
    let survey = heard(9600, lines.as_bytes()).survey;
    let (bus, zone) = (Id::new("gateway").unwrap(), Id::new("room").unwrap());
    let draft = Draft::of_lines(bus, &zone, "/dev/ttyUSB0".to_owned(), Some(9600), Vec::new(), &survey);
    assert_eq!(draft.sensors.len(), 3);
    let inputs: Vec<String> = accepted(draft).unwrap().sensors.into_iter().map(|sensor| sensor.input).collect();
    assert_eq!(inputs, ["line:gateway/ph"]);
}

#[test]
fn a_line_of_bare_numbers_has_as_many_columns_as_it_has_cells() {
    for (line, expected) in [
        ("1,2,,4", 4),
        ("1,2,3,", 3),
        ("21.5 55  612", 3),
        ("1.5;2;3", 3),
        ("0+21.5-3.25", 3),
        ("1\t2\t\t3", 3),
        ("7", 1),
    ] {
        assert_eq!(columns(line).len(), expected, "{line:?}");
    }
    let long = heard(9600, (["1234567"; 20].join(",") + "\n").repeat(4).as_bytes());
    assert_eq!(long.lines().last().map(|line| columns(line).len()), Some(20));
}
