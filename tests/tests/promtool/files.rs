//! The files of promtool as far as we read them: rules, and tests of alerts.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::notation::Labels;

/// A file of tests; one of rules has none.
#[derive(Debug, Deserialize)]
pub(crate) struct TestFile {
    #[serde(default)]
    pub(crate) rule_files: Vec<String>,
    pub(crate) evaluation_interval: Option<String>,
    #[serde(default)]
    pub(crate) tests: Vec<Test>,
}

/// Series, and what is asked of them.
#[derive(Debug, Deserialize)]
pub(crate) struct Test {
    pub(crate) interval: Option<String>,
    #[serde(default)]
    pub(crate) input_series: Vec<Series>,
    #[serde(default)]
    pub(crate) alert_rule_test: Vec<AlertTest>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Series {
    pub(crate) series: String,
    pub(crate) values: String,
}

/// Which alerts fire at an instant.
#[derive(Debug, Deserialize)]
pub(crate) struct AlertTest {
    pub(crate) eval_time: String,
    pub(crate) alertname: String,
    #[serde(default)]
    pub(crate) exp_alerts: Vec<Expected>,
}

/// An alert by its labels. The texts of its annotations are templates of another language and are not ours to write.
#[derive(Debug, Deserialize)]
pub(crate) struct Expected {
    #[serde(default)]
    pub(crate) exp_labels: Labels,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RuleFile {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

/// A rule; one that records has no `alert`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Rule {
    pub(crate) alert: Option<String>,
    pub(crate) expr: String,
    #[serde(rename = "for")]
    pub(crate) hold: Option<String>,
    pub(crate) keep_firing_for: Option<String>,
    #[serde(default)]
    pub(crate) labels: Labels,
}

pub(crate) fn read<T: for<'a> Deserialize<'a>>(file: &Path) -> Result<T, String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    serde_saphyr::from_str(&text).map_err(|error| error.to_string())
}

impl TestFile {
    /// The rules that the tests are of.
    pub(crate) fn rules(&self, folder: &Path) -> Result<Vec<Rule>, String> {
        let mut rules = Vec::new();
        for file in &self.rule_files {
            let file: RuleFile = read(&folder.join(file)).map_err(|error| format!("{file}: {error}"))?;
            rules.extend(file.groups.into_iter().flat_map(|group| group.rules));
        }
        Ok(rules)
    }
}
