//! Tests of goals with invented results.

use super::{
    At, Goal,
    evaluate::{Verdict, evaluate},
    table,
};
use crate::run::{Line, Results};

fn outcome(cell: &str, candidate: &str, round: u32, figures: &[(&str, f64)]) -> Line {
    let figures: std::collections::BTreeMap<_, _> = figures
        .iter()
        .map(|(name, value)| ((*name).to_owned(), *value))
        .collect();
    let text = serde_json::json!({
        "kind": "cell", "cell": cell, "candidate": candidate, "round": round, "repeated": 0, "noisy": false,
        "foreign": [0.0, 0.0], "figures": figures, "faults": [],
    });
    serde_json::from_value(text).unwrap()
}

fn goal(text: &str) -> Goal {
    toml::from_str(&format!("id = 'X'\nwhat = 'x'\n{text}")).unwrap()
}

fn results(lines: Vec<Line>) -> Results {
    let mut results = Results::default();
    lines.into_iter().for_each(|line| results.add(line));
    results
}

#[test]
fn a_ratio_is_taken_within_a_round_and_its_median_counts() {
    let goals = [goal(
        "of='a'\nagainst='b'\nfigure='f'\ncells=['c']\ngate=1.5\naim=1.0",
    )];
    let mut lines = Vec::new();
    // Ratios 2, 1.2 and 0.5; the figures differ much between the rounds.
    for (round, of, base) in [(1, 2.0, 1.0), (2, 120.0, 100.0), (3, 5.0, 10.0)] {
        lines.push(outcome("c", "a", round, &[("f", of)]));
        lines.push(outcome("c", "b", round, &[("f", base)]));
    }
    let results = results(lines);
    let rows = evaluate(&goals, &results);
    let now = rows[0].now.unwrap();
    assert_eq!((now.min, now.median, now.max), (0.5, 1.2, 2.0));
    assert_eq!(rows[0].verdict, Verdict::Kept);
}

#[test]
fn a_missed_gate_and_a_cell_that_was_not_run_are_told_apart() {
    let goals = [goal(
        "of='a'\nfigure='f'\ncells=['c','d']\ngate=1.0\naim=0.5\npick='worst'",
    )];
    let results = results(vec![
        outcome("c", "a", 1, &[("f", 0.1)]),
        outcome("c", "a", 2, &[("f", 1.1)]),
    ]);
    let verdicts: Vec<_> = evaluate(&goals, &results)
        .iter()
        .map(|row| row.verdict)
        .collect();
    assert_eq!(verdicts, [Verdict::Missed, Verdict::NotRun]);
}

#[test]
fn a_sick_cell_is_compared_with_the_healthy_one_of_its_shape() {
    let text = "of='a'\nbeside='healthy'\nfigure='f'\ncells=['hang:*']\ngate=1.0\naim=1.0";
    let (ratio, allowed) = (goal(text), goal(&format!("{text}\nwithin=0.5")));
    let results = results(vec![
        outcome("hang:x", "a", 1, &[("f", 1.4)]),
        outcome("healthy:x", "a", 1, &[("f", 1.0)]),
        outcome("healthy:y", "a", 1, &[("f", 9.0)]),
    ]);
    let goals = [ratio, allowed];
    let rows = evaluate(&goals, &results);
    assert_eq!(rows[0].verdict, Verdict::Missed);
    assert_eq!(
        rows[1].verdict,
        Verdict::Kept,
        "a difference of 0.4 is within 0.5"
    );
}

#[test]
fn what_is_added_is_what_comes_on_top_of_a_direct_connection() {
    let goals = [goal(
        "of='a'\nagainst='b'\nfigure='added_f'\ncells=['c']\ngate=0.5\naim=0.4",
    )];
    let results = results(vec![
        outcome("c", "direct", 1, &[("f", 1.0)]),
        outcome("c", "a", 1, &[("f", 2.0)]),
        outcome("c", "b", 1, &[("f", 3.0)]),
    ]);
    assert_eq!(evaluate(&goals, &results)[0].now.unwrap().median, 0.5);
}

#[test]
fn of_many_cells_those_that_miss_a_goal_are_shown_and_the_worst_of_the_others() {
    let goals = [goal("of='a'\nfigure='f'\ncells=['*']\ngate=1.0\naim=0.1")];
    let values = [0.3, 0.9, 2.0, 0.5, 0.4, 0.6];
    let lines = values.iter().enumerate();
    let lines = lines.map(|(index, value)| outcome(&format!("c{index}"), "a", 1, &[("f", *value)]));
    let results = results(lines.collect());
    let rows = evaluate(&goals, &results);
    let table = table(&rows, true);
    let cells: Vec<_> = table
        .lines()
        .skip(2)
        .map(|line| line.split('|').nth(3).unwrap().trim())
        .collect();
    assert_eq!(cells, ["c2", "c1, the worst of 5"]);
}

#[test]
fn the_goals_that_are_built_in_can_be_read() {
    let goals = Goal::all(None).unwrap();
    let ids: std::collections::BTreeSet<_> = goals.iter().map(|goal| goal.id.as_str()).collect();
    for id in ["P1", "P10", "F1", "F5", "M1", "M3", "D1", "S1", "G3"] {
        assert!(ids.contains(id), "{id} is missing");
    }
    // An aim that is easier than its gate could never fail.
    for goal in goals {
        let further = if goal.at == At::Most {
            goal.aim <= goal.gate
        } else {
            goal.aim >= goal.gate
        };
        assert!(further, "{}: {}", goal.id, goal.what);
    }
}
