//! The table in a file: its header, what stands above and between, and its first lines of data.

use std::collections::BTreeMap;

use tilth_core::unit::Unit;

use super::headings;
use super::sample::{ColumnContent, SampleLine, TimeKind, filled, most_frequent};
use super::sensors::{ReadOptions, label};
use super::time_column::is_spreadsheet_day;
use crate::cli::Map;

/// The lines of data below a header.
pub(super) struct Table {
    pub(super) header: u64,
    pub(super) preamble: u64,
    pub(super) headings: Vec<String>,
    pub(super) data: Vec<SampleLine>,
    pub(super) is_shifted: bool,
}

impl Table {
    pub(super) fn find(lines: &[SampleLine], first: &[u8], is_ours: bool, options: &ReadOptions) -> Option<Table> {
        let found = if is_ours { Some(0) } else { header(lines, first, options) };
        let Some(header) = found else { return without_header(lines, options) };
        let data_from = if is_ours {
            let has_units =
                headings::name_and_value(&lines[0].cells).is_none() && lines.get(1).is_some_and(is_units_alone);
            1 + usize::from(has_units)
        } else {
            data_start(lines).filter(|start| *start > header).unwrap_or(header + 1)
        };
        let data: Vec<SampleLine> = lines[data_from..].iter().filter(|line| !line.is_comment).cloned().collect();
        let mut headings = lines[header].cells.clone();
        headings.truncate(filled(&headings));
        let units = lines[header + 1..data_from].iter().find(|line| is_units(&line.cells));
        let width = most_frequent(data.iter().map(|line| filled(&line.cells))).unwrap_or(headings.len());
        let counts = |line: &SampleLine| line.cells.first().is_some_and(|cell| cell.parse::<u64>().is_ok());
        let is_shifted = !is_ours && width == headings.len() + 1 && data.iter().all(counts);
        if let Some(above) = header.checked_sub(1).filter(|_| !is_ours).map(|above| &lines[above]) {
            add_groups(&mut headings, above);
        }
        if is_shifted {
            headings.insert(0, String::new());
        }
        if let Some(units) = units {
            headings.iter_mut().zip(&units.cells).for_each(|(heading, unit)| add_unit(heading, unit));
        }
        let preamble = data_from.checked_sub(1).and_then(|last| lines.get(last)).map_or(0, |line| line.number);
        let preamble = preamble.max(lines[header].number);
        (headings.iter().filter(|heading| !heading.is_empty()).count() > 1 || is_ours).then_some(Table {
            header: lines[header].number,
            preamble,
            headings,
            data,
            is_shifted,
        })
    }

    pub(super) fn columns(&self) -> Vec<ColumnContent> {
        (0..self.headings.len()).map(|index| ColumnContent::of(self.cells(index))).collect()
    }

    pub(super) fn cells(&self, index: usize) -> impl Iterator<Item = &str> {
        self.data.iter().filter_map(move |line| line.cells.get(index)).map(String::as_str)
    }
}

/// The table of a file whose first line is data: its columns are called by their numbers, or by what they hold where one of two
/// texts and a number names sensors.
fn without_header(lines: &[SampleLine], options: &ReadOptions) -> Option<Table> {
    let (start, width) = (data_start(lines)?, filled(&lines.first()?.cells));
    if start > 0 || width < 2 {
        return None;
    }
    let data = lines.to_vec();
    let is_known = |cell: &str| {
        options.sensors.iter().any(|known| *known.id == *cell)
            || options.args.map.iter().any(|map| map.name.trim() == cell)
    };
    let names = |index: usize| data.iter().filter_map(|line| line.cells.get(index)).any(|cell| is_known(cell));
    let name = (0..width).find(|index| names(*index));
    let is_numbered = |map: &Map| map.name.trim().to_lowercase().starts_with("column ");
    if name.is_none() && !options.args.map.iter().any(is_numbered) {
        return None;
    }
    let heading = |index: usize| match name {
        Some(name) if index == name => "sensor".to_owned(),
        Some(_) if width == 3 && TimeKind::of(&lines[0].cells[index]).is_none() => "value".to_owned(),
        _ => format!("column {}", index + 1),
    };
    let headings = (0..width).map(heading).collect();
    Some(Table { header: lines[0].number, preamble: 0, headings, data, is_shifted: false })
}

/// The names of groups in the line above, where headings come again without them: `Greenhouse 1` above `Temp` and `RH`.
fn add_groups(headings: &mut [String], above: &SampleLine) {
    let is_again =
        |heading: &String| !heading.is_empty() && headings.iter().filter(|other| *other == heading).count() > 1;
    if above.is_comment || filled(&above.cells) < 2 || !headings.iter().any(is_again) {
        return;
    }
    let mut group = "";
    let mut grouped = headings.to_vec();
    for (heading, cell) in grouped.iter_mut().zip(&above.cells) {
        group = if cell.is_empty() { group } else { cell };
        if !group.is_empty() && !heading.is_empty() && !headings::is_time_name(heading) {
            *heading = format!("{group} {heading}");
        }
    }
    headings.clone_from_slice(&grouped);
}

