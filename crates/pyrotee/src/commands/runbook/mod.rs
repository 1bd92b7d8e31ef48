//! `pyrotee runbook`: prints the page of an alert, which the binary carries, or the list of all alerts.

mod pages;

use pages::Page;
use pyrotee_terminal::{Table, print, without_links};

const EXAMPLES: &str = "\
Examples:
  pyrotee runbook
      All alerts with severity and meaning, and how to run the commands of the pages on a host,
      in a container and in a pod

  pyrotee runbook PyroteeTargetFailing
      What the alert means, how to see its cause and what to do; the start of the name may be
      left out: pyrotee runbook targetfailing

The pages are those of docs/runbook, for the version of this binary.

Exit codes: 0 printed, 2 there is no such page.";

/// Print the runbook page of an alert, or the list of all alerts
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Name of the alert, such as PyroteeTargetFailing or targetfailing
    #[arg(value_name = "NAME", value_parser = page)]
    page: Option<Page>,
}

/// Prints a page, or the list.
///
/// # Errors
/// The output cannot be written.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.page {
        Some(page) => print(&without_links(page.text)),
        None => print(&list()),
    }
}

/// The list of alerts, then how to run the commands of the pages.
fn list() -> String {
    let mut table = Table::new(["ALERT", "SEVERITY", "MEANING"]);
    for alert in pages::listed() {
        table.row([alert.name, alert.severity, alert.meaning].map(str::to_owned));
    }
    let commands = without_links(pages::commands());
    format!("{}\n## {commands}\n", table.render(usize::MAX))
}

/// The page that `name` names.
///
/// # Errors
/// There is none; the text has the most similar name.
fn page(name: &str) -> Result<Page, String> {
    Page::named(name)
        .copied()
        .ok_or_else(|| match Page::similar_to(name) {
            Some(page) => format!("no such alert; did you mean {}?", page.name),
            None => "no such alert; `pyrotee runbook` lists all".to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_in_any_case_and_without_the_prefix() {
        for name in [
            "PyroteeTargetFailing",
            "pyroteetargetfailing",
            "TargetFailing",
            "targetfailing",
        ] {
            assert_eq!(page(name).map(|page| page.name), Ok("PyroteeTargetFailing"));
        }
    }

    #[test]
    fn an_unknown_name_gets_a_similar_one_or_the_list() {
        for name in [
            "PyroteeTargetFaling",
            "targetfaling",
            "TargetFailed",
            "pyrotee_target_failing",
        ] {
            assert_eq!(
                page(name).unwrap_err(),
                "no such alert; did you mean PyroteeTargetFailing?"
            );
        }
        for name in ["", "x", "KubePodCrashLooping"] {
            assert_eq!(
                page(name).unwrap_err(),
                "no such alert; `pyrotee runbook` lists all"
            );
        }
    }

    #[test]
    fn the_list_has_every_alert_and_the_ways_to_run_a_command() {
        let list = list();
        for page in pages::PAGES {
            assert!(list.contains(page.name), "{}", page.name);
        }
        for word in [
            "critical",
            "warning",
            "docker exec",
            "kubectl exec",
            "systemd-run",
        ] {
            assert!(list.contains(word), "{word}");
        }
        assert!(!list.contains("]("));
    }

    #[test]
    fn no_page_keeps_a_link() {
        for page in pages::PAGES {
            assert!(!without_links(page.text).contains("]("), "{}", page.name);
        }
    }
}
