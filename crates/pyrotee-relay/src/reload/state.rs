//! The state of the configuration and of its reloads, for the status page and the metrics.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use pyrotee_admin::ConfigState;
use pyrotee_admin::json::status::{ConfigJson, StaleFileJson};
use pyrotee_admin::json::time;
use pyrotee_config::{Config, StaleFile, needs_restart};
use pyrotee_queue::lock;

/// The state of the configuration.
#[derive(Debug)]
pub(crate) struct ReloadState {
    /// The configuration that the process started with, which has the keys that need a restart.
    started: Config,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    config: ConfigJson,
    in_force: Arc<Config>,
    stale: Vec<StaleFile>,
    reloads: u64,
    errors: u64,
    last_success: SystemTime,
}

/// The numbers of the metrics.
#[derive(Debug, Clone)]
pub(crate) struct ReloadNumbers {
    pub(crate) hash: String,
    pub(crate) is_successful: bool,
    pub(crate) last_success: SystemTime,
    pub(crate) reloads: u64,
    pub(crate) errors: u64,
    pub(crate) needs_restart: bool,
    pub(crate) stale_files: u64,
}

impl ReloadState {
    /// The state of a relay that starts with `config`.
    pub(crate) fn new(config: &Config) -> Self {
        let now = SystemTime::now();
        let state = State {
            config: ConfigJson {
                hash: config.hash(),
                loaded_at: time(now),
                last_attempt_at: None,
                last_reload_successful: true,
                faults: Vec::new(),
                restart_required: Vec::new(),
                stale_files: Vec::new(),
                unverified_servers: unverified_servers(config),
                certificate_warnings: Vec::new(),
            },
            in_force: Arc::new(config.clone()),
            stale: Vec::new(),
            reloads: 0,
            errors: 0,
            last_success: now,
        };
        Self {
            started: config.clone(),
            state: Mutex::new(state),
        }
    }

    /// The keys that differ from those with which the process started, and that need a restart.
    pub(super) fn restart_required(&self) -> Vec<String> {
        lock(&self.state).config.restart_required.clone()
    }

    /// The state of the configuration now: certificates expire without a reload.
    pub(super) fn config(&self) -> ConfigJson {
        let (config, in_force) = {
            let state = lock(&self.state);
            (state.config.clone(), Arc::clone(&state.in_force))
        };
        ConfigJson {
            certificate_warnings: in_force.certificate_warnings(SystemTime::now()),
            ..config
        }
    }

    /// Notes that a configuration is in force.
    pub(super) fn set_in_force(&self, config: &Config) {
        let differences = self.started.difference(config).into_iter();
        let needs_restart = differences.filter(|change| needs_restart(&change.key));
        let mut keys: Vec<_> = needs_restart.map(|change| change.key).collect();
        for key in self.disks_not_used(config) {
            if !keys.iter().any(|known| known == key) {
                keys.push(key.to_owned());
            }
        }
        let mut state = lock(&self.state);
        state.config.hash = config.hash();
        state.config.loaded_at = time(SystemTime::now());
        state.config.restart_required = keys;
        state.config.unverified_servers = unverified_servers(config);
        state.in_force = Arc::new(config.clone());
    }

    /// The directories and the shared backlog that a relay which was started without targets did not open.
    fn disks_not_used(&self, config: &Config) -> impl Iterator<Item = &'static str> {
        let starts = config.remote_write.enabled && !self.started.remote_write.enabled;
        let disks = [
            ("spool.dir", config.spool.is_some()),
            ("dead-letters.dir", config.dead_letters.is_some()),
            ("shared", config.shared.is_some()),
        ];
        let disks = disks.into_iter();
        disks.filter_map(move |(key, is_set)| (starts && is_set).then_some(key))
    }

    /// Counts a reload that took the configuration file, or found it to be the one in force.
    pub(super) fn note_success(&self) {
        let mut state = lock(&self.state);
        state.note_attempt();
        state.last_success = SystemTime::now();
        state.note_valid();
    }

    /// Notes that the configuration file is the one in force again.
    pub(super) fn note_restored(&self) {
        lock(&self.state).note_valid();
    }

    /// Counts a reload that was refused.
    pub(super) fn note_failure(&self, faults: &[String]) {
        let mut state = lock(&self.state);
        state.note_attempt();
        state.errors += 1;
        state.config.last_reload_successful = false;
        state.config.faults = faults.to_vec();
    }

    pub(super) fn has_other_stale_files(&self, stale: &[StaleFile]) -> bool {
        lock(&self.state).stale != stale
    }

    /// Notes the files that keep their last good content. The log has a line when a file becomes bad, and when it is good
    /// again.
    pub(super) fn set_stale_files(&self, stale: Vec<StaleFile>) {
        let mut state = lock(&self.state);
        for file in stale.iter().filter(|it| !state.stale.contains(it)) {
            let path = file.path.display();
            tracing::warn!(%path, why = file.text, "file keeps its last good content");
        }
        let is_good = |it: &&StaleFile| !stale.iter().any(|file| file.path == it.path);
        for file in state.stale.iter().filter(is_good) {
            tracing::info!(path = %file.path.display(), "file is good again");
        }
        let shown = stale.iter().map(|file| StaleFileJson {
            path: file.path.display().to_string(),
            text: file.text.clone(),
        });
        state.config.stale_files = shown.collect();
        state.stale = stale;
    }

    /// The configuration in force.
    pub(crate) fn in_force(&self) -> Arc<Config> {
        Arc::clone(&lock(&self.state).in_force)
    }

    /// The numbers of this instant.
    pub(crate) fn numbers(&self) -> ReloadNumbers {
        let state = lock(&self.state);
        ReloadNumbers {
            hash: state.config.hash.clone(),
            is_successful: state.config.last_reload_successful,
            last_success: state.last_success,
            reloads: state.reloads,
            errors: state.errors,
            needs_restart: !state.config.restart_required.is_empty(),
            stale_files: state.stale.len() as u64,
        }
    }
}

fn unverified_servers(config: &Config) -> Vec<String> {
    let servers = config.unverified_servers();
    servers.map(|server| server.section()).collect()
}

impl State {
    fn note_attempt(&mut self) {
        self.reloads += 1;
        self.config.last_attempt_at = Some(time(SystemTime::now()));
    }

    fn note_valid(&mut self) {
        self.config.last_reload_successful = true;
        self.config.faults.clear();
    }
}

impl ConfigState for ReloadState {
    fn state(&self) -> ConfigJson {
        self.config()
    }
}
