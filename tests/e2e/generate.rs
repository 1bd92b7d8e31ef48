//! Shell completions and manual pages, as makers of packages generate them.

use std::fs;

use crate::support::command;

/// Every command that a user should know.
const COMMANDS: [&str; 13] = [
    "run",
    "check",
    "sink",
    "send",
    "status",
    "reload",
    "dead-letters",
    "spool",
    "shared",
    "healthcheck",
    "completions",
    "man",
    "version",
];

fn pyrotee(args: &[&str]) -> String {
    let done = command::pyrotee(args);
    assert_eq!(done.code, Some(0), "{args:?}: {done:?}");
    done.out
}

#[test]
fn shells_complete_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = pyrotee(&["completions", shell]);
        for command in COMMANDS {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let home = tempfile::tempdir().unwrap();
    let pages = home.path().join("man/man1");
    pyrotee(&["man", pages.to_str().unwrap()]);
    let index = fs::read_to_string(pages.join("pyrotee.1")).unwrap();
    let index = index.replace(r"\-", "-");
    for command in COMMANDS {
        assert!(index.contains(command), "{command}");
        let page = fs::read_to_string(pages.join(format!("pyrotee-{command}.1"))).unwrap();
        assert!(page.contains("SYNOPSIS"), "{command}: {page}");
    }
}
