//! The status of a relay as a table for people.

use std::time::{Duration, SystemTime};

use pyrotee_admin::json::status::{
    DegradationJson, LastErrorJson, RemovedJson, StatusPage, SuspensionJson, TargetJson,
};
use pyrotee_client::visible;

use super::configuration;
use crate::terminal::{Table, age, profiles};

const HEAD: [&str; 8] = [
    "TARGET",
    "STATE",
    "PENDING",
    "OLDEST",
    "SENT",
    "DROPPED",
    "LAST SUCCESS",
    "LAST ERROR",
];

/// Shown in place of a missing value.
const NOTHING: &str = "-";

/// Time, version and uptime of the relay.
pub(super) fn title(page: &StatusPage) -> String {
    let up = since(&page.started, time(&page.time)).unwrap_or_else(|| NOTHING.to_owned());
    let (time, version) = (visible(&page.time), visible(&page.version));
    format!("{time}  pyrotee {version}, up {up}")
}

/// A row for each target, and below it a line for each surface that is suspended; then a line for each part of the
/// relay that is degraded, and for each trouble with the configuration. Rows are at most `width` wide if that is possible.
pub(super) fn render(page: &StatusPage, width: usize) -> String {
    let degraded = page.degraded.iter().map(DegradationJson::line);
    let lines = degraded.chain(page.config.iter().flat_map(configuration::lines));
    let lines = lines.map(|line| visible(line.trim_end()) + "\n");
    targets(page, width) + &lines.collect::<String>()
}

fn targets(page: &StatusPage, width: usize) -> String {
    if page.targets.is_empty() && page.removed.is_empty() {
        return "no targets: remote-write.enabled is false\n".to_owned();
    }
    let now = time(&page.time);
    let mut table = Table::new(HEAD);
    for target in &page.targets {
        table.row(row(target, now));
        for surface in &target.suspended {
            table.note(&format!("  {}", suspended(surface)));
        }
    }
    for target in &page.removed {
        table.row(removed_row(target, now));
    }
    table.render(width)
}

/// The row of a target that is not configured any more, and whose profiles are pending on disk.
fn removed_row(target: &RemovedJson, now: Option<SystemTime>) -> [String; HEAD.len()] {
    let oldest = target.oldest_pending_age_seconds.and_then(age_of);
    let dropped = target.dropped.values().map(|amount| amount.profiles);
    [
        target.name.clone(),
        format!("removed {}", ago(&target.since, now)),
        profiles(target.pending.profiles, target.pending.bytes),
        oldest.unwrap_or_else(|| NOTHING.to_owned()),
        target.sent.profiles.to_string(),
        dropped.fold(0, u64::saturating_add).to_string(),
        NOTHING.to_owned(),
        NOTHING.to_owned(),
    ]
}

fn row(target: &TargetJson, now: Option<SystemTime>) -> [String; HEAD.len()] {
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
    let state = &target.state;
    let dropped = target.dropped.values().map(|amount| amount.profiles);
    let success = target.last_success.as_deref().map(|at| ago(at, now));
    let mut shown = match target.next_try_seconds.and_then(age_of) {
        Some(next) => format!("{state}, next in {next}"),
        None => state.clone(),
    };
    if let Some(until) = &target.draining_until {
        shown = format!("{shown}, removed, draining for {}", left(until, now));
    }
    [
        target.name.clone(),
        shown,
        profiles(target.pending.profiles, target.pending.bytes),
        or_nothing(target.oldest_pending_age_seconds.and_then(age_of)),
        target.sent.profiles.to_string(),
        dropped.fold(0, u64::saturating_add).to_string(),
        success.unwrap_or_else(|| "never".to_owned()),
        or_nothing(target.last_error.as_ref().map(|error| failure(error, now))),
    ]
}

fn failure(error: &LastErrorJson, now: Option<SystemTime>) -> String {
    let status = error.status.map(|status| format!("{status} "));
    let (ago, text) = (ago(&error.at, now), &error.text);
    format!("{ago}: {}{text}", status.unwrap_or_default())
}

