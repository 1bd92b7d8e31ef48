//! The ways in which the configuration file is replaced: each change is seen once, and no half of a file is taken.

use std::time::{Duration, Instant};

use super::{INTERVAL, by_itself, let_it_look, tag, upload};
use crate::support::{Builder, Mount, Relay, Upstream, poll};

/// Longest time until a change is in force: two intervals, and a second for a busy machine.
const SEEN_WITHIN: Duration = INTERVAL
    .saturating_mul(2)
    .saturating_add(Duration::from_secs(1));

/// A relay with a target whose tag `v` tells which configuration is in force.
struct Versions {
    relay: Relay,
    target: Upstream,
}

impl Versions {
    fn new() -> Self {
        let target = Upstream::ok();
        let relay = builder(&target, "0").spawn();
        Self { relay, target }
    }

    fn text(&self, version: &str) -> String {
        self.relay.text_of(&builder(&self.target, version))
    }

    /// The version with which a profile that is sent now is uploaded.
    fn in_force(&self) -> String {
        let name = format!("app{}", self.target.arrivals().len());
        tag(&upload(&self.relay, &self.target, &name), "v").expect("each version has the tag")
    }

    fn reloads(&self) -> f64 {
        self.relay.config_metric("reloads_total")
    }

    /// Asserts that `change`, which puts `version` in the file, is seen in time and counted as one reload.
    fn seen_once(&self, version: &str, change: impl FnOnce(&str)) {
        let (before, hash) = (self.reloads(), self.relay.hash());
        let start = Instant::now();
        change(&self.text(version));
        let changed = poll(2 * SEEN_WITHIN, || {
            (self.relay.hash() != hash).then(|| start.elapsed())
        });
        let changed = changed.unwrap_or_else(|| panic!("{version} is not seen"));
        assert!(changed < SEEN_WITHIN, "{version} after {changed:?}");
        assert_eq!(self.in_force(), version);
        let_it_look();
        assert_eq!(self.reloads(), before + 1.0, "{version} is taken once");
        assert_eq!(self.relay.config_metric("last_reload_successful"), 1.0);
    }

    /// Asserts that `version` is in force, although the relay had the time to look.
    fn stays(&self, version: &str) {
        let_it_look();
        assert_eq!(self.in_force(), version);
    }
}

fn builder(target: &Upstream, version: &str) -> Builder {
    let tags = format!("tags: {{ v: \"{version}\" }}");
    by_itself().target("central", target, &[&tags])
}

#[test]
fn a_file_replaced_by_mv_cp_an_editor_or_a_script_is_taken_once() {
    let it = Versions::new();
    let file = it.relay.config();
    it.seen_once("mv", |text| file.rename_over(text));
    it.seen_once("cp", |text| file.copy_over(text));
    it.seen_once("vim", |text| file.edit(text));
    // The second time as well: a watch of the file itself would be deaf after one rename.
    it.seen_once("mv-again", |text| file.rename_over(text));
}

#[test]
fn a_file_that_is_emptied_and_written_is_taken_once() {
    let it = Versions::new();
    let file = it.relay.config();
    let errors = it.relay.config_metric("reloads_errors_total");
    it.seen_once("truncate", |text| file.truncate_and_write(text));
    assert_eq!(it.relay.config_metric("reloads_errors_total"), errors);
}

#[test]
fn a_mounted_config_map_is_taken_once_at_each_swap() {
    let it = Versions::new();
    let text = it.text("0");
    let reloads = it.reloads();
    let mut mount = Mount::new(it.relay.home(), &[("pyrotee.yaml", &text)]);
    it.stays("0");
    assert_eq!(it.reloads(), reloads, "the content is the same");
    for version in ["1", "2", "3"] {
        it.seen_once(version, |text| mount.swap(&[("pyrotee.yaml", text)]));
    }
}

#[test]
fn a_touched_file_or_one_with_the_same_content_reloads_nothing() {
    let it = Versions::new();
    let (file, text) = (it.relay.config(), it.text("0"));
    let before = (it.reloads(), it.relay.hash());
    let changes: [&dyn Fn(); 4] = [
        &|| file.touch(),
        &|| file.rename_over(&text),
        &|| file.copy_over(&text),
        &|| file.edit(&text),
    ];
    for change in changes {
        change();
        let_it_look();
        assert_eq!((it.reloads(), it.relay.hash()), before);
    }
}

#[test]
fn half_of_a_file_is_never_taken() {
    let it = Versions::new();
    let text = it.text("whole");
    // Within the address of the target: a quote is open.
    let at = text.find("address: \"").expect("a target has an address") + 15;
    it.relay.config().write_in_two_parts(&text, at, || {
        it.stays("0");
        assert_eq!(it.relay.config_metric("last_reload_successful"), 0.0);
    });
    it.relay.wait_config_metric("last_reload_successful", 1.0);
    assert_eq!(it.in_force(), "whole");
}

#[test]
fn a_missing_file_changes_nothing_until_it_is_back() {
    let it = Versions::new();
    let (file, text) = (it.relay.config(), it.text("0"));
    file.remove();
    it.relay.wait_config_metric("last_reload_successful", 0.0);
    it.stays("0");
    let faults = it.relay.status()["config"]["faults"].to_string();
    assert!(faults.contains("pyrotee.yaml"), "{faults}");
    let errors = it.relay.config_metric("reloads_errors_total");
    assert_eq!(errors, 1.0, "a look that finds the same is no error");
    file.rename_over(&text);
    it.relay.wait_config_metric("last_reload_successful", 1.0);
    assert_eq!(it.in_force(), "0");
    let status = it.relay.status();
    assert_eq!(status["config"]["faults"], serde_json::json!([]));

    file.remove();
    it.relay.wait_config_metric("last_reload_successful", 0.0);
    it.seen_once("other", |text| file.rename_over(text));
}

#[test]
fn an_empty_file_changes_nothing_until_it_is_written() {
    let it = Versions::new();
    let file = it.relay.config();
    for empty in ["", "\n\n"] {
        file.copy_over(empty);
        it.relay.wait_config_metric("last_reload_successful", 0.0);
        it.stays("0");
        file.copy_over(&it.text("0"));
        it.relay.wait_config_metric("last_reload_successful", 1.0);
    }
    assert_eq!(it.in_force(), "0");
}
