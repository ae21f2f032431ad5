//! The search for what the hub cannot read: halve until one row is left.
//!
//! Before any row is blamed an empty batch is sent as control, as in an experiment: a hub that cannot read that either cannot
//! read this agent at all, and no row is at fault.
//!
//! ```text
//! 400 to a batch --> control --400--> not the rows: back off, tell people
//!                       |
//!                    accepted --> one suspect after the other --accepted--> next suspect ... none left: go on as usual
//!                                          |  ^
//!                                         400 |
//!                                          v  |
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
    control_accepted: bool,
}

/// What a search makes of a batch that was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    /// Go on with the next suspect.
    GoOn,
    /// One row is at fault: its lane and sequence.
    Row(Lane, u64),
    /// The live values are at fault.
    Live,
}

impl Search {
    /// Begins with all parts of the batch that was not read.
    pub(super) fn new(mut suspects: Vec<Suspect>) -> Search {
        suspects.reverse();
        Search { todo: suspects, control_accepted: false }
    }

    /// What to try next: `None` for the control.
    pub(super) fn next(&self) -> Option<Suspect> {
        if self.control_accepted { self.todo.last().copied() } else { None }
    }

    /// Whether nothing is left to try.
    pub(super) fn is_over(&self) -> bool {
        self.todo.is_empty()
    }

    /// What was tried last was accepted. `through` is how far the sequences went, for the store may give less than was wanted.
    pub(super) fn accepted(&mut self, through: Option<u64>) {
        if !self.control_accepted {
            self.control_accepted = true;
            return;
        }
        if let (Some(Suspect::Rows(lane, _, last)), Some(through)) = (self.todo.pop(), through)
            && through < last
        {
            self.todo.push(Suspect::Rows(lane, through + 1, last));
        }
    }

    /// What was tried last was not read. `through` as in [`Search::accepted`].
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
                    return Finding::Row(lane, first);
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
mod tests;
