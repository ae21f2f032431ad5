//! Exports of other tools in the order of time: many list one sensor after the other, or the newest line first. Their order says
//! nothing of when a reading came, as that of a recording of our own does.

use std::vec::IntoIter;

use super::{ReadingsError, Row};

/// Rows held to be sorted, some 100 MB: a year of two sensors at half a minute. A longer file is taken in its own order.
const MAX_ROWS: usize = 2_000_000;

/// Rows taken off a file before any is given on.
#[derive(Default)]
pub(super) struct Sorted {
    rows: IntoIter<Row>,
    /// Why the file broke off behind them.
    broken: Option<ReadingsError>,
}

impl Sorted {
    /// Takes rows until there are none, or too many to be held; and says what there is to say of their order.
    pub(super) fn take(mut next: impl FnMut() -> Result<Option<Row>, ReadingsError>) -> (Sorted, Option<String>) {
        let (mut rows, mut broken, mut is_whole) = (Vec::new(), None, false);
        while !is_whole && rows.len() < MAX_ROWS {
            match next() {
                Ok(Some(row)) => rows.push(row),
                end => (broken, is_whole) = (end.err(), true),
            }
        }
        let back = rows.windows(2).filter(|pair| pair[1].at_ms < pair[0].at_ms).count();
        let note = (back > 0).then(|| match is_whole {
            true => "the lines are not in the order of time: they were sorted by it".to_owned(),
            false => {
                format!("the lines are not in the order of time, and over {MAX_ROWS} are too many to be sorted here")
            }
        });
        if is_whole {
            // Rows of one instant keep their order.
            rows.sort_by_key(|row| row.at_ms);
        }
        (Sorted { rows: rows.into_iter(), broken }, note)
    }

    pub(super) fn next(&mut self) -> Result<Option<Row>, ReadingsError> {
        match self.rows.next() {
            Some(row) => Ok(Some(row)),
            None => self.broken.take().map_or(Ok(None), Err),
        }
    }
}
