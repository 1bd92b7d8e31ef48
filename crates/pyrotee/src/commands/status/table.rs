//! The status as a table for people.
//!
//! All that comes from the network passes through [`visible`]: what a target answered must not move
//! the cursor of who reads of it.

use std::time::{Duration, SystemTime};

use bytesize::ByteSize;
use pyrotee_admin::json::Amount;
use pyrotee_admin::json::status::{LastErrorJson, StatusPage, SuspensionJson, TargetJson};

use crate::terminal::visible;

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

/// Between two columns.
const GAP: usize = 2;

/// The last column is never cut below this: a line that wraps still says something.
const LEAST: usize = 24;

/// What stands where there is nothing to tell.
const NOTHING: &str = "-";

/// Who answered, and when.
pub(super) fn title(page: &StatusPage) -> String {
    let up = since(&page.started, time(&page.time)).unwrap_or_else(|| NOTHING.to_owned());
    let (time, version) = (visible(&page.time), visible(&page.version));
    format!("{time}  pyrotee {version}, up {up}")
}

/// A line for each target, and below it one for each surface that it refuses. Lines are at most
/// `width` long, if that is possible.
pub(super) fn render(page: &StatusPage, width: usize) -> String {
    if page.targets.is_empty() {
        return "no targets: remote-write.enabled is false\n".to_owned();
    }
    let now = time(&page.time);
    let rows: Vec<_> = page.targets.iter().map(|it| row(it, now)).collect();
    let mut widths = HEAD.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = line(&HEAD.map(str::to_owned), &widths, width);
    for (target, row) in page.targets.iter().zip(&rows) {
        text.push_str(&line(row, &widths, width));
        for suspension in &target.suspended {
            text.push_str(&format!("  {}\n", suspended(suspension)));
        }
    }
    text
}

/// The last cell gets what the others leave.
fn line(cells: &[String; HEAD.len()], widths: &[usize; HEAD.len()], width: usize) -> String {
    let [cells @ .., last] = cells;
    let mut line = String::new();
    let mut taken = 0;
    for (cell, width) in cells.iter().zip(widths) {
        line.push_str(&format!("{cell:<width$}{:GAP$}", ""));
        taken += width + GAP;
    }
    line.push_str(&cut(last, width.saturating_sub(taken).max(LEAST)));
    line.push('\n');
    line
}

fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let mut text: String = text.chars().take(room.saturating_sub(1)).collect();
    text.push('…');
    text
}

fn row(target: &TargetJson, now: Option<SystemTime>) -> [String; HEAD.len()] {
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
    let state = visible(&target.state);
    let dropped = target.dropped.values().map(|amount| amount.profiles);
    let success = target.last_success.as_deref().map(|at| ago(at, now));
    [
        visible(&target.name),
        match target.next_try_seconds.and_then(age_of) {
            Some(next) => format!("{state}, next in {next}"),
            None => state,
        },
        pending(target.pending),
        or_nothing(target.oldest_pending_age_seconds.and_then(age_of)),
        target.sent.profiles.to_string(),
        dropped.fold(0, u64::saturating_add).to_string(),
        success.unwrap_or_else(|| "never".to_owned()),
        or_nothing(target.last_error.as_ref().map(|error| failure(error, now))),
    ]
}

fn pending(Amount { profiles, bytes }: Amount) -> String {
    match profiles {
        0 => "0".to_owned(),
        _ => format!("{profiles} ({})", ByteSize(bytes).display().iec()),
    }
}

fn failure(error: &LastErrorJson, now: Option<SystemTime>) -> String {
    let status = error.status.map(|status| format!("{status} "));
    let (ago, text) = (ago(&error.at, now), visible(&error.text));
    format!("{ago}: {}{text}", status.unwrap_or_default())
}

fn suspended(
    SuspensionJson {
        surface,
        next_try_seconds,
    }: &SuspensionJson,
) -> String {
    let surface = visible(surface);
    match next_try_seconds.and_then(age_of) {
        Some(next) => format!("{surface} suspended, next try in {next}"),
        None => format!("{surface} suspended, being tried now"),
    }
}

fn time(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok()
}

/// How long ago by the clock of the relay: that of the reader may be another.
fn since(at: &str, now: Option<SystemTime>) -> Option<String> {
    Some(age(now?.duration_since(time(at)?).unwrap_or_default()))
}

fn ago(at: &str, now: Option<SystemTime>) -> String {
    since(at, now).map_or_else(|| visible(at), |age| format!("{age} ago"))
}

fn age_of(seconds: f64) -> Option<String> {
    Duration::try_from_secs_f64(seconds).ok().map(age)
}

/// The two largest units are enough to know what is going on.
pub(crate) fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, ..) => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
            "time": "2026-11-24T06:00:00.000Z", "targets": targets,
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
