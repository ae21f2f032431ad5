//! Encodes rows of the store as the bytes of a batch, checked before they leave.

use serde::Serialize;
use tilth_protocol::{Batch, BatchError, Epoch, Extent, Lane, Lanes, Sequenced, Stream, VERSION};

use super::messages::{Rows, RowsRequest, Setup};
use super::meter::TrafficKind;

/// One lane's part of a batch, without its rows: the store keeps those.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) lane: Lane,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) rows: usize,
    /// Sequence of the first row, if the part has one.
    pub(super) first_row: Option<u64>,
}

/// A batch ready to go.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct EncodedBatch {
    pub(super) body: Vec<u8>,
    pub(super) parts: Vec<Part>,
    pub(super) live: usize,
    /// What the bytes are for, the largest part last.
    pub(super) shares: Vec<(TrafficKind, u64)>,
}

/// Why the rows that the store gave are not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EncodeError {
    /// A row is broken, or a sequence is neither row nor gap.
    Row(Lane, u64, String),
    /// The store did not give what was wanted.
    Store(String),
}

/// Builds the batch. `windows_traffic` says whether windows count as new ones or as backlog.
pub(super) fn encode(
    setup: &Setup,
    (stream, epoch): (Stream, Option<Epoch>),
    asked: &RowsRequest,
    rows: Rows,
    windows_traffic: TrafficKind,
) -> Result<EncodedBatch, EncodeError> {
    let parts = parts(&rows.lanes);
    check_wanted(asked, &parts)?;
    // JSON cannot state a value that is no number.
    let live: Vec<_> = rows.live.into_iter().filter(|live| live.value.is_finite()).collect();
    let (client, device) = (setup.tenant.clone(), setup.device.clone());
    let batch = Batch { version: VERSION, client, device, stream, epoch, lanes: rows.lanes, live };
    batch.check().map_err(|error| match error {
        BatchError::NotAccounted { lane, seq } => EncodeError::Row(lane, seq, error.to_string()),
        BatchError::Figures { seq, .. } => EncodeError::Row(Lane::Windows, seq, error.to_string()),
        BatchError::Version(_) | BatchError::Range { .. } => EncodeError::Store(error.to_string()),
    })?;
    let body = serde_json::to_vec(&batch).map_err(|error| EncodeError::Store(error.to_string()))?;
    let shares = shares(&batch, body.len() as u64, windows_traffic);
    Ok(EncodedBatch { body, parts, live: batch.live.len(), shares })
}

/// A batch without rows: a heartbeat, a probe, or the control of a search.
pub(super) fn empty(setup: &Setup, names: (Stream, Option<Epoch>)) -> EncodedBatch {
    let asked = RowsRequest { id: 0, lanes: Vec::new(), live: false };
    let rows = Rows { id: 0, stream: names.0, lanes: Lanes::default(), live: Vec::new() };
    encode(setup, names, &asked, rows, TrafficKind::Windows).expect("an empty batch has nothing that could be wrong")
}

fn parts(lanes: &Lanes) -> Vec<Part> {
    fn part<R: Sequenced>(lane: Lane, extent: Option<&Extent<R>>) -> Option<Part> {
        let Extent { first, last, rows, .. } = extent?;
        Some(Part { lane, first: *first, last: *last, rows: rows.len(), first_row: rows.first().map(Sequenced::seq) })
    }
    let parts = [
        part(Lane::Events, lanes.events.as_ref()),
        part(Lane::Windows, lanes.windows.as_ref()),
        part(Lane::Diagnostics, lanes.diagnostics.as_ref()),
    ];
    parts.into_iter().flatten().collect()
}

fn check_wanted(asked: &RowsRequest, parts: &[Part]) -> Result<(), EncodeError> {
    for wanted in &asked.lanes {
        let fits = |part: &&Part| part.lane == wanted.lane && part.first == wanted.first && part.last <= wanted.last;
        if !parts.iter().any(|part| fits(&part)) {
            let (lane, first, last) = (wanted.lane, wanted.first, wanted.last);
            return Err(EncodeError::Store(format!(
                "the store gave no part of {lane} that begins at {first} and ends by {last}"
            )));
        }
    }
    if parts.len() > asked.lanes.len() {
        return Err(EncodeError::Store("the store gave lanes that were not wanted".to_owned()));
    }
    Ok(())
}

fn shares(batch: &Batch, whole: u64, windows_traffic: TrafficKind) -> Vec<(TrafficKind, u64)> {
    let mut small = vec![
        (TrafficKind::Events, batch.lanes.events.as_ref().map_or(0, size)),
        (TrafficKind::Live, if batch.live.is_empty() { 0 } else { size(&batch.live) }),
        (TrafficKind::Heartbeat, batch.lanes.diagnostics.as_ref().map_or(0, size)),
    ];
    if batch.lanes.windows.is_some() {
        // By far the largest where there are any: what is left of the whole, rather than measured by itself.
        let rest = whole.saturating_sub(small.iter().map(|&(_, size)| size).sum());
        small.push((windows_traffic, rest));
    }
    small.retain(|&(_, size)| size > 0);
    small.sort_by_key(|&(_, size)| size);
    small
}

/// The size of a value as JSON. What cannot be written was found by writing the whole batch.
fn size(value: &impl Serialize) -> u64 {
    serde_json::to_vec(value).map_or(0, |json| json.len() as u64)
}
