//! The steps of a reload: takes the contents on which two looks agree, applies them, and reports the result.

use pyrotee_admin::json::reload::{
    Change, KeyChangeJson, ReloadReport, ReloadResult, TargetChangeJson,
};
use pyrotee_config::{ChangeKind, FileContents};

use super::{DISK_HANGS, InForce, Look, Reloader};

/// The result of a part of a reload.
#[derive(Debug)]
pub(super) enum Step {
    Unchanged,
    Changed {
        keys: Vec<KeyChangeJson>,
        targets: Vec<TargetChangeJson>,
    },
    Refused,
}

impl Step {
    /// The result of this part and of a later one.
    pub(super) fn and(self, later: Self) -> Self {
        match (self, later) {
            (_, Self::Refused) | (Self::Refused, _) => Self::Refused,
            (one, Self::Unchanged) | (Self::Unchanged, one) => one,
            (
                Self::Changed {
                    mut keys,
                    mut targets,
                },
                Self::Changed {
                    keys: more_keys,
                    targets: more_targets,
                },
            ) => {
                keys.extend(more_keys);
                targets.extend(more_targets);
                Self::Changed { keys, targets }
            }
        }
    }
}

impl Reloader {
    /// Takes the contents of files on which two looks agree, each by itself. `asked`: somebody waits for the result.
    pub(super) async fn take_files(&mut self, before: &Look, now: &Look, asked: bool) -> Step {
        let in_force = self.in_force.files();
        let agreed = now.files.contents.agreed(&before.files.contents, in_force);
        let mut stale = now.files.stale.clone();
        let mut step = Step::Unchanged;
        if agreed != *in_force {
            let (text, in_force) = (self.in_force.text.clone(), in_force.clone());
            let load_text = text.clone();
            let rotated = self
                .looks
                .on_disk(move |loader| loader.rotate(&load_text, &in_force, &agreed))
                .await;
            let Some(rotated) = rotated else {
                return self.refuse_unless_known(vec![DISK_HANGS.to_owned()], asked);
            };
            stale.extend(rotated.stale);
            if let Some(loaded) = rotated.loaded {
                step = self.apply(InForce { text, loaded }, asked);
            }
        }
        self.state.set_stale_files(stale);
        step
    }

    /// Takes the configuration file if it is another one than that in force. `asked`: somebody waits for the result.
    pub(super) async fn take_text(&mut self, now: &Look, asked: bool) -> Step {
        let text = match &now.text {
            Ok(text) => text.clone(),
            Err(faults) => {
                let faults = faults.iter().map(ToString::to_string).collect();
                return self.refuse_unless_known(faults, asked);
            }
        };
        if text == self.in_force.text {
            if !self.refused.is_empty() {
                tracing::info!("configuration file equals the configuration in force again");
                self.refused.clear();
            }
            if asked {
                self.state.note_success();
            } else {
                self.state.note_restored();
            }
            return Step::Unchanged;
        }
        let (load_text, known) = (text.clone(), FileContents::default());
        let loaded = self
            .looks
            .on_disk(move |loader| loader.load(&load_text, &known))
            .await;
        match loaded {
            None => self.refuse_unless_known(vec![DISK_HANGS.to_owned()], asked),
            Some(Ok(loaded)) => {
                let step = self.apply(InForce { text, loaded }, asked);
                if !matches!(step, Step::Refused) {
                    self.refused.clear();
                    self.state.note_success();
                }
                step
            }
            Some(Err(faults)) => {
                let faults = faults.iter().map(ToString::to_string).collect();
                self.refuse_unless_known(faults, asked)
            }
        }
    }

    /// Puts a configuration in force, whole or not at all.
    fn apply(&mut self, new: InForce, asked: bool) -> Step {
        let changes = self.in_force.config().difference(new.config());
        if changes.is_empty() {
            // A comment, or the order of the keys.
            self.in_force = new;
            return Step::Unchanged;
        }
        self.notices.begin();
        let targets = match self.parts.apply(self.in_force.config(), new.config()) {
            Ok(targets) => targets,
            Err(error) => {
                return self.refuse_unless_known(vec![format!("{error:#}")], asked);
            }
        };
        self.in_force = new;
        let config = self.in_force.config();
        self.state.set_in_force(config);
        let keys: Vec<_> = changes
            .into_iter()
            .map(|change| KeyChangeJson {
                kind: kind(change.kind),
                key: change.key,
            })
            .collect();
        for change in &keys {
            tracing::info!(
                key = change.key,
                change = change.kind.as_str(),
                "configuration changed"
            );
        }
        for key in self.state.restart_required() {
            tracing::warn!(
                key,
                "changed key of the configuration needs a restart of the relay"
            );
        }
        Step::Changed { keys, targets }
    }

    /// Refuses a configuration. Faults that are known are logged again only if somebody waits for the result.
    fn refuse_unless_known(&mut self, faults: Vec<String>, asked: bool) -> Step {
        match asked || self.refused != faults {
            true => self.refuse(faults),
            false => Step::Refused,
        }
    }

    /// Keeps the configuration in force, and logs the faults of the refused configuration.
    pub(super) fn refuse(&mut self, faults: Vec<String>) -> Step {
        self.notices.begin();
        for fault in &faults {
            tracing::error!(fault, "configuration refused, configuration in force kept");
        }
        self.state.note_failure(&faults);
        self.refused = faults;
        Step::Refused
    }

    pub(super) fn report(&self, step: Step) -> ReloadReport {
        let state = self.state.config();
        let report = ReloadReport {
            hash: state.hash,
            restart_required: state.restart_required,
            stale_files: state.stale_files,
            ..ReloadReport::default()
        };
        match step {
            Step::Unchanged => report,
            Step::Changed { keys, targets } => ReloadReport {
                result: ReloadResult::Changed,
                changes: keys,
                targets,
                ..report
            },
            Step::Refused => ReloadReport {
                result: ReloadResult::Refused,
                faults: self.refused.clone(),
                ..report
            },
        }
    }
}

fn kind(kind: ChangeKind) -> Change {
    match kind {
        ChangeKind::Added => Change::Added,
        ChangeKind::Removed => Change::Removed,
        ChangeKind::Changed => Change::Changed,
    }
}

/// The report of a relay that stops.
pub(super) fn stopping() -> ReloadReport {
    ReloadReport {
        result: ReloadResult::Refused,
        faults: vec!["the relay stops: nothing is reloaded".to_owned()],
        ..ReloadReport::default()
    }
}
