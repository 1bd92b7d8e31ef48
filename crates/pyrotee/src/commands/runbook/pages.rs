//! The pages of `docs/runbook` that the binary carries.

/// The start of the name of every alert, which may be left out on the command line.
const PREFIX: &str = "Pyrotee";

/// The list of all alerts, with severity and meaning.
const INDEX: &str = include_str!("../../../../../docs/runbook/README.md");

/// Heading of the section that [`commands`] returns.
const COMMANDS: &str = "How to run the commands";

/// The page of one alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    /// Name of the alert.
    pub(super) name: &'static str,
    /// The page as Markdown.
    pub(super) text: &'static str,
}

macro_rules! pages {
    ($($name:literal)*) => {
        &[$(Page {
            name: $name,
            text: include_str!(concat!("../../../../../docs/runbook/", $name, ".md")),
        }),*]
    };
}

/// All pages, in the order of the list.
pub(super) const PAGES: &[Page] = pages! {
    "PyroteeDown"
    "PyroteeRestarting"
    "PyroteeConfigRefused"
    "PyroteeSecretFileStale"
    "PyroteeCertificateExpiring"
    "PyroteeCertificateExpired"
    "PyroteeRestartRequired"
    "PyroteeTargetFailing"
    "PyroteeTargetRefusing"
    "PyroteeTargetRejecting"
    "PyroteeTargetThrottling"
    "PyroteeDroppingProfiles"
    "PyroteeProfilesRejected"
    "PyroteeProfilesUnusable"
    "PyroteeMemoryLimit"
    "PyroteeBacklogGrowing"
    "PyroteeBacklogExpiring"
    "PyroteeQueueAlmostFull"
    "PyroteeSpoolAlmostFull"
    "PyroteeSpoolFillingUp"
    "PyroteeSpoolDiskShort"
    "PyroteeSpoolInMemory"
    "PyroteeSpoolWaiting"
    "PyroteeDeadLettersWaiting"
    "PyroteeDeadLettersLost"
    "PyroteeDeadLettersEvicted"
    "PyroteeSpoolUnreadable"
    "PyroteeSpoolDamaged"
    "PyroteeSpoolOrphans"
    "PyroteeSharedDisconnected"
    "PyroteeSharedBacklogStuck"
    "PyroteeSharedStreamNearlyFull"
    "PyroteeSharedRedeliveries"
    "PyroteeSharedMismatch"
    "PyroteeUpstreamFailing"
    "PyroteeLoop"
    "PyroteeProfilesMayBeDoubled"
    "PyroteeConnectionLimit"
    "PyroteeNoProfiles"
    "PyroteeScrapeNoTargets"
    "PyroteeScrapeTargetsDown"
    "PyroteeScrapeSkipping"
    "PyroteeThreadPanicked"
    "PyroteeUnaccountedProfiles"
};

impl Page {
    /// The page of the alert `name`, in any case and with or without the prefix.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        PAGES.iter().find(|page| {
            page.name.eq_ignore_ascii_case(name) || page.short_name().eq_ignore_ascii_case(name)
        })
    }

    /// The page whose name is most similar to `name`. `None`: no name is similar.
    pub(super) fn similar_to(name: &str) -> Option<&'static Self> {
        let plain = name.to_ascii_lowercase().replace(['_', '-', ' '], "");
        let plain = plain.strip_prefix("pyrotee").unwrap_or(&plain);
        let near = PAGES.iter().map(|page| {
            let name = page.short_name().to_ascii_lowercase();
            (strsim::damerau_levenshtein(&name, plain), page)
        });
        let (distance, page) = near.min_by_key(|(distance, _)| *distance)?;
        (distance <= page.short_name().len() / 3).then_some(page)
    }

    /// The name of the alert without the prefix.
    fn short_name(&self) -> &'static str {
        self.name.strip_prefix(PREFIX).unwrap_or(self.name)
    }
}

/// The section of the list that says how to run the commands of the pages on a host, in a container and in a pod.
pub(super) fn commands() -> &'static str {
    let section = INDEX.split("\n## ").find(|it| it.starts_with(COMMANDS));
    section.unwrap_or_default().trim_end()
}

/// An alert of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListedAlert {
    pub(super) name: &'static str,
    pub(super) severity: &'static str,
    pub(super) meaning: &'static str,
}

/// The alerts of the list, in its order.
pub(super) fn listed() -> impl Iterator<Item = ListedAlert> {
    INDEX.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("| [")?.split_once(']')?;
        let mut cells = rest.split('|').map(str::trim).skip(1);
        Some(ListedAlert {
            name,
            severity: cells.next()?,
            meaning: cells.next()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use pyrotee_net::ExchangeErrorKind;
    use pyrotee_queue::Reason;
    use pyrotee_spool::Mode;

    use super::*;

    #[test]
    fn every_page_of_the_runbook_is_in_the_binary() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/runbook");
        let entries = fs::read_dir(folder).unwrap();
        let files = entries.filter_map(|entry| entry.unwrap().file_name().into_string().ok());
        let names = files.filter_map(|file| file.strip_suffix(".md").map(str::to_owned));
        let mut files: Vec<_> = names.filter(|name| name != "README").collect();
        files.sort();
        let mut names: Vec<_> = PAGES.iter().map(|page| page.name).collect();
        names.sort_unstable();
        assert_eq!(names, files);
    }

    #[test]
    fn the_list_names_every_page_once_and_in_this_order() {
        let listed: Vec<_> = listed().map(|alert| alert.name).collect();
        let names: Vec<_> = PAGES.iter().map(|page| page.name).collect();
        assert_eq!(listed, names);
    }

    #[test]
    fn every_remedy_of_a_log_line_stands_on_a_page() {
        let kinds = ExchangeErrorKind::ALL.map(ExchangeErrorKind::remedy);
        let reasons = Reason::ALL.map(Reason::remedy);
        let pages: Vec<_> = PAGES.iter().map(|page| page.text).chain([INDEX]).collect();
        let modes = [Mode::Waiting, Mode::MemoryOnly, Mode::ReadErrors].map(Mode::remedy);
        for remedy in kinds.iter().chain(&reasons).chain(&modes) {
            assert!(pages.iter().any(|page| page.contains(remedy)), "{remedy}");
        }
    }

    #[test]
    fn a_listed_alert_has_a_severity_and_a_meaning() {
        for alert in listed() {
            assert!(
                ["critical", "warning"].contains(&alert.severity),
                "{alert:?}"
            );
            assert!(alert.meaning.contains(' '), "{alert:?}");
        }
    }
}
