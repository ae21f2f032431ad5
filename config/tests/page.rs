//! `docs/configuration.md`, `docs/first-farm.md` and `docs/uno-pump-siren-sms.md`: what they show is what is there.

use std::fs;
use std::path::Path;

use tilth_config::namespaces::{CONFIG, KeyTable};
use tilth_config::{Document, Layer, Loaded, Purpose, base, explain, load_documents, reference};
use tilth_core::quantity::Quantity;

fn read(page: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page)).expect("the page")
}

/// The files that the page shows whole, with their names.
fn files(page: &str) -> Vec<(&str, &str)> {
    let blocks = page.split("```toml\n# ").skip(1).filter_map(|block| block.split("\n```").next());
    blocks.filter_map(|block| block.split_once(", whole\n")).collect()
}

/// The rules of a farm made of a page's files, in which nothing is wrong.
fn rules(page: &str, least_files: usize) -> Vec<String> {
    let page = read(page);
    let files = files(&page);
    assert!(files.len() >= least_files, "{files:?}");
    let mut documents = base();
    for (file, text) in files {
        match file {
            "agent.toml" => documents.agent_toml = Some(Document::agent_toml(text)),
            _ => documents.layers.push(Document::toml(Layer::ConfigD, file, text)),
        }
    }
    let Loaded { plan, diagnostics, .. } = load_documents(documents, Purpose::Run);
    let said: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(said, Vec::<String>::new());
    plan.expect("nothing is wrong").rules().map(|bound| bound.key.rule.as_str().to_owned()).collect()
}

#[test]
fn the_files_of_the_reference_make_a_farm_in_which_nothing_is_wrong() {
    let rules = rules("configuration.md", 6);
    for rule in ["too-warm", "ph-falls-low", "ph-band", "ph-jumps", "water-cools", "silent", "frozen"] {
        assert!(rules.iter().any(|bound| bound == rule), "{rule}");
    }
}

#[test]
fn the_files_of_the_first_farm_make_one_in_which_nothing_is_wrong() {
    let rules = rules("first-farm.md", 3);
    assert!(rules.iter().any(|rule| rule == "ph-high"), "{rules:?}");
}

#[test]
fn the_files_of_the_uno_with_a_pump_make_one_in_which_nothing_is_wrong() {
    let rules = rules("uno-pump-siren-sms.md", 2);
    assert!(rules.iter().any(|rule| rule == "ph-high"), "{rules:?}");
}

/// `TILTH_UPDATE_GOLDEN=1 cargo test -p tilth-config --test page` writes the table anew.
#[test]
fn its_table_of_quantities_is_what_is_shipped() {
    let loaded = load_documents(base(), Purpose::Replay);
    let figure = |quantity: Quantity, key: &str| {
        let explained = explain(&loaded, &format!("agent.quantities.{}.{key}", quantity.name())).expect("a figure");
        explained[0].value.clone().expect("it is not deleted")
    };
    let row = |quantity: Quantity| {
        let unit = if quantity.unit().is_empty() { "-" } else { quantity.unit() };
        let range = figure(quantity, "range");
        let [resolution, max_rate] = ["resolution", "max_rate"].map(|key| figure(quantity, key));
        format!("| `{quantity}` | {unit} | {} to {} | {resolution} | {max_rate} |\n", range[0], range[1])
    };
    let rows: String = Quantity::ALL.into_iter().map(row).collect();
    let head = "| quantity | unit | plausible | resolution | fastest a minute |\n| --- | --- | --- | --- | --- |\n";
    let page = read("configuration.md");
    let (before, table) = page.split_once(head).expect("the table");
    let end = table.lines().take_while(|line| line.starts_with('|')).map(|line| line.len() + 1).sum();
    if std::env::var_os("TILTH_UPDATE_GOLDEN").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
        fs::write(path, format!("{before}{head}{rows}{}", &table[end..])).expect("the page is written");
    } else {
        assert_eq!(&table[..end], rows);
    }
}

/// Every table that people write has its keys on the page, as they are read.
#[test]
fn its_tables_of_keys_are_what_is_read() {
    // Tables of tables, and those whose keys stand in another one.
    let elsewhere = ["", "agent.toml", "zones.ID", "agent.ALERT", "agent.quantities.NAME", "rules.NAME.actions"];
    let mut page = read("configuration.md");
    for table in [CONFIG.all(), KeyTable::agent_toml().all()].concat() {
        if elsewhere.contains(&table.path) || table.path.contains(", kind ") {
            continue;
        }
        let mark = format!("<!-- keys: {} -->\n\n", table.path);
        let (before, rest) = page.split_once(&mark).unwrap_or_else(|| panic!("the page has no {mark}"));
        let end = rest.lines().take_while(|line| line.starts_with('|')).map(|line| line.len() + 1).sum();
        let expected = reference::markdown(table);
        if std::env::var_os("TILTH_UPDATE_GOLDEN").is_some() {
            page = format!("{before}{mark}{expected}{}", &rest[end..]);
            fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md"), &page).expect("the page");
        } else {
            assert_eq!(&rest[..end], expected, "{}", table.path);
        }
    }
}
