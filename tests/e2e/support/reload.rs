//! A relay whose configuration changes while it runs.

use serde_json::{Value, json};

use super::{
    client::{self, Request, Response},
    config::Builder,
    live_files::LiveFile,
    poll::{SOON, eventually, poll},
    relay::Relay,
};

impl Relay {
    /// The configuration file.
    pub(crate) fn config(&self) -> LiveFile {
        LiveFile::new(&self.home().join("pyrotee.yaml"))
    }

    /// The text of a configuration for this relay.
    pub(crate) fn text_of(&self, builder: &Builder) -> String {
        builder.text(self.home())
    }

    /// Replaces the configuration file as a whole. The relay reads it when it reloads.
    pub(crate) fn rewrite(&self, builder: &Builder) {
        self.config().rename_over(&self.text_of(builder));
    }

    /// Waits until the relay is ready: before, it refuses to reload.
    pub(crate) fn wait_until_ready(&self) {
        eventually(SOON, "readiness", || {
            client::send(self.admin(), &Request::get("/-/ready")).status() == 200
        });
    }

    /// Asks for a reload and waits for its end.
    pub(crate) fn ask_to_reload(&self) -> Response {
        client::send(self.admin(), &Request::new("POST", "/-/reload"))
    }

    /// Reloads, and returns the report. Panics if the configuration is refused.
    pub(crate) fn reload(&self) -> Report {
        let response = self.ask_to_reload();
        assert_eq!(response.status(), 200, "{response:?}");
        Report(response.json())
    }

    /// Replaces the configuration file and reloads. Panics unless that changes something.
    pub(crate) fn reload_with(&self, builder: &Builder) -> Report {
        self.rewrite(builder);
        let report = self.reload();
        assert_eq!(report.result(), "changed", "{report:?}");
        report
    }

    /// Reloads a configuration with faults, and returns the report. Panics unless the configuration is refused.
    pub(crate) fn refused_reload(&self) -> Report {
        let response = self.ask_to_reload();
        assert_eq!(response.status(), 400, "{response:?}");
        let report = Report(response.json());
        assert_eq!(report.result(), "refused", "{report:?}");
        assert!(!report.texts("faults").is_empty(), "{report:?}");
        report
    }

    /// The page `/api/v1/status`.
    pub(crate) fn status(&self) -> Value {
        let answer = client::send(self.admin(), &Request::get("/api/v1/status"));
        assert_eq!(answer.status(), 200, "{answer:?}");
        answer.json()
    }

    /// A target in the status, configured or draining.
    pub(crate) fn target_status(&self, name: &str) -> Option<Value> {
        find(&self.status()["targets"], name)
    }

    /// A removed target in the status whose records are in the spool.
    pub(crate) fn removed_status(&self, name: &str) -> Option<Value> {
        find(&self.status()["removed"], name)
    }

    /// The value of a series `pyroscope_relay_config_…` without labels.
    pub(crate) fn config_metric(&self, name: &str) -> f64 {
        let name = format!("pyroscope_relay_config_{name}");
        let metrics = self.metrics();
        let value = metrics.value(&name, &[]);
        value.unwrap_or_else(|| panic!("no {name} in\n{}", metrics.text()))
    }

    /// The hash of the configuration in force.
    pub(crate) fn hash(&self) -> String {
        let hash = self.status()["config"]["hash"].clone();
        hash.as_str().expect("a hash is a text").to_owned()
    }

    /// Waits until a series `pyroscope_relay_config_…` has a value.
    pub(crate) fn wait_config_metric(&self, name: &str, value: f64) {
        let met = poll(SOON, || (self.config_metric(name) == value).then_some(()));
        met.unwrap_or_else(|| {
            panic!(
                "{name} is {}, not {value}; {}",
                self.config_metric(name),
                self.status()["config"]
            )
        });
    }
}

fn find(list: &Value, name: &str) -> Option<Value> {
    let mut all = list.as_array().expect("a list").iter();
    all.find(|target| target["name"] == name).cloned()
}

/// The report of a reload.
#[derive(Clone, Debug)]
pub(crate) struct Report(Value);

impl Report {
    /// `changed`, `unchanged` or `refused`.
    pub(crate) fn result(&self) -> &str {
        self.0["result"].as_str().expect("a result is a text")
    }

    pub(crate) fn hash(&self) -> &str {
        self.0["hash"].as_str().expect("a hash is a text")
    }

    /// What happened to a target: `added`, `removed`, `changed` or `returned`; `None` if nothing did.
    pub(crate) fn target(&self, name: &str) -> Option<&str> {
        let mut targets = self.list("targets").iter();
        let target = targets.find(|target| target["name"] == name)?;
        target["change"].as_str()
    }

    /// Names and changes of all targets that changed.
    pub(crate) fn targets(&self) -> Vec<(&str, &str)> {
        let targets = self.list("targets").iter();
        targets
            .filter_map(|it| Some((it["name"].as_str()?, it["change"].as_str()?)))
            .collect()
    }

    /// Whether a key changed in this way: `added`, `removed` or `changed`.
    pub(crate) fn has_change(&self, key: &str, kind: &str) -> bool {
        let change = json!({ "key": key, "kind": kind });
        self.list("changes").contains(&change)
    }

    /// A list of texts: `faults` or `restart_required`.
    pub(crate) fn texts(&self, list: &str) -> Vec<&str> {
        let texts = self.list(list).iter();
        texts.map(|it| it.as_str().expect("a text")).collect()
    }

    pub(crate) fn list(&self, name: &str) -> &Vec<Value> {
        let list = self.0[name].as_array();
        list.unwrap_or_else(|| panic!("no list {name} in {}", self.0))
    }
}
