use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::super::configuration::tests::good;
use super::super::health::trouble;
use pyrotee_admin::json::status::UpstreamJson;

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

fn removed(name: &str) -> Value {
    let none = json!({ "profiles": 0, "bytes": 0 });
    json!({
        "name": name, "since": "2026-11-24T03:00:00.000Z", "oldest_pending_age_seconds": 200.5,
        "unread": 0, "accepted": none, "sent": none,
        "pending": { "profiles": 40, "bytes": 1_572_864 }, "dropped": { "corrupt": none },
    })
}

fn degraded() -> DegradationJson {
    DegradationJson {
        part: "spool".to_owned(),
        state: "waiting".to_owned(),
        text: "not open for 2s: \u{1b}locked".to_owned(),
    }
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
        Layout::Terminal(120),
    );
    assert_eq!(
        shown,
        "\
TARGET   STATE              PENDING       OLDEST  SENT  DROPPED  LAST SUCCESS  LAST ERROR
eu       healthy            0             -       0     0        never         -
central  open, next in 12s  40 (1.5 MiB)  3m20s   1234  7        1h0m ago      2s ago: 503 no upstream
  dropped 4: queue_full; check whether the target takes profiles (pyrotee status), then raise queue-size or queue-bytes,
    or use a spool
  dropped 3: expired; check why the target took no profiles in time (pyrotee status), or raise its max-age

upstream: none
spool: none
dead letters: none
"
    );
}

#[test]
fn a_removed_target_has_a_row_of_its_own() {
    let mut page = page(&[target("eu")]);
    let removed = json!([removed("old")]);
    page.removed = serde_json::from_value(removed).unwrap();
    let shown = render(&page, Layout::Terminal(120));
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
    let shown = render(&page(&[target("eu"), draining]), Layout::Terminal(200));
    assert!(
        shown.contains("old     open, next in 12s, removed, draining for 9m58s  40"),
        "{shown}"
    );
    let mut over = target("old");
    over["draining_until"] = json!("2026-11-24T05:00:00.000Z");
    let shown = render(&page(&[over]), Layout::Terminal(120));
    assert!(
        shown.contains("healthy, removed, draining for 0s "),
        "{shown}"
    );
}

#[test]
fn trouble_with_the_configuration_has_lines_below_the_targets() {
    let mut page = page(&[target("eu")]);
    let rows = render(&page, Layout::Terminal(120));
    page.config = Some(good());
    assert_eq!(
        render(&page, Layout::Terminal(120)),
        rows,
        "nothing is wrong"
    );
    page.config
        .as_mut()
        .unwrap()
        .faults
        .push("\u{1b}c".to_owned());
    let shown = render(&page, Layout::Terminal(120));
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
    let shown = render(&page(&[suspended, target("us")]), Layout::Terminal(120));
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines[2], "  push suspended, next try in 1m29s");
    assert_eq!(lines[3], "  otlp suspended, being tried now");
    assert!(lines[4].starts_with("us "), "{shown}");
}

/// A target with every line below it, whose error is longer than a row.
fn worst(name: &str) -> Value {
    let mut target = failing(name, &format!("{}end", "größer 漢字 ".repeat(30)));
    target["last_error"]["remedy"] =
        json!("check the token of the target (auth-token, basic-auth-*) and its tenant-id");
    target["draining_until"] = json!("2026-11-24T06:09:58.000Z");
    target["suspended"] = json!([{ "surface": "push", "next_try_seconds": 89.2 }]);
    target
}

#[test]
fn no_line_is_wider_than_the_terminal_and_no_error_is_cut() {
    let mut page = page(&[target("eu"), worst("central")]);
    page.upstream = Some(failing_upstream());
    for width in [80, 99, 100, 120, 200] {
        let shown = render(&page, Layout::Terminal(width));
        assert!(shown.lines().all(|line| line.width() <= width), "{shown}");
        assert_eq!(shown.matches("größer").count(), 30, "{shown}");
        assert!(shown.contains("end\n") && !shown.contains('…'), "{shown}");
        let remedy = shown.replace("\n    ", " ");
        assert!(remedy.contains("  remedy: check the token"), "{shown}");
    }
}

