use super::ConfigOrigin::{Bundle, Files, Nothing};
use super::FileSet::{InFolder, LastGood};
use super::*;

const GOOD: Candidate = Candidate { files: true, bundle: BundleFit::None, enrolled: false, is_new: false };
const BAD: Candidate = Candidate { files: false, ..GOOD };

const fn hub(candidate: Candidate, bundle: BundleFit) -> Candidate {
    Candidate { bundle, enrolled: true, ..candidate }
}

#[test]
fn a_start_watches_by_the_best_that_there_is() {
    let new = Candidate { is_new: true, ..hub(BAD, BundleFit::None) };
    let (usable, incompatible) = (BundleFit::Usable, BundleFit::Incompatible);
    let unavailable = BundleFit::Unavailable;
    for (current, last_good, expected) in [
        // No hub.
        (GOOD, None, Choice::Run(Files, InFolder)),
        (GOOD, Some(GOOD), Choice::Run(Files, InFolder)),
        (BAD, None, Choice::Reject),
        (BAD, Some(BAD), Choice::Reject),
        (BAD, Some(GOOD), Choice::Run(Files, LastGood)),
        // A usable bundle wins over any files, good or bad.
        (hub(GOOD, usable), Some(GOOD), Choice::Run(Bundle, InFolder)),
        (hub(BAD, usable), None, Choice::Run(Bundle, InFolder)),
        // A bundle that no longer fits agent.toml, or that a broken agent.toml leads nowhere.
        (hub(GOOD, incompatible), Some(hub(BAD, usable)), Choice::Run(Bundle, LastGood)),
        (hub(GOOD, incompatible), Some(hub(GOOD, incompatible)), Choice::Run(Files, InFolder)),
        (hub(GOOD, incompatible), None, Choice::Run(Files, InFolder)),
        (BAD, Some(hub(BAD, usable)), Choice::Run(Bundle, LastGood)),
        // A bundle that is unavailable.
        (hub(GOOD, unavailable), Some(hub(GOOD, unavailable)), Choice::Run(Files, InFolder)),
        (hub(BAD, unavailable), Some(hub(GOOD, unavailable)), Choice::Run(Files, LastGood)),
        (hub(BAD, unavailable), Some(hub(BAD, unavailable)), Choice::Run(Nothing, InFolder)),
        (hub(BAD, unavailable), None, Choice::Run(Nothing, InFolder)),
        (BAD, Some(hub(BAD, unavailable)), Choice::Run(Nothing, LastGood)),
        // Before the hub sent anything.
        (new, None, Choice::Run(Nothing, InFolder)),
        (hub(BAD, BundleFit::None), None, Choice::Reject),
        (BAD, Some(new), Choice::Run(Nothing, LastGood)),
    ] {
        assert_eq!(choose(current, last_good), expected, "{current:?}, last good {last_good:?}");
    }
}
