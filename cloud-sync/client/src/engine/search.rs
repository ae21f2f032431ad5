//! The search for what the hub cannot read: halve until one row is left.
//!
//! Before any row is blamed an empty batch asks the control question: a hub that cannot read that either cannot read this
//! agent at all, and no row is at fault.
//!
//! ```text
//! 400 to a batch --> control --400--> not the rows: back off, tell people
//!                       |
//!                     taken --> one suspect after the other --taken--> next suspect ... none left: go on as usual
//!                                        |  ^
//!                                       400 |
//!                                        v  |
//!                     many sequences: halves, one: quarantine, live values: mute them
//! ```

use tilth_protocol::Lane;

/// What may hold the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suspect {
    /// Sequences of a lane, both ends in.
    Rows(Lane, u64, u64),
    /// The live values.
    Live,
}

/// A search that is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Search {
    /// What is left to try, the next one last. At most one for each part of a batch and one for each halving.
    todo: Vec<Suspect>,
    control_taken: bool,
}

/// What a search makes of a batch that was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// Go on with the next suspect.
    GoOn,
    /// This row is it.
    Poison(Lane, u64),
    /// The live values are it.
    Live,
}

impl Search {
    /// Begins with all parts of the batch that was not read.
    pub(super) fn new(mut suspects: Vec<Suspect>) -> Search {
        suspects.reverse();
        Search { todo: suspects, control_taken: false }
    }

    /// What to try next: `None` for the control question.
    pub(super) fn next(&self) -> Option<Suspect> {
        if self.control_taken { self.todo.last().copied() } else { None }
    }

    /// Whether nothing is left to try.
    pub(super) fn is_over(&self) -> bool {
        self.todo.is_empty()
    }

    /// What was tried last was taken. `through` is how far the sequences went, for the store may give less than was wanted.
    pub(super) fn taken(&mut self, through: Option<u64>) {
        if !self.control_taken {
            self.control_taken = true;
            return;
        }
        if let (Some(Suspect::Rows(lane, _, last)), Some(through)) = (self.todo.pop(), through)
            && through < last
        {
            self.todo.push(Suspect::Rows(lane, through + 1, last));
        }
    }

    /// What was tried last was not read. `through` as in [`Search::taken`].
    pub(super) fn blame(&mut self, through: Option<u64>) -> Finding {
        match self.todo.pop() {
            None => Finding::GoOn,
            Some(Suspect::Live) => Finding::Live,
            Some(Suspect::Rows(lane, first, last)) => {
                let tried = through.unwrap_or(last);
                if tried < last {
                    self.todo.push(Suspect::Rows(lane, tried + 1, last));
                }
                if tried == first {
                    return Finding::Poison(lane, first);
                }
                let middle = first + (tried - first) / 2;
                self.todo.push(Suspect::Rows(lane, middle + 1, tried));
                self.todo.push(Suspect::Rows(lane, first, middle));
                Finding::GoOn
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn exactly_the_poison_is_found_in_few_tries(
            poison in prop::collection::btree_set(1_u64..1000, 0..4),
            live_is_bad in any::<bool>(),
            short_by in 0_u64..3,
        ) {
            let mut search = Search::new(vec![Suspect::Rows(Lane::Windows, 1, 1000), Suspect::Live]);
            prop_assert_eq!(search.next(), None);
            search.taken(None);
            let (mut found, mut live_found, mut tries, mut covered) = (Vec::new(), false, 0, Vec::new());
            while let Some(suspect) = search.next() {
                tries += 1;
                match suspect {
                    Suspect::Live if live_is_bad => live_found |= search.blame(None) == Finding::Live,
                    Suspect::Live => search.taken(None),
                    Suspect::Rows(_, first, last) => {
                        // A store that gives a little less than was wanted.
                        let through = if last - first > 10 { last - short_by } else { last };
                        if poison.range(first..=through).next().is_none() {
                            covered.extend(first..=through);
                            search.taken(Some(through));
                        } else if let Finding::Poison(_, seq) = search.blame(Some(through)) {
                            found.push(seq);
                            covered.push(seq);
                        }
                    }
                }
            }
            prop_assert!(search.is_over());
            prop_assert_eq!(found, poison.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(live_found, live_is_bad);
            prop_assert_eq!(covered, (1..=1000).collect::<Vec<_>>());
            prop_assert!(tries <= 2 + 1 + poison.len() * 34, "{} tries", tries);
        }
    }
}