#[test]
fn a_pipe_gets_each_text_in_one_line() {
    let shown = render(&page(&[worst("central")]), Layout::Pipe);
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[1].ends_with("  1h0m ago      2s ago"), "{shown}");
    assert!(
        lines[2].starts_with("  dropped 4: queue_full; check"),
        "{shown}"
    );
    assert!(
        lines[3].starts_with("  dropped 3: expired; check"),
        "{shown}"
    );
    assert_eq!(lines[4], "  push suspended, next try in 1m29s");
    assert!(
        lines[5].starts_with("  error 2s ago: 503 größer"),
        "{shown}"
    );
    assert!(lines[5].ends_with(" end"), "{shown}");
    assert!(lines[6].starts_with("  remedy: check the token"), "{shown}");
}

#[test]
fn the_remedy_of_an_error_in_its_row_is_below_the_row() {
    let mut target = failing("central", "no upstream");
    target["last_error"]["remedy"] = json!("see the log of the target");
    let shown = render(&page(&[target]), Layout::Pipe);
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[1].ends_with("2s ago: 503 no upstream"), "{shown}");
    assert_eq!(lines[4], "  remedy: see the log of the target");
}

#[test]
fn the_remedy_goes_when_the_target_is_healthy_again() {
    let shown = |state: &str, success: &str| {
        let mut target = failing("central", "no upstream");
        target["state"] = json!(state);
        target["last_success"] = json!(success);
        target["last_error"]["remedy"] = json!("see the log of the target");
        let page = page(&[target]);
        [Layout::Pipe, Layout::Terminal(80)]
            .map(|layout| render(&page, layout).contains("remedy: see the log"))
    };
    assert_eq!(shown("healthy", "2026-11-24T05:59:58.000Z"), [false; 2]);
    assert_eq!(shown("healthy", "2026-11-24T05:59:57.000Z"), [true; 2]);
    assert_eq!(shown("throttled", "2026-11-24T05:59:58.000Z"), [true; 2]);
}

#[test]
fn a_narrow_terminal_has_five_columns_and_more_lines() {
    let mut page = page(&[target("eu"), worst("central"), failing("us", "no upstream")]);
    page.removed = serde_json::from_value(json!([removed("old")])).unwrap();
    let shown = render(&page, Layout::Terminal(80));
    let expected = "\
TARGET   STATE    PENDING       SENT  DROPPED
eu       healthy  0             0     0
  no success yet
central  open     40 (1.5 MiB)  1234  7
  next try in 12s, removed, draining for 9m58s, oldest pending 3m20s, last
    success 1h0m ago
  dropped 4: queue_full; check whether the target takes profiles (pyrotee
    status), then raise queue-size or queue-bytes, or use a spool
  dropped 3: expired; check why the target took no profiles in time (pyrotee
    status), or raise its max-age
";
    assert!(shown.starts_with(expected), "{shown}");
    let expected = "\
us       open     40 (1.5 MiB)  1234  7
  next try in 12s, oldest pending 3m20s, last success 1h0m ago
  dropped 4: queue_full; check whether the target takes profiles (pyrotee
    status), then raise queue-size or queue-bytes, or use a spool
  dropped 3: expired; check why the target took no profiles in time (pyrotee
    status), or raise its max-age
  error 2s ago: 503 no upstream
old      removed  40 (1.5 MiB)  0     0
  removed 3h0m ago, oldest pending 3m20s
";
    assert!(shown.contains(expected), "{shown}");
}

#[test]
fn a_terminal_without_room_for_errors_has_the_narrow_table() {
    let long = "x".repeat(40);
    let narrow = render(
        &page(&[failing(&long, "no upstream")]),
        Layout::Terminal(110),
    );
    assert!(!narrow.contains("LAST ERROR"), "{narrow}");
    let wide = render(
        &page(&[failing(&long, "no upstream")]),
        Layout::Terminal(160),
    );
    assert!(wide.contains("LAST ERROR"), "{wide}");
}

