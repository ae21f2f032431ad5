//! Receipts of the store: how a bus whose boards hold readings until they are stored learns of the commit.

use tokio::sync::watch;

/// Handed to decide behind the readings of a bus; the store's thread confirms it once all that came before it is on the disk.
#[derive(Debug, Clone)]
pub(crate) struct Receipt {
    /// Mark of the bus for the newest of those readings; marks only rise.
    mark: u64,
    /// Highest mark that is stored.
    stored: watch::Sender<u64>,
}

impl Receipt {
    /// A receipt that moves `stored` to `mark`.
    pub(crate) fn new(mark: u64, stored: &watch::Sender<u64>) -> Receipt {
        Receipt { mark, stored: stored.clone() }
    }

    /// What came before the receipt is on the disk.
    pub(crate) fn confirm(&self) {
        self.stored.send_if_modified(|stored| {
            let is_news = self.mark > *stored;
            *stored = self.mark.max(*stored);
            is_news
        });
    }
}

impl PartialEq for Receipt {
    fn eq(&self, other: &Receipt) -> bool {
        self.mark == other.mark && self.stored.same_channel(&other.stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confirmed_mark_never_goes_back() {
        let stored = watch::Sender::new(0);
        let (first, second) = (Receipt::new(5, &stored), Receipt::new(9, &stored));
        second.confirm();
        first.confirm();
        assert_eq!(*stored.borrow(), 9);
    }
}
