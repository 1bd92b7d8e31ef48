//! Tests of the keys for the meaning of responses, and for how long and how fast profiles are sent again.

use std::{num::NonZeroU64, time::Duration};

use pyroscope_wire::refusal::{Meaning, Rule};

use super::{target, yaml};
use crate::{Config, OnAmbiguous, Target};

fn bar(config: &Config) -> &Target {
    &config.remote_write.targets[0]
}

fn outcomes(config: &Config) -> Vec<(String, &'static str)> {
    let rules = bar(config).outcomes.own();
    let pair = |rule: &Rule| (rule.pattern(), rule.meaning().as_str());
    rules.iter().map(pair).collect()
}

#[track_caller]
fn fault(lines: &str, fault: &str) {
    target(lines).fault_is(&format!("pyrotee.yaml:6: remote-write.targets.bar.{fault}"));
}

#[test]
fn profiles_are_kept_for_55_minutes_and_sent_again_at_2_mb_a_second() {
    let config = target("").config();
    let bar = bar(&config);
    assert_eq!(bar.max_age, Some(Duration::from_secs(55 * 60)));
    assert_eq!(bar.on_ambiguous, OnAmbiguous::Retry);
    assert_eq!(bar.replay_rate, NonZeroU64::new(2_000_000));
    assert_eq!(bar.outcomes.own(), []);
}

#[test]
fn zero_is_no_limit() {
    let config = target("      max-age: 0\n      replay-rate: 0\n").config();
    assert_eq!(bar(&config).max_age, None);
    assert_eq!(bar(&config).replay_rate, None);
    let written = config.to_yaml();
    assert!(written.contains("max-age: 0s\n"), "{written}");
    assert!(written.contains("replay-rate: 0\n"), "{written}");
    assert_eq!(yaml(&written).config().to_yaml(), written);
}

#[test]
fn limits_and_choices_are_taken() {
    let config = target(
        "      max-age: 10m\n      on-ambiguous: drop\n      replay-rate: 512KiB\n      \
         outcomes: { 409: ok }\n",
    )
    .config();
    let bar = bar(&config);
    assert_eq!(bar.max_age, Some(Duration::from_secs(600)));
    assert_eq!(bar.on_ambiguous, OnAmbiguous::Drop);
    assert_eq!(bar.replay_rate, NonZeroU64::new(512 << 10));
    assert_eq!(bar.outcomes.judge(409, ""), Meaning::Taken);
}

#[test]
fn outcomes_are_kept_in_the_order_of_the_file_with_texts_first() {
    let config = target(
        "      outcomes:\n        504: ambiguous\n        404: transient\n        \
         \"422 quota: used\": throttled\n        422 $Out of Order: rejected\n",
    )
    .config();
    let expected = [
        ("422 quota: used".to_owned(), "throttled"),
        ("422 $Out of Order".to_owned(), "rejected"),
        ("504".to_owned(), "ambiguous"),
        ("404".to_owned(), "transient"),
    ];
    assert_eq!(outcomes(&config), expected);

    let written = config.to_yaml();
    assert!(
        written.ends_with(
            "      outcomes:\n        \"422 quota: used\": throttled\n        \
             \"422 $Out of Order\": rejected\n        \"504\": ambiguous\n        \
             \"404\": transient\n"
        ),
        "{written}"
    );
    let again = yaml(&written).config();
    assert_eq!(bar(&again).outcomes, bar(&config).outcomes);
    assert_eq!(again.to_yaml(), written);
}

#[test]
fn a_success_may_be_told_to_be_one() {
    let config = target("      outcomes: { 200: ok, 202 Welcome: ok }\n").config();
    let expected = [("202 Welcome".to_owned(), "ok"), ("200".to_owned(), "ok")];
    assert_eq!(outcomes(&config), expected);
    let rules = &bar(&config).outcomes;
    assert!(rules.acknowledges(200, "<html>"));
    assert!(rules.acknowledges(202, "<b>welcome</b>"));
    assert!(!rules.acknowledges(202, "<html>"));
}

#[test]
fn the_environment_sets_outcomes_of_a_status() {
    let config = target("      outcomes: { 404: broken }\n")
        .env(
            "PYROTEE__REMOTE_WRITE__TARGETS__BAR__OUTCOMES__404",
            "transient",
        )
        .env(
            "PYROTEE__REMOTE_WRITE__TARGETS__BAR__OUTCOMES__504",
            "ambiguous",
        )
        .env("PYROTEE__REMOTE_WRITE__TARGETS__BAR__MAX_AGE", "1m")
        .config();
    assert_eq!(
        outcomes(&config),
        [
            ("404".to_owned(), "transient"),
            ("504".to_owned(), "ambiguous")
        ]
    );
    assert_eq!(bar(&config).max_age, Some(Duration::from_secs(60)));
}

#[test]
fn every_faulty_row_is_told_and_both_sides_of_it() {
    let case = target(
        "      outcomes:\n        404: sometimes\n        4xx: rejected\n        200: never\n        \
         204: rejected\n        422 Late: rejected\n        422 late: transient\n        \
         503: [ok]\n        504:\n",
    );
    assert_eq!(
        case.faults(),
        "\
pyrotee.yaml:7: remote-write.targets.bar.outcomes.404: `sometimes` is not known; write one of ok, throttled, transient, ambiguous, rejected, broken
pyrotee.yaml:8: remote-write.targets.bar.outcomes.4xx: does not begin with a status from 100 to 599; write it as in `503` or `422 out of order`
pyrotee.yaml:9: remote-write.targets.bar.outcomes.200: `never` is not known; write one of ok, throttled, transient, ambiguous, rejected, broken
pyrotee.yaml:10: remote-write.targets.bar.outcomes.204: is a success; write `ok`, so that an HTML page counts as a success as well, or remove the rule
pyrotee.yaml:12: remote-write.targets.bar.outcomes.422…: differs from another pattern only in case or spaces; keep one of the two
pyrotee.yaml:13: remote-write.targets.bar.outcomes.503: takes one value, not a list or map; write `key: value`
pyrotee.yaml:14: remote-write.targets.bar.outcomes.504: an empty value is not known; write one of ok, throttled, transient, ambiguous, rejected, broken
7 faults in the configuration"
    );
}

#[test]
fn faults_of_the_other_keys_are_those_of_their_notation() {
    fault(
        "      max-age: 55\n",
        "max-age: `55` has no unit; write one, as in 5s, 500ms or 1h30m",
    );
    fault(
        "      max-age: -1h\n",
        "max-age: `-1h` is negative; write a duration such as 10s",
    );
    fault(
        "      on-ambiguous: keep\n",
        "on-ambiguous: `keep` is not known; write one of retry, drop",
    );
    fault(
        "      replay-rate: fast\n",
        "replay-rate: `fast` is not a size; write one such as 64MiB, 5M or 1048576",
    );
    fault(
        "      outcomes: drop\n",
        "outcomes: takes keys of its own; indent them below it as `key: value`",
    );
}

#[test]
fn an_age_that_no_pyroscope_takes_is_warned_of() {
    let refuses = "a Pyroscope refuses profiles older than 1h unless its \
                   `validation.reject-older-than` says otherwise";
    for (age, warned) in [
        ("1h", None),
        ("61m", Some("1h1m is more than 1h")),
        ("0", Some("is off")),
    ] {
        let warnings = target(&format!("      max-age: {age}\n"))
            .config()
            .warnings();
        let expected: Vec<_> = warned
            .map(|given| format!("remote-write.targets.bar.max-age: {given}; {refuses}"))
            .into_iter()
            .collect();
        assert_eq!(warnings, expected, "{age}");
    }
}
