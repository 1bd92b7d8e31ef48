//! A short run of the bench itself: a healthy relay and sick targets, all sizes and framings of bodies. No times are
//! checked.

#![allow(clippy::unwrap_used, reason = "a panic is a failing test")]

use std::{
    path::Path,
    process::{Command, Output},
    thread,
};

const BENCH: &str = env!("CARGO_BIN_EXE_pyrotee-bench");

#[test]
fn sick_targets_are_not_noticed_and_bodies_arrive_byte_for_byte() {
    let relay = Path::new(BENCH).with_file_name("pyrotee");
    assert!(
        relay.is_file(),
        "there is no {}: run `make test`, or `cargo build` before",
        relay.display()
    );
    let folder = tempfile::tempdir().unwrap();
    let run = |set: &str, only: &str| {
        let into = folder.path().join(only.replace(':', ""));
        let output = bench(folder.path(), |command| {
            command.args(["run", "--set", set, "--only", only]);
            command.args(["--seconds", "0.3", "--patience", "0", "--rounds", "1"]);
            command.args(["--candidates", "bare-0,bare-3,relay-0,relay-1,relay-3"]);
            command.arg("--into").arg(&into).env("PYROTEE", &relay);
        });
        assert!(output.status.success(), "{}", said(&output));
        let results = into.read_dir().unwrap().next().unwrap().unwrap().path();
        assert_eq!(results.extension().unwrap(), "jsonl");
        results
    };
    // Each run mostly waits, so the runs share the machine.
    let results = thread::scope(|scope| {
        let exact = scope.spawn(|| run("ci", "exact:"));
        let over_tls = scope.spawn(|| run("tls", "tls-both:1MB@40"));
        [
            run("ci", ":50KB@200"),
            exact.join().unwrap(),
            over_tls.join().unwrap(),
        ]
    });

    let check = bench(folder.path(), |command| {
        command.arg("check").args(&results);
    });
    let table = said(&check);
    // Gates on times are missed when other processes use the cores. These goals do not depend on times.
    for goal in ["F1", "F3", "D1", "S1"] {
        let rows: Vec<_> = table
            .lines()
            .filter(|line| line.starts_with(&format!("| {goal} ")))
            .collect();
        assert!(
            rows.iter().any(|row| !row.contains("not run")),
            "{goal}: {table}"
        );
        // The rate depends on time, too.
        let missed = rows
            .iter()
            .find(|row| row.contains("missed") && !row.contains("a second"));
        assert_eq!(missed, None, "{table}");
    }

    let report = bench(folder.path(), |command| {
        command.arg("report").args(&results);
    });
    assert!(report.status.success(), "{}", said(&report));
    let text = said(&report);
    assert!(text.contains("| hang:50KB@200 | relay-3 |"), "{text}");
}

#[test]
fn a_gate_that_is_missed_fails_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results.jsonl");
    let goals = folder.path().join("goals.toml");
    let line = r#"{"kind":"cell","cell":"c","candidate":"relay-3","round":1,"repeated":0,"noisy":false,
        "foreign":[0,0],"figures":{"f":2.0},"faults":[]}"#;
    std::fs::write(&results, line.replace('\n', "")).unwrap();
    let goal = |gate: f64| {
        format!(
            "[[goal]]\nid='X'\nwhat='x'\nof='relay-3'\nfigure='f'\ncells=['c']\ngate={gate:?}\naim=1.0\n"
        )
    };
    for (gate, met) in [(2.0, true), (1.9, false)] {
        std::fs::write(&goals, goal(gate)).unwrap();
        let check = bench(folder.path(), |command| {
            command.arg("check").args([&results, &goals]);
        });
        assert_eq!(check.status.success(), met, "{}", said(&check));
    }
}

fn bench(folder: &Path, arguments: impl FnOnce(&mut Command)) -> Output {
    let mut command = Command::new(BENCH);
    command.current_dir(folder);
    arguments(&mut command);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr]
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .concat()
}
