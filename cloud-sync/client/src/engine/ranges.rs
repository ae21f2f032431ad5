//! A set of sequences as ranges: what the hub holds above its prefix.

/// The most ranges that are remembered. Each outage with a newer hour behind it makes one; beyond this the second lowest is forgotten,
/// which costs a second sending and loses nothing. The lowest may be what is confirmed next.
pub(super) const MAX_RANGES: usize = 64;

/// Disjoint, sorted, never touching; both ends are in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds `first..=last`, merging with what it overlaps or touches.
    pub(super) fn insert(&mut self, first: u64, last: u64) {
        debug_assert!(first <= last, "a range from {first} to {last} is empty");
        let (mut low, mut high) = (first, last);
        self.0.retain(|&(begin, end)| {
            let apart = end.saturating_add(1) < first || last.saturating_add(1) < begin;
            if !apart {
                low = low.min(begin);
                high = high.max(end);
            }
            apart
        });
        let place = self.0.partition_point(|&(begin, _)| begin < low);
        self.0.insert(place, (low, high));
        if self.0.len() > MAX_RANGES {
            self.0.remove(1);
        }
    }

    /// Takes `first..=last` out.
    pub(super) fn remove(&mut self, first: u64, last: u64) {
        let before = std::mem::take(&mut self.0);
        for (begin, end) in before {
            if begin < first {
                self.0.push((begin, end.min(first - 1)));
            }
            if end > last {
                self.0.push((begin.max(last + 1), end));
            }
        }
    }

    /// The range that holds `seq`, if one does.
    pub(super) fn around(&self, seq: u64) -> Option<(u64, u64)> {
        self.0.iter().copied().find(|&(begin, end)| begin <= seq && seq <= end)
    }

    /// The lowest run of sequences in `from..=to` that is not in the set.
    pub(super) fn lowest_missing(&self, from: u64, to: u64) -> Option<(u64, u64)> {
        let mut next = from;
        for &(begin, end) in self.0.iter().filter(|&&(_, end)| end >= from) {
            if begin > next {
                break;
            }
            next = end + 1;
        }
        let until = self.0.iter().map(|&(begin, _)| begin).find(|&begin| begin > next).map_or(to, |begin| begin - 1);
        (next <= to).then(|| (next, until.min(to)))
    }

    /// The highest run of sequences in `from..=to` that is not in the set.
    pub(super) fn highest_missing(&self, from: u64, to: u64) -> Option<(u64, u64)> {
        let mut last = to;
        for &(begin, end) in self.0.iter().rev().filter(|&&(begin, _)| begin <= to) {
            if end < last {
                break;
            }
            last = begin - 1;
        }
        let since = self.0.iter().rev().map(|&(_, end)| end).find(|&end| end < last).map_or(from, |end| end + 1);
        (from <= last).then(|| (since.max(from), last))
    }

    /// How many sequences of `from..=to` are in the set.
    pub(super) fn count(&self, from: u64, to: u64) -> u64 {
        let inside = |&(begin, end): &(u64, u64)| (end.min(to) + 1).saturating_sub(begin.max(from));
        self.0.iter().map(inside).sum()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    #[cfg(test)]
    /// How many ranges there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests;