fn failing_upstream() -> UpstreamJson {
    let upstream = json!({
        "address": "http://127.0.0.1:4042", "state": "failing",
        "last_success": "2026-11-24T05:00:00.000Z",
        "last_error": {
            "at": "2026-11-24T05:59:57.500Z", "kind": "connect", "status": null,
            "text": "connection refused", "remedy": "start the local Pyroscope",
        },
    });
    serde_json::from_value(upstream).unwrap()
}

#[test]
fn upstream_spool_and_dead_letters_have_lines_below_the_targets() {
    let mut page = page(&[target("eu")]);
    let last = |page: &StatusPage| {
        let shown = render(page, Layout::Pipe);
        shown.split_once("\n\n").unwrap().1.to_owned()
    };
    assert_eq!(
        last(&page),
        "upstream: none\nspool: none\ndead letters: none\n"
    );

    page.upstream = Some(failing_upstream());
    let spool = json!({
        "dir": "/spool", "state": "read_errors", "pending": { "profiles": 70, "bytes": 1_572_864 },
        "bytes": 2_097_152, "max_bytes": 1_073_741_824, "oldest_pending_age_seconds": 200.5,
    });
    page.spool = serde_json::from_value(spool).unwrap();
    let letters = json!({
        "dir": "/letters", "state": "open", "letters": 1, "bytes": 8_192, "max_bytes": 67_108_864,
    });
    page.dead_letters = serde_json::from_value(letters).unwrap();
    assert_eq!(
        last(&page),
        "\
upstream: http://127.0.0.1:4042, failing, last success 1h0m ago
  error 2s ago: connection refused
  remedy: start the local Pyroscope
spool: /spool, read errors, 2.0 MiB of 1.0 GiB, 70 (1.5 MiB) pending, the oldest 3m20s
dead letters: /letters, open, 8.0 KiB of 64.0 MiB, 1 letter
"
    );
    let upstream = page.upstream.as_mut().unwrap();
    upstream.state = "healthy".to_owned();
    let shown = last(&page);
    assert!(
        shown.starts_with("upstream: http://127.0.0.1:4042, healthy, last success 1h0m ago\nspool")
    );
    page.upstream.as_mut().unwrap().state = "unused".to_owned();
    assert!(last(&page).starts_with("upstream: http://127.0.0.1:4042, no request yet\nspool"));
}

#[test]
fn trouble_is_what_is_not_healthy() {
    let mut all = page(&[target("eu")]);
    assert_eq!(trouble(&all), None);
    all.upstream = Some(failing_upstream());
    all.degraded = vec![degraded()];
    all.targets.extend(page(&[failing("a\u{1b}", "x")]).targets);
    assert_eq!(
        trouble(&all).unwrap(),
        "target a\\u{1b} is open; the upstream http://127.0.0.1:4042 is failing; spool is degraded (waiting)"
    );
    for state in ["healthy", "unused"] {
        all = page(&[target("eu")]);
        let upstream = all.upstream.insert(failing_upstream());
        upstream.state = state.to_owned();
        assert_eq!(trouble(&all), None);
    }
}

#[test]
fn a_degraded_part_has_a_line_below_the_targets() {
    let mut page = page(&[target("eu")]);
    page.degraded = vec![degraded()];
    let shown = render(&page, Layout::Pipe);
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
    let shown = format!("{}\n{}", title(&page), render(&page, Layout::Terminal(300)));
    assert!(
        !shown.contains(|c: char| c.is_control() && c != '\n'),
        "{shown:?}"
    );
    assert_eq!(shown.lines().count(), 10, "{shown}");
    assert!(shown.contains(r"x\u{9b}2J\r\nforged"), "{shown}");
}

#[test]
fn the_title_tells_who_answered_and_when() {
    let told = title(&page(&[]));
    assert_eq!(told, "2026-11-24T06:00:00.000Z  pyrotee 0.1.0, up 2d3h");
}

#[test]
fn a_relay_without_targets_says_why() {
    let shown = render(&page(&[]), Layout::Terminal(120));
    assert!(shown.contains("remote-write.enabled"), "{shown}");
}
