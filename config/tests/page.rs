//! `docs/configuration.md`: what it shows is what is there.

use std::fs;
use std::path::Path;

use tilth_config::{Document, Layer, Loaded, Purpose, base, explain, load_documents};
use tilth_core::quantity::Quantity;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    fs::read_to_string(path).expect("the page")
}

/// The files that the page shows whole, with their names.
fn files(page: &str) -> Vec<(&str, &str)> {
    let blocks = page.split("```toml\n# ").skip(1).filter_map(|block| block.split("\n```").next());
    blocks.filter_map(|block| block.split_once(", whole\n")).collect()
}

#[test]
fn its_files_make_a_farm_in_which_nothing_is_wrong() {
    let page = page();
    let files = files(&page);
    assert!(files.len() >= 6, "{files:?}");
    let mut documents = base();
    for (file, text) in files {
        match file {
            "agent.toml" => documents.site = Some(Document::site(text)),
            _ => documents.layers.push(Document::toml(Layer::ConfigD, file, text)),
        }
    }
    let Loaded { plan, diagnostics, .. } = load_documents(documents, Purpose::Run);
    let said: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(said, Vec::<String>::new());
    let conditions = ["too-warm", "ph-falls-low", "ph-band", "ph-jumps", "water-cools", "silent", "frozen"];
    let plan = plan.expect("nothing is wrong");
    for rule in conditions {
        assert!(plan.rules().any(|bound| bound.key.rule.as_str() == rule), "{rule}");
    }
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
    let page = page();
    let (before, table) = page.split_once(head).expect("the table");
    let end = table.lines().take_while(|line| line.starts_with('|')).map(|line| line.len() + 1).sum();
    if std::env::var_os("TILTH_UPDATE_GOLDEN").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
        fs::write(path, format!("{before}{head}{rows}{}", &table[end..])).expect("the page is written");
    } else {
        assert_eq!(&table[..end], rows);
    }
}
