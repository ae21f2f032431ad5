//! Pages of `docs`: what they show of a configuration is what is read.

use std::fs;
use std::path::Path;

use tilth_config::namespaces::{CONFIG, KeyTable};
use tilth_config::{Document, Layer, Level, Loaded, Purpose, base, explain, load_documents, reference};
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

/// Tables that examples of pages name and other examples describe.
const BESIDE: &str = r#"
[device]
id = "pi-7"

[bus.gateway]
kind = "line"
port = "/dev/gateway"

[bus.relays]
kind = "board"
port = "/dev/relays"
model = "mega2560"

[bus.tank]
kind = "board"
port = "/dev/tank"
model = "uno"

[sensors."tower-1/ph"]
quantity = "ph"
input = "line:gateway/ph"
interval = "10s"

[sensors."tower-1/ph-b"]
quantity = "ph"
input = "line:gateway/ph_b"

[sensors."tower-1/water"]
quantity = "water_temperature"
input = "line:gateway/water"

[sensors."tower-1/hands"]
quantity = "contact"
input = "board:relays/13"

[sensors."nursery/air"]
quantity = "temperature"
input = "line:gateway/air"
interval = "10s"

[schedules.night]
from = "20:00"
to = "06:00"

[actuators.acid-pump]
zone = "tower-1"
output = "board:relays/relay-0"
max_on = "3s"
dose_per_day = "60s"
needs_fresh = []
"#;

/// The tables of [`BESIDE`] that an example does not have itself, of `agent.toml` or of the other files.
fn beside(example: &str, of_agent_toml: bool) -> String {
    let is_wanted = |table: &&str| {
        let name = table.lines().next().unwrap_or_default();
        let is_of_agent_toml = ["[device", "[bus."].iter().any(|start| name.starts_with(start));
        is_of_agent_toml == of_agent_toml && !example.lines().any(|line| line.starts_with(name))
    };
    BESIDE.trim().split("\n\n").filter(is_wanted).map(|table| format!("{table}\n\n")).collect()
}

/// Errors of a page's examples, each taken together with the one of the other file before it.
fn errors_of_examples(page: &str) -> (usize, Vec<String>) {
    let (mut count, mut errors, mut agent_toml) = (0, Vec::new(), beside("", true));
    // What `tee` writes is a file as well.
    let page =
        page.replace("$ sudo tee /etc/tilth/", "```toml\n# ").replace(" <<'END'\n", "\n").replace("\nEND\n", "\n```\n");
    for example in page.split("```toml\n").skip(1).filter_map(|block| block.split("\n```").next()) {
        count += 1;
        let mut documents = base();
        let head = example.lines().next().unwrap_or_default();
        let is_agent_toml = head.starts_with("# agent.toml");
        if is_agent_toml {
            agent_toml = format!("{}{example}\n", beside(example, true));
        } else {
            let text = format!("{}{example}\n", beside(example, false));
            documents.layers.push(Document::toml(Layer::ConfigD, "example.toml", &text));
        }
        documents.agent_toml = Some(Document::agent_toml(agent_toml.as_str()));
        let Loaded { diagnostics, .. } = load_documents(documents, Purpose::Run);
        let found = diagnostics.iter().filter(|found| found.level == Level::Error);
        // An agent.toml without a farm is half of an example.
        let is_of_example = |said: &String| !(is_agent_toml && said.contains("no sensor"));
        errors.extend(found.map(ToString::to_string).filter(is_of_example).map(|said| format!("{head}: {said}")));
    }
    (count, errors)
}

#[test]
fn every_example_of_a_configuration_on_every_page_is_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut pages: Vec<_> = fs::read_dir(folder).expect("docs").map(|entry| entry.expect("an entry").path()).collect();
    pages.retain(|path| path.extension().is_some_and(|end| end == "md"));
    let (mut total, mut wrong) = (0, Vec::new());
    for path in pages {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (count, errors) = errors_of_examples(&read(&name));
        total += count;
        wrong.extend(errors.into_iter().map(|error| format!("{name}: {error}")));
    }
    assert!(wrong.is_empty(), "expected no error in any example, found:\n{}", wrong.join("\n"));
    assert!(total >= 30, "expected at least 30 examples, found {total}");
}

#[test]
fn an_example_that_is_wrong_is_found() {
    for (example, expected) in [
        ("[rules.ph-high]\nabov = 6.8", "rules.ph-high.abov"),
        ("# agent.toml\n[bus.tank]\nkind = \"bord\"\nport = \"/dev/x\"", "bord"),
        ("[sensors.\"tower-1/water\"]\nquantity = \"water\"\ninput = \"line:gateway/water\"", "water"),
        ("[sensors.\"tower-1/water\"]\nquantity = \"ec\"\ninput = \"line:unknown/ec\"", "unknown"),
    ] {
        let (count, errors) = errors_of_examples(&format!("```toml\n{example}\n```\n"));
        assert_eq!((count, errors.len()), (1, 1), "{errors:?}");
        assert!(errors[0].contains(expected), "{errors:?}");
    }
}

/// `TILTH_UPDATE_GOLDEN=1 cargo test -p tilth-config --test page` writes the table again.
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