/// The unit of the line below the header, where the heading says none.
fn add_unit(heading: &mut String, unit: &str) {
    let unit = &unit.trim_matches(['(', ')', '[', ']']).replace('_', " ");
    let has_one = label(heading).is_some_and(|label| label.unit().is_some());
    if !has_one && !heading.is_empty() && !headings::is_time_name(heading) && Unit::of(unit).is_some() {
        *heading = format!("{heading} ({unit})");
    }
}

/// Whether a line has units and words about them in every cell: less is a bad line of a recording of our own.
fn is_units_alone(line: &SampleLine) -> bool {
    let says = |cell: &String| cell.is_empty() || is_units(std::slice::from_ref(cell));
    line.cells.iter().all(says) && line.cells.first().is_some_and(|cell| !cell.is_empty())
}

/// Whether a line below the header says units and ways of averaging.
fn is_units(cells: &[String]) -> bool {
    const WORDS: [&str; 13] =
        ["avg", "smp", "min", "max", "tot", "std", "ts", "rn", "sample", "wvc", "utc", "gem", "mean"];
    let says = |cell: &&String| {
        let bare = &cell.trim_matches(['(', ')', '[', ']']).replace('_', " ");
        // How its times are written: `[dd-mm-yyyy]`, `[uu:mm]`.
        let is_format = bare.len() >= 4 && bare.chars().all(|c| "dmyjhust-/.: ".contains(c.to_ascii_lowercase()));
        Unit::of(bare).is_some() || WORDS.iter().any(|word| word.eq_ignore_ascii_case(bare)) || is_format
    };
    let filled = || cells.iter().filter(|cell| !cell.is_empty());
    filled().count() > 0 && filled().filter(says).count() * 2 > filled().count()
}

/// The line of the header: the last one above the data that has as many cells and is not one of units.
fn header(lines: &[SampleLine], first: &[u8], options: &ReadOptions) -> Option<usize> {
    let has_wanted = |line: &SampleLine| {
        let has = |name: &String| line.cells.iter().any(|cell| cell.eq_ignore_ascii_case(name.trim()));
        !options.args.time_column.is_empty() && options.args.time_column.iter().all(has)
    };
    if let Some(header) = lines.iter().position(has_wanted) {
        return Some(header);
    }
    let start = data_start(lines)?;
    if first.starts_with(b"\"TOA5\"") || first.starts_with(b"TOA5") {
        return (start > 1).then_some(1);
    }
    let width = filled(&lines[start].cells);
    let is_text = |line: &SampleLine| {
        line.cells.iter().filter(|cell| TimeKind::of(cell).is_none() && cell.parse::<f64>().is_err()).count()
    };
    let is_header = |index: &usize| {
        let line = &lines[*index];
        let cells = filled(&line.cells);
        (cells + 1 >= width.max(2) || line.cells.len() >= width.max(2))
            && cells > 0
            && 2 * is_text(line) > line.cells.len()
    };
    let candidates: Vec<usize> = (0..start).filter(is_header).collect();
    let plain = candidates.iter().rev().find(|index| !lines[**index].is_comment && !is_units(&lines[**index].cells));
    plain.or_else(|| candidates.iter().rev().find(|index| !is_units(&lines[**index].cells))).copied()
}

/// The first line of data: where the column that holds the most times first holds one.
fn data_start(lines: &[SampleLine]) -> Option<usize> {
    let is_time = |cell: &String| TimeKind::of(cell).is_some_and(|look| look != TimeKind::TimeOfDay);
    start_of(lines, is_time).or_else(|| start_of(lines, |cell| is_spreadsheet_day(&cell.replace(',', "."))))
}

fn start_of(lines: &[SampleLine], is_time: impl Fn(&String) -> bool) -> Option<usize> {
    let has = |line: &SampleLine, index: usize| line.cells.get(index).is_some_and(&is_time);
    let mut hits: BTreeMap<usize, usize> = BTreeMap::new();
    for line in lines.iter().filter(|line| !line.is_comment && line.cells.len() > 1) {
        (0..line.cells.len()).filter(|index| has(line, *index)).for_each(|index| *hits.entry(index).or_insert(0) += 1);
    }
    // The first of equals.
    let (index, _) = hits.into_iter().rev().max_by_key(|(_, count)| *count)?;
    let hit = |line: &SampleLine| !line.is_comment && has(line, index);
    let width = most_frequent(lines.iter().filter(|line| hit(line)).map(|line| filled(&line.cells)))?;
    lines.iter().position(|line| hit(line) && filled(&line.cells) + 1 >= width.min(3))
}
