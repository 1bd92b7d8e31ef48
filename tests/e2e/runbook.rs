//! `pyrotee runbook`, as a shell sees it: it needs no relay, no configuration and no file.

use std::{collections::BTreeSet, fs, path::Path};

use crate::support::command::run;

/// The names of the alerts, those of the files in `docs/runbook`.
fn alerts() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/runbook");
    let files = fs::read_dir(folder).unwrap();
    let names = files.filter_map(|file| file.unwrap().file_name().into_string().ok());
    names
        .filter_map(|name| name.strip_suffix(".md").map(str::to_owned))
        .filter(|name| name != "README")
        .collect()
}

#[test]
fn the_list_has_a_line_for_each_alert() {
    let done = run("", &["runbook"], &[]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    for name in alerts() {
        let mut lines = done.out.lines().map(str::split_whitespace);
        let line = lines.find_map(|mut words| (words.next() == Some(&*name)).then_some(words));
        let severity = line.and_then(|mut words| words.next());
        assert!(
            matches!(severity, Some("critical" | "warning")),
            "{name}: {severity:?}"
        );
    }
    assert!(done.out.contains("kubectl exec POD"), "{}", done.out);
}

#[test]
fn each_alert_has_a_page_whose_links_are_commands() {
    for name in alerts() {
        let done = run("", &["runbook", &name], &[]);
        assert_eq!(done.code, Some(0), "{name}: {}", done.err);
        assert!(done.out.starts_with(&format!("# {name}\n")), "{}", done.out);
        assert!(!done.out.contains("]("), "{}", done.out);
    }
    let done = run("", &["runbook", "spoolfillingup"], &[]);
    assert!(
        done.out.starts_with("# PyroteeSpoolFillingUp\n"),
        "{}",
        done.out
    );
    assert!(
        done.out.contains("`pyrotee runbook PyroteeTargetFailing`"),
        "{}",
        done.out
    );
}

#[test]
fn an_unknown_name_is_an_error_of_the_command_line() {
    let done = run("", &["runbook", "TargetFaling"], &[]);
    assert_eq!(done.code, Some(2));
    assert!(
        done.err.contains("did you mean PyroteeTargetFailing?"),
        "{}",
        done.err
    );
    assert_eq!(done.out, "");
}
