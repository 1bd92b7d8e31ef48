//! Goals: limits for figures.

mod check;
mod evaluate;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context as _;
use serde::Deserialize;

pub(crate) use check::{Settings, check, table};
pub(crate) use evaluate::{GoalResult, evaluate};

/// The goals that this program was built with.
const OWN: &str = include_str!("../../goals.toml");

/// A figure with a gate and an aim. `goals.toml` explains the fields.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Goal {
    pub(crate) id: String,
    pub(crate) what: String,
    of: String,
    against: Option<String>,
    beside: Option<String>,
    figure: String,
    cells: Vec<String>,
    gate: f64,
    aim: f64,
    #[serde(default)]
    gates: BTreeMap<String, f64>,
    #[serde(default)]
    aims: BTreeMap<String, f64>,
    #[serde(default)]
    at: At,
    #[serde(default)]
    pick: Pick,
    within: Option<f64>,
    #[serde(default)]
    sets: Vec<String>,
}

/// The side of the gate on which a figure must be.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum At {
    #[default]
    Most,
    Least,
}

/// The round that counts.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Pick {
    #[default]
    Median,
    Worst,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    goal: Vec<Goal>,
}

impl Goal {
    /// Reads goals from a file; without one, the built-in goals.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is not a file of goals.
    pub(crate) fn all(path: Option<&Path>) -> anyhow::Result<Vec<Self>> {
        let text = match path {
            Some(path) => fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?,
            None => OWN.to_owned(),
        };
        let file: File = toml::from_str(&text).context("not a file of goals")?;
        Ok(file.goal)
    }
}