fn suspended(
    SuspensionJson {
        surface,
        next_try_seconds,
    }: &SuspensionJson,
) -> String {
    match next_try_seconds.and_then(age_of) {
        Some(next) => format!("{surface} suspended, next try in {next}"),
        None => format!("{surface} suspended, being tried now"),
    }
}

fn time(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok()
}

/// Time since `at`, by the clock of the relay: the clock of the reader may differ.
fn since(at: &str, now: Option<SystemTime>) -> Option<String> {
    Some(age(now?.duration_since(time(at)?).unwrap_or_default()))
}

fn ago(at: &str, now: Option<SystemTime>) -> String {
    since(at, now).map_or_else(|| at.to_owned(), |age| format!("{age} ago"))
}

/// Time left until `at`, by the clock of the relay.
fn left(at: &str, now: Option<SystemTime>) -> String {
    let left = now.and_then(|now| Some(time(at)?.duration_since(now).unwrap_or_default()));
    left.map_or_else(|| at.to_owned(), age)
}

fn age_of(seconds: f64) -> Option<String> {
    Duration::try_from_secs_f64(seconds).ok().map(age)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::configuration::tests::good;
    use super::*;

    fn target(name: &str) -> Value {
        let none = json!({ "profiles": 0, "bytes": 0 });
        json!({
            "name": name, "address": "http://h", "state": "healthy", "next_try_seconds": null,
            "suspended": [], "last_success": null, "last_error": null,
            "oldest_pending_age_seconds": null, "attempts": 0,
            "uploads": { "in_flight": 0, "limit": 4, "most": 64 },
            "accepted": none, "sent": none, "pending": none, "dropped": {},
        })
    }

    fn failing(name: &str, text: &str) -> Value {
        let mut target = target(name);
        for (field, value) in [
            ("state", json!("open")),
            ("next_try_seconds", json!(12.9)),
            ("last_success", json!("2026-11-24T05:00:00.000Z")),
            ("oldest_pending_age_seconds", json!(200.5)),
            ("pending", json!({ "profiles": 40, "bytes": 1_572_864 })),
            ("sent", json!({ "profiles": 1_234, "bytes": 9 })),
            (
                "dropped",
                json!({
                    "expired": { "profiles": 3, "bytes": 1 },
                    "queue_full": { "profiles": 4, "bytes": 1 },
                }),
            ),
            (
                "last_error",
                json!({
                    "at": "2026-11-24T05:59:57.500Z", "outcome": "transient", "status": 503,
                    "text": text,
                }),
            ),
        ] {
            target[field] = value;
        }
        target
    }

    fn page(targets: &[Value]) -> StatusPage {
        let page = json!({
            "version": "0.1.0", "started": "2026-11-22T03:00:00.000Z",
            "time": "2026-11-24T06:00:00.000Z", "targets": targets, "removed": [],
        });
        serde_json::from_value(page).unwrap()
    }

    #[test]
    fn columns_are_aligned_and_tell_what_is_known() {
        let shown = render(
            &page(&[target("eu"), failing("central", "no upstream")]),
            120,
        );
        assert_eq!(
            shown,
            "\
TARGET   STATE              PENDING       OLDEST  SENT  DROPPED  LAST SUCCESS  LAST ERROR
eu       healthy            0             -       0     0        never         -
central  open, next in 12s  40 (1.5 MiB)  3m20s   1234  7        1h0m ago      2s ago: 503 no upstream
"
        );
    }

    #[test]
    fn a_removed_target_has_a_row_of_its_own() {
        let mut page = page(&[target("eu")]);
        let none = json!({ "profiles": 0, "bytes": 0 });
        let removed = json!([{
            "name": "old", "since": "2026-11-24T03:00:00.000Z", "oldest_pending_age_seconds": 200.5,
            "unread": 0, "accepted": none, "sent": none,
            "pending": { "profiles": 40, "bytes": 1_572_864 }, "dropped": { "corrupt": none },
        }]);
        page.removed = serde_json::from_value(removed).unwrap();
        let shown = render(&page, 120);
        let row = shown.lines().nth(2).unwrap();
        assert!(
            row.starts_with("old     removed 3h0m ago  40 (1.5 MiB)  3m20s"),
            "{shown}"
        );
    }

    #[test]
    fn a_draining_target_is_marked() {
        let mut draining = failing("old", "no upstream");
        draining["draining_until"] = json!("2026-11-24T06:09:58.000Z");
        let shown = render(&page(&[target("eu"), draining]), 200);
        assert!(
            shown.contains("old     open, next in 12s, removed, draining for 9m58s  40"),
            "{shown}"
        );
        let mut over = target("old");
        over["draining_until"] = json!("2026-11-24T05:00:00.000Z");
        let shown = render(&page(&[over]), 120);
        assert!(
            shown.contains("healthy, removed, draining for 0s "),
            "{shown}"
        );
    }

    #[test]
    fn trouble_with_the_configuration_has_lines_below_the_targets() {
        let mut page = page(&[target("eu")]);
        let rows = render(&page, 120);
        page.config = Some(good());
        assert_eq!(render(&page, 120), rows, "nothing is wrong");
        page.config
            .as_mut()
            .unwrap()
            .faults
            .push("\u{1b}c".to_owned());
        let shown = render(&page, 120);
        assert!(
            shown.ends_with("not applied; a restart now would fail\n  \\u{1b}c\n"),
            "{shown}"
        );
    }

    #[test]
    fn a_suspended_surface_has_a_line_below_its_target() {
        let mut suspended = target("eu");
        suspended["suspended"] = json!([
            { "surface": "push", "next_try_seconds": 89.2 },
            { "surface": "otlp", "next_try_seconds": null },
        ]);
        let shown = render(&page(&[suspended, target("us")]), 120);
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines[2], "  push suspended, next try in 1m29s");
        assert_eq!(lines[3], "  otlp suspended, being tried now");
        assert!(lines[4].starts_with("us "), "{shown}");
    }

    #[test]
    fn an_error_is_cut_at_the_edge_of_the_terminal() {
        let page = page(&[failing("central", &"größer ".repeat(40))]);
        for width in [110, 120, 200] {
            let shown = render(&page, width);
            let longest = shown.lines().map(|line| line.chars().count()).max();
            assert_eq!(longest, Some(width), "{shown}");
            assert!(shown.ends_with("…\n"), "{shown}");
        }
        let narrow = render(&page, 10);
        assert!(narrow.contains("2s ago: 503 größer"), "{narrow}");
    }

    #[test]
    fn a_degraded_part_has_a_line_below_the_targets() {
        let mut page = page(&[target("eu")]);
        page.degraded = vec![DegradationJson {
            part: "spool".to_owned(),
            state: "waiting".to_owned(),
            text: "not open for 2s: \u{1b}locked".to_owned(),
        }];
        let shown = render(&page, 20);
        let last = shown.lines().last();
        assert_eq!(
            last,
            Some(r"spool (waiting): not open for 2s: \u{1b}locked")
        );
    }

    #[test]
    fn control_characters_of_a_target_are_shown_not_obeyed() {
        let mut hostile = failing("a\u{1b}[2J", "x\u{9b}2J\r\nforged");
        hostile["state"] = json!("\u{7}open");
        hostile["last_success"] = json!("\u{1b}c");
        hostile["suspended"] = json!([{ "surface": "\u{8}", "next_try_seconds": -1.0 }]);
        let mut page = page(&[hostile]);
        page.time = "\u{1b}]0;title".to_owned();
        let shown = format!("{}\n{}", title(&page), render(&page, 300));
        assert!(
            !shown.contains(|c: char| c.is_control() && c != '\n'),
            "{shown:?}"
        );
        assert_eq!(shown.lines().count(), 4, "{shown}");
        assert!(shown.contains(r"x\u{9b}2J\r\nforged"), "{shown}");
    }

    #[test]
    fn the_title_tells_who_answered_and_when() {
        let told = title(&page(&[]));
        assert_eq!(told, "2026-11-24T06:00:00.000Z  pyrotee 0.1.0, up 2d3h");
    }

    #[test]
    fn a_relay_without_targets_says_why() {
        let shown = render(&page(&[]), 120);
        assert!(shown.contains("remote-write.enabled"), "{shown}");
    }
}
