//! Settings that changed files no longer make, whether or not another file or the shipped base still sets another value there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::diagnostic::Diagnostics;
use crate::document::{Document, Effective};
use crate::files::Files;
use crate::path;
use crate::source::{Layer, Sources};
use crate::tree::{Content, Node, Table};

/// What some files say.
struct Parsed {
    /// What each says by itself, by its name.
    files: BTreeMap<String, Table>,
    /// All of them over the shipped base; none where it is not they that are in force.
    effective: Option<Table>,
}

impl Files {
    /// Paths of settings that the files before made and these do not: keys that were taken out of a file, or whose file is gone, unless their
    /// effective value is still the same, and lists that got shorter.
    #[must_use]
    pub fn removed_since(&self, before: &Files) -> Vec<String> {
        let (before, now) = (Parsed::of(before), Parsed::of(self));
        let mut gone = BTreeSet::new();
        for (file, said) in &before.files {
            let mut keys = Vec::new();
            let says = now.files.get(file);
            find_gone(said, says, &mut keys, &mut |keys| {
                if file == SITE {
                    gone.insert(format!("{SITE}: {}", shortest(keys, says)));
                } else if let (Some(was), Some(is)) = (&before.effective, &now.effective)
                    && value(was, keys) != value(is, keys)
                {
                    gone.insert(shortest(keys, Some(is)));
                }
            });
        }
        if let (Some(was), Some(is)) = (&before.effective, &now.effective) {
            find_shorter(was, is, "", &mut gone);
        }
        gone.into_iter().collect()
    }
}

/// The file that is merged with no other.
const SITE: &str = "agent.toml";

impl Parsed {
    fn of(files: &Files) -> Parsed {
        let (mut sources, log) = (Sources::default(), Diagnostics::default());
        let site = files.site().map(|site| (SITE.to_owned(), site.parse(&mut sources, &log).1));
        let mut read: BTreeMap<String, Table> = site.into_iter().collect();
        let mut layers = Vec::new();
        for document in files.documents().layers {
            let Document { file, layer, .. } = &document;
            let name = layer.filter(|layer| *layer != Layer::Base).map(|_| file.clone());
            let table = document.parse(&mut sources, &log).1;
            layers.push(table.clone());
            name.into_iter().for_each(|name| drop(read.insert(name, table.clone())));
        }
        Parsed { files: read, effective: files.is_merged().then(|| Effective::merge(layers).merged) }
    }
}

/// Calls for each value of one table that another has not. `keys` is where the tables are.
fn find_gone<'a>(said: &'a Table, says: Option<&Table>, keys: &mut Vec<&'a str>, gone: &mut impl FnMut(&[&'a str])) {
    for (key, entry) in said {
        keys.push(key);
        let now = says.and_then(|says| says.get(key)).map(|entry| &entry.node);
        match (entry.node.as_table(), now) {
            (Some(table), now) => find_gone(table, now.and_then(Node::as_table), keys, gone),
            (None, None) => gone(keys),
            (None, Some(_)) => {}
        }
        keys.pop();
    }
}

/// The path of the first of these keys that a table lacks, else of the last.
fn shortest(keys: &[&str], table: Option<&Table>) -> String {
    let has = |count: &usize| table.is_some_and(|table| node(table, &keys[..*count]).is_some());
    let count = (1..keys.len()).find(|count| !has(count)).unwrap_or(keys.len());
    keys[..count].iter().fold(String::new(), |path, key| path::join(&path, key))
}

fn node<'a>(table: &'a Table, keys: &[&str]) -> Option<&'a Node> {
    let (first, rest) = keys.split_first()?;
    table.get(*first)?.node.get(rest.iter().copied())
}

/// Wherever it is written.
fn value(table: &Table, keys: &[&str]) -> Option<Json> {
    node(table, keys).map(Node::to_json)
}

