//! The configuration of a relay under test.

use std::{collections::BTreeMap, path::Path, process::Command};

use super::{
    disk::SmallDisk,
    relay::{Ended, Relay},
    upstream::Upstream,
};

/// A configuration under construction. Both listeners take a free port.
///
/// `{home}` in any text stands for a directory that lives as long as the relay.
#[derive(Clone, Debug, Default)]
pub(crate) struct Builder {
    upstream: Vec<String>,
    targets: Vec<(String, Vec<String>)>,
    remote_write: Vec<String>,
    top: Vec<String>,
    environment: BTreeMap<String, String>,
    before: Vec<String>,
}

impl Builder {
    /// Sets the local upstream.
    pub(crate) fn upstream(self, upstream: &Upstream) -> Self {
        self.upstream_address(&upstream.url())
    }

    pub(crate) fn upstream_address(self, address: &str) -> Self {
        self.upstream_option(&format!("address: \"{address}\""))
    }

    /// Adds a line below `upstream:`.
    pub(crate) fn upstream_option(mut self, line: &str) -> Self {
        self.upstream.push(line.to_owned());
        self
    }

    /// Adds a target with lines of its own: `tags: { env: test }`.
    pub(crate) fn target(self, name: &str, upstream: &Upstream, options: &[&str]) -> Self {
        self.target_address(name, &upstream.url(), options)
    }

    pub(crate) fn target_address(mut self, name: &str, address: &str, options: &[&str]) -> Self {
        let mut lines = vec![format!("address: \"{address}\"")];
        lines.extend(options.iter().map(|&option| option.to_owned()));
        self.targets.push((name.to_owned(), lines));
        self
    }

    /// Adds a line below `remote-write:`.
    pub(crate) fn remote_write(mut self, line: &str) -> Self {
        self.remote_write.push(line.to_owned());
        self
    }

    /// Adds a line at the top, or several.
    pub(crate) fn yaml(mut self, text: &str) -> Self {
        self.top.push(text.to_owned());
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Runs the relay in the mount namespace of this file system.
    pub(crate) fn within(mut self, disk: &SmallDisk) -> Self {
        self.before = disk.enter();
        self
    }

    /// Puts words before the command that starts the relay.
    pub(crate) fn before(mut self, words: &[&str]) -> Self {
        self.before = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Starts the relay and waits for both listeners, and until spool and dead letters are open if there are any. If the
    /// configuration says when to reload, waits until the relay is ready to.
    pub(crate) fn spawn(self) -> Relay {
        let has = |section: &str| self.top.iter().any(|text| text.starts_with(section));
        let (has_spool, has_letters) = (has("spool:"), has("dead-letters:"));
        let relay = Relay::spawn(&self);
        if has_spool {
            relay.wait_until_spool_is_open();
        }
        if has_spool || has_letters {
            relay.wait_until_dead_letters_are_open();
        }
        if has("reload:") {
            relay.wait_until_ready();
        }
        relay
    }

    /// Starts the relay and waits for both listeners. Its spool may not open.
    pub(crate) fn spawn_with_waiting_spool(self) -> Relay {
        Relay::spawn(&self)
    }

    /// Starts a relay that has to refuse this configuration.
    pub(crate) fn refused(self) -> Ended {
        Relay::refuse(&self)
    }

    /// The command that starts `binary`.
    pub(super) fn command(&self, binary: &str) -> Command {
        let words = self.before.iter().map(String::as_str).chain([binary]);
        let words: Vec<_> = words.collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).envs(&self.environment);
        command
    }

    pub(super) fn text(&self, home: &Path) -> String {
        // Requests of the tests have this `Host`.
        let mut text = String::from(
            "listen: \"127.0.0.1:0\"\nadmin: \"127.0.0.1:0\"\nadmin-hosts: relay.example\n",
        );
        let mut line = |indent: usize, line: &str| {
            text += &format!("{:indent$}{line}\n", "");
        };
        for top in &self.top {
            line(0, top);
        }
        if !self.upstream.is_empty() {
            line(0, "upstream:");
            self.upstream.iter().for_each(|option| line(2, option));
        }
        line(0, "remote-write:");
        // `enabled` is off by default, as in Pyroscope; here it is on if there are targets and the test says nothing
        // else.
        if !self
            .remote_write
            .iter()
            .any(|option| option.starts_with("enabled:"))
        {
            line(2, &format!("enabled: {}", !self.targets.is_empty()));
        }
        self.remote_write.iter().for_each(|option| line(2, option));
        if !self.targets.is_empty() {
            line(2, "targets:");
        }
        for (name, options) in &self.targets {
            line(4, &format!("{name}:"));
            options.iter().for_each(|option| line(6, option));
        }
        text.replace("{home}", &home.display().to_string())
    }
}
