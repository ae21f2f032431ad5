//! `docs/architecture.md` names files that exist, and the routes of the agent's API: those of the router, and of its answer 404.

use std::collections::BTreeSet;

use super::{files, none, read};

const PAGE: &str = "docs/architecture.md";
const HANDLERS: &str = "agent/src/api/handlers.rs";

#[test]
fn every_source_file_that_the_page_names_exists() {
    none(&check_files(&read(PAGE), &files()));
}

#[test]
fn the_table_of_routes_the_router_and_the_answer_404_have_the_same_routes() {
    none(&check_routes(&read(HANDLERS), &read(PAGE)));
}

/// Names in capitals, such as `CHIP.rs`, stand for any.
fn check_files(page: &str, files: &[String]) -> Vec<String> {
    let exists = |name: &str| files.iter().any(|file| file == name || file.ends_with(&format!("/{name}")));
    let is_name =
        |name: &&str| name.ends_with(".rs") && !name.contains(|c: char| c.is_ascii_uppercase() || "* ".contains(c));
    let named: BTreeSet<&str> =
        page.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).filter(is_name).collect();
    named
        .into_iter()
        .filter(|name| !exists(name))
        .map(|name| format!("{PAGE}: {name}: there is no such file"))
        .collect()
}

fn check_routes(handlers: &str, page: &str) -> Vec<String> {
    let (router, page_routes, answer) = (of_router(handlers), of_page(page), of_answer(handlers));
    let paths: BTreeSet<&str> = router.iter().filter_map(|route| route.split(' ').nth(1)).collect();
    let answer: BTreeSet<&str> = answer.iter().map(String::as_str).collect();
    let lacks = |place: &str, route: &str| format!("{place}: expected {route}, as elsewhere");
    let of_page = router.difference(&page_routes).map(|route| lacks(PAGE, route));
    let of_router = page_routes.difference(&router).map(|route| lacks("router", route));
    let of_answer = paths.difference(&answer).map(|path| lacks("PATHS", path));
    let gone = answer.difference(&paths).map(|path| lacks("router", path));
    of_page.chain(of_router).chain(of_answer).chain(gone).collect()
}

/// `GET /api/v1/status` of each `.route("/api/v1/status", get(status))`.
fn of_router(handlers: &str) -> BTreeSet<String> {
    let routes = handlers.split(".route(\"").skip(1).filter_map(|rest| rest.split_once("\", "));
    let mut found = BTreeSet::new();
    for (path, rest) in routes {
        let methods = rest.lines().next().unwrap_or_default();
        for method in ["get", "post", "delete", "put", "patch"] {
            if methods.starts_with(&format!("{method}(")) || methods.contains(&format!(").{method}(")) {
                found.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    found
}

/// Each row of the table that begins with a method and a path.
fn of_page(page: &str) -> BTreeSet<String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let routes = rows.filter(|row| row.contains(" /api/"));
    routes.filter_map(|row| row.split('?').next()).map(str::to_owned).collect()
}

/// Paths of the text `PATHS`.
fn of_answer(handlers: &str) -> BTreeSet<String> {
    let text =
        handlers.split_once("const PATHS: &str = \"").and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default();
    let text = text.split("\\\n").map(str::trim_start).collect::<String>().replace(" or ", ", ");
    let paths = text.split(", ").map(|path| path.trim_start_matches("/api/v1/"));
    paths.map(|path| format!("/api/v1/{path}")).collect()
}

#[test]
fn a_file_that_is_gone_is_named() {
    let files = ["agent/src/sense/line/missing.rs".to_owned()];
    let page = "`line/missing.rs`, `CHIP.rs` and `line/absent.rs`";
    assert_eq!(check_files(page, &files), ["docs/architecture.md: line/absent.rs: there is no such file"]);
}

#[test]
fn a_route_that_one_of_the_three_lacks_is_named() {
    let handlers = "const PATHS: &str = \"/api/v1/status, \\\n    old or notes\";\n\
                    .route(\"/api/v1/status\", get(status))\n.route(\"/api/v1/notes\", get(h::notes).post(h::note))\n\
                    .route(\"/api/v1/buses\", get(buses))\n";
    let page = "| `GET /api/v1/status?all=` | how it is |\n| `GET /api/v1/notes` | notes |\n| `GET /api/v1/gone` | - |\n\
                | `GET /api/v1/buses` | buses |\n";
    let expected = [
        "docs/architecture.md: expected POST /api/v1/notes, as elsewhere",
        "router: expected GET /api/v1/gone, as elsewhere",
        "PATHS: expected /api/v1/buses, as elsewhere",
        "router: expected /api/v1/old, as elsewhere",
    ];
    assert_eq!(check_routes(handlers, page), expected);
}