fn find_shorter(was: &Table, is: &Table, at: &str, gone: &mut BTreeSet<String>) {
    for (key, before) in was {
        let Some(now) = is.get(key) else { continue };
        match (&before.node.content, &now.node.content) {
            (Content::Table(before), Content::Table(now)) => find_shorter(before, now, &path::join(at, key), gone),
            (Content::Array(before), Content::Array(now)) if now.len() < before.len() => {
                gone.insert(path::join(at, key));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Documents, Purpose, load_documents};

    const FARM: &str = "
        [agent]
        timezone = 'Europe/Amsterdam'
        [schedules.day]
        from = '05:00'
        [sensors.'a/ph']
        quantity = 'ph'
        input = 'line:gateway/ph'
        [sensors.'b/ph']
        quantity = 'ph'
        input = 'line:gateway/ph2'
        calibration = { offset = 0.2 }
        [rules.ph-high]
        above = 6.6
        clear = 6.5
        during = 'day'
        [rules.ph-low]
        below = 5.0
        [zones.b.rules.ph-low]
        enabled = false
        ";

    /// Overrides what the base or another file says.
    const LIMITS: &str = "
        [rules.ph-high]
        above = 6.0
        clear = 5.9
        [rules.temperature-high]
        above = 20
        clear = 19
        for = '0s'
        [sensors.'b/ph']
        calibration.offset = 0.3
        max_rate = 9
        [escalation.default]
        warning.wait = '1m'
        warning.channels = ['log', 'phone']
        [notifications.phone]
        kind = 'ntfy'
        url = 'https://ntfy.example'
        topic = 'farm-8c1d'
        [zones.b.rules.ph-high]
        above = 6.1
        ";

    const SITE_TEXT: &str = "
        [device]
        id = 'pi-1'
        [bus.gateway]
        kind = 'line'
        port = '/dev/ttyUSB0'
        baud = 9600
        ";

    fn files(named: &[(&str, &str)]) -> Files {
        let mut documents = crate::base();
        for (name, text) in named.iter().filter(|(name, _)| *name != SITE) {
            documents.layers.push(Document::toml(Layer::ConfigD, &format!("config.d/{name}"), text));
        }
        let site = named.iter().find(|(name, _)| *name == SITE).map(|(_, text)| Document::site(text));
        Files::of(&load_documents(Documents { site, ..documents }, Purpose::Run))
    }

    #[track_caller]
    fn check(now: &[(&str, &str)], expected: &[&str]) {
        let before = files(&[(SITE, SITE_TEXT), ("10-farm.toml", FARM), ("20-limits.toml", LIMITS)]);
        assert_eq!(files(now).removed_since(&before), expected, "{now:?}");
    }

    #[test]
    fn what_one_file_alone_said_is_missed() {
        let lacks = |farm: &str, expected: &[&str]| {
            assert_eq!(files(&[("a.toml", farm)]).removed_since(&files(&[("a.toml", FARM)])), expected, "{farm}");
        };
        lacks(FARM, &[]);
        lacks(&FARM.replace("6.6", "6.9").replace("[zones.b.", "[sensors.'c/ph']\nquantity = 'ph'\n[zones.b."), &[]);
        // The shipped rule has another one.
        lacks(&FARM.replace("clear = 6.5\n", ""), &["rules.ph-high.clear"]);
        lacks(&FARM.replace("during = 'day'\n", ""), &["rules.ph-high.during"]);
        // The shipped rule has the same.
        lacks(&FARM.replace("below = 5.0\n", ""), &[]);
        lacks(
            FARM.split_once("[rules.ph-high]").unwrap().0,
            &["rules.ph-high.above", "rules.ph-high.clear", "rules.ph-high.during", "zones"],
        );
        lacks(&FARM.replace("'b/ph'", "'b/acid'"), &["sensors.\"b/ph\""]);
        let fewer = "[escalation.default]\nwarning.channels = []\n";
        lacks(&format!("{FARM}{fewer}"), &["escalation.default.warning.channels"]);
    }

    #[test]
    fn what_overrides_another_file_or_the_base_is_missed() {
        let (site, farm) = ((SITE, SITE_TEXT), ("10-farm.toml", FARM));
        let all = [
            "escalation.default.warning.channels",
            "escalation.default.warning.wait",
            "notifications.phone",
            "rules.ph-high.above",
            "rules.ph-high.clear",
            "rules.temperature-high.above",
            "rules.temperature-high.clear",
            "rules.temperature-high.for",
            "sensors.\"b/ph\".calibration.offset",
            "sensors.\"b/ph\".max_rate",
            "zones.b.rules.ph-high",
        ];
        check(&[site, farm], &all);
        for piece in ["", "# edited\n", "[rules.co2-high]\nabove = 1300\n"] {
            check(&[site, farm, ("20-limits.toml", piece)], &all);
        }
        check(&[site, farm, ("20-limits.toml", &LIMITS.replace("max_rate = 9\n", ""))], &["sensors.\"b/ph\".max_rate"]);
        // Where its topic leads is nowhere shown, and is missed all the same.
        let other =
            ("05-phone.toml", "[notifications.phone]\nkind = 'ntfy'\nurl = 'https://ntfy.example'\ntopic = 'office'\n");
        let without = LIMITS.replace("topic = 'farm-8c1d'", "");
        check(&[site, other, farm, ("20-limits.toml", &without)], &["notifications.phone.topic"]);
    }

    #[test]
    fn what_is_moved_to_another_file_or_only_changed_is_not_missed() {
        let (site, farm, limits) = ((SITE, SITE_TEXT), ("10-farm.toml", FARM), ("20-limits.toml", LIMITS));
        check(&[site, farm, limits], &[]);
        check(&[site, farm, ("30-limits.toml", LIMITS)], &[]);
        check(&[site, ("10-all.toml", &[FARM, "# and\n"].concat()), limits], &[]);
        check(&[site, farm, ("20-limits.toml", &LIMITS.replace("20", "21").replace("9\n", "8\n"))], &[]);
        check(&[site, farm, limits, ("30-more.toml", "[rules.temperature-high]\nabove = 25\n")], &[]);
        check(&[site, farm, ("20-limits.toml", &format!("\n\n# spring\n{LIMITS}"))], &[]);
    }

    #[test]
    fn what_a_technician_said_is_missed() {
        let (farm, limits) = (("10-farm.toml", FARM), ("20-limits.toml", LIMITS));
        check(&[(SITE, &SITE_TEXT.replace("baud = 9600\n", "")), farm, limits], &["agent.toml: bus.gateway.baud"]);
        check(&[(SITE, &SITE_TEXT.replace("9600", "19200")), farm, limits], &[]);
        check(&[(SITE, "# soon\n"), farm, limits], &["agent.toml: bus", "agent.toml: device"]);
    }

    /// While a hub's bundle rules, what lies in `config.d` means nothing.
    #[test]
    fn of_files_that_are_not_merged_only_those_of_the_site_are_held_against_each_other() {
        let load = |site: &str| {
            let documents = Documents { site: Some(Document::site(site)), ..crate::base() };
            Files::site_of(&load_documents(documents, Purpose::Run))
        };
        let before = files(&[(SITE, SITE_TEXT), ("10-farm.toml", FARM)]);
        assert_eq!(load(SITE_TEXT).removed_since(&before), [""; 0]);
        let cut = load(&SITE_TEXT.replace("baud = 9600\n", ""));
        assert_eq!(cut.removed_since(&before), ["agent.toml: bus.gateway.baud"]);
        assert_eq!(cut.removed_since(&load(SITE_TEXT)), ["agent.toml: bus.gateway.baud"]);
    }
}
