//! The page, and the documentation of its fields.

use std::collections::BTreeSet;
use std::time::UNIX_EPOCH;

use http::Method;
use pyroscope_wire::Surface;
use pyrotee_delivery::TargetState;
use pyrotee_queue::{Ledger, lock};
use serde_json::{Value, json};

use super::*;
use crate::fixture::{Rig, configured, draining};
use crate::json::fields;
use crate::json::shared::{STATES, SharedJson, SharedTargetJson};
use crate::json::status::{
    ConfigJson, DeadLettersJson, PATH, SpoolJson, StaleFileJson, UPSTREAM_STATES,
    UpstreamErrorJson, UpstreamJson,
};

const DOCUMENTATION: &str = include_str!("../../../../docs/status.md");

/// A target with a value in every field.
fn eventful() -> TargetJson {
    let ledger = Ledger::default();
    for bytes in [100, 200, 300] {
        ledger.accept(bytes);
    }
    ledger.sent(100);
    ledger.lose(200, Reason::Expired);
    ledger.refuse(50, Reason::QueueFull);
    let at = |second: u64| UNIX_EPOCH + Duration::from_secs(1_795_500_000 + second);
    let status = delivery::TargetStatus {
        state: TargetState::Open,
        next_try: Some(Duration::from_micros(12_345_678)),
        suspended: vec![delivery::SuspendedSurface {
            surface: Surface::Push,
            next_try: Some(Duration::from_secs(30)),
        }],
        last_success: Some(at(0)),
        last_error: Some(delivery::LastError {
            at: at(7),
            outcome: "transient",
            status: Some(503),
            text: "no upstream".to_owned(),
            remedy: "check the health and the log of the target",
        }),
        certificate_expiry: None,
        attempts: 17,
        in_flight: 1,
        limit: 4,
        at_ceiling: false,
        workers: 64,
    };
    let of = ("central", "https://profiles.example.com");
    let counts = ledger.snapshot();
    TargetJson {
        taken_over: Some(counts.taken_over.into()),
        handed_over: Some(counts.handed_over.into()),
        ..target(of, status, &counts, Some(Duration::from_millis(3_200)))
    }
}

fn eventful_removed() -> RemovedJson {
    let ledger = Ledger::default();
    ledger.accept(100);
    ledger.refuse(50, Reason::Corrupt);
    let target = RemovedTarget {
        name: "old".to_owned(),
        since: UNIX_EPOCH,
        counts: ledger.snapshot(),
        oldest: Some(UNIX_EPOCH),
        unread: 0,
        in_flight: 0,
    };
    of_removed(target, SystemTime::now())
}

fn eventful_upstream() -> UpstreamJson {
    UpstreamJson {
        address: String::new(),
        state: String::new(),
        last_success: None,
        last_error: Some(UpstreamErrorJson {
            at: String::new(),
            kind: String::new(),
            status: None,
            text: String::new(),
            remedy: None,
        }),
    }
}

fn eventful_config() -> ConfigJson {
    let stale = StaleFileJson {
        path: "/run/secrets/token".to_owned(),
        text: "it is empty".to_owned(),
    };
    ConfigJson {
        hash: String::new(),
        loaded_at: String::new(),
        last_attempt_at: Some(String::new()),
        last_reload_successful: false,
        faults: vec![String::new()],
        restart_required: vec!["listen".to_owned()],
        stale_files: vec![stale],
        unverified_servers: vec![String::new()],
        certificate_warnings: vec![String::new()],
    }
}

#[tokio::test]
async fn a_page_has_the_configuration_and_the_draining_targets() {
    let rig = Rig::new(vec![configured("new"), draining("old")]);
    let fault = "pyrotee.yaml:3: listen: is no address".to_owned();
    lock(&rig.relay.faults).push(fault.clone());
    let (_, page) = rig.ask(Method::GET, PATH).await;
    assert_eq!(page["config"]["last_reload_successful"], false);
    assert_eq!(page["config"]["faults"], json!([fault]));
    let shown = ["name", "state", "draining_until"].map(|field| &page["targets"][1][field]);
    let until = json!("1970-01-01T00:10:00.000Z");
    assert_eq!(shown, [&json!("old"), &json!("healthy"), &until]);
    assert_eq!(page["targets"][0]["draining_until"], Value::Null);
    rig.targets.set(vec![configured("old")]);
    let (_, page) = rig.ask(Method::GET, PATH).await;
    assert_eq!(page["targets"][0]["draining_until"], Value::Null);
    assert_eq!(page["targets"].as_array().unwrap().len(), 1);
}

#[test]
fn a_target_is_shown_with_all_that_is_known_of_it() {
    assert_eq!(
        serde_json::to_value(eventful()).unwrap(),
        json!({
            "name": "central", "address": "https://profiles.example.com",
            "state": "open", "draining_until": null, "next_try_seconds": 12.346,
            "suspended": [{ "surface": "push", "next_try_seconds": 30.0 }],
            "last_success": "2026-11-24T06:00:00.000Z",
            "last_error": {
                "at": "2026-11-24T06:00:07.000Z", "outcome": "transient",
                "status": 503, "text": "no upstream",
                "remedy": "check the health and the log of the target",
            },
            "oldest_pending_age_seconds": 3.2, "attempts": 17,
            "uploads": { "in_flight": 1, "limit": 4, "most": 64, "at_ceiling": false },
            "accepted": { "profiles": 4, "bytes": 650 },
            "taken_over": { "profiles": 0, "bytes": 0 },
            "sent": { "profiles": 1, "bytes": 100 },
            "pending": { "profiles": 1, "bytes": 300 },
            "handed_over": { "profiles": 0, "bytes": 0 },
            "dropped": {
                "expired": { "profiles": 1, "bytes": 200 },
                "queue_full": { "profiles": 1, "bytes": 50 },
            },
        })
    );
}

#[test]
fn a_target_of_which_nothing_is_known_has_every_field() {
    let status = delivery::TargetStatus {
        state: TargetState::Healthy,
        next_try: None,
        suspended: Vec::new(),
        last_success: None,
        last_error: None,
        certificate_expiry: None,
        attempts: 0,
        in_flight: 0,
        limit: 4,
        at_ceiling: false,
        workers: 64,
    };
    let shown = serde_json::to_value(target(("a", "b"), status, &Counts::default(), None));
    let shown = shown.unwrap();
    let eventful = serde_json::to_value(eventful()).unwrap();
    let names = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&shown), names(&eventful));
    for absent in [
        "draining_until",
        "next_try_seconds",
        "last_success",
        "last_error",
        "oldest_pending_age_seconds",
        "taken_over",
        "handed_over",
    ] {
        assert_eq!(shown[absent], Value::Null, "{absent}");
    }
    assert_eq!(
        (&shown["suspended"], &shown["dropped"]),
        (&json!([]), &json!({}))
    );
}

#[test]
fn the_documentation_lists_every_field_and_no_other() {
    let page = StatusPage {
        version: VERSION.to_owned(),
        started: String::new(),
        time: String::new(),
        degraded: vec![DegradationJson {
            part: "spool".to_owned(),
            state: "waiting".to_owned(),
            text: String::new(),
        }],
        config: Some(eventful_config()),
        upstream: Some(eventful_upstream()),
        spool: Some(SpoolJson {
            dir: String::new(),
            state: String::new(),
            pending: Amount::default(),
            bytes: 0,
            max_bytes: 0,
            oldest_pending_age_seconds: None,
        }),
        shared: Some(SharedJson {
            targets: vec![SharedTargetJson::default()],
            ..SharedJson::default()
        }),
        dead_letters: Some(DeadLettersJson {
            dir: String::new(),
            state: String::new(),
            letters: 0,
            bytes: 0,
            max_bytes: 0,
        }),
        scrape: Some(ScrapeJson {
            jobs: 0,
            up: 0,
            down: 0,
            unknown: 0,
            dropped: 0,
        }),
        targets: vec![eventful()],
        removed: vec![eventful_removed()],
    };
    let shown = fields::of(&serde_json::to_value(page).unwrap(), Some("dropped"));
    let (before, reload) = DOCUMENTATION.split_once("\n## Reload\n").unwrap();
    let (_, after) = reload.split_once("\n## ").unwrap();
    let (after, _) = after.split_once("\n## Scrape targets\n").unwrap();
    let documented = fields::documented(before).chain(fields::documented(after));
    // States have a table of their own, below.
    let documented =
        documented.filter(|name| TargetState::ALL.iter().all(|it| it.as_str() != *name));
    assert_eq!(
        documented.map(str::to_owned).collect::<BTreeSet<_>>(),
        shown
    );
}

#[test]
fn the_documentation_explains_every_state() {
    for state in TargetState::ALL {
        let row = format!("\n| `{}` | ", state.as_str());
        assert_eq!(DOCUMENTATION.matches(&row).count(), 1, "{row}");
    }
}

#[test]
fn the_documented_example_is_such_a_page() {
    let (_, rest) = DOCUMENTATION.split_once("```json\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let page: StatusPage = serde_json::from_str(example).unwrap();
    let example: Value = serde_json::from_str(example).unwrap();
    assert_eq!(serde_json::to_value(page).unwrap(), example);
}

#[test]
fn the_documentation_explains_every_state_of_the_upstream() {
    let (_, row) = DOCUMENTATION.split_once("\n| `upstream.state` | ").unwrap();
    let row = row.lines().next().unwrap();
    for state in UPSTREAM_STATES {
        assert!(row.contains(&format!("`{state}`")), "{state}");
    }
}

#[test]
fn the_documentation_explains_every_state_of_a_stream() {
    let (_, row) = DOCUMENTATION
        .split_once("\n| `shared.targets[].state` | ")
        .unwrap();
    let row = row.lines().next().unwrap();
    for state in STATES {
        assert!(row.contains(&format!("`{state}`")), "{state}");
    }
}

#[test]
fn the_backlog_is_of_all_targets() {
    let with = |profiles, age| TargetJson {
        pending: Amount {
            profiles,
            bytes: 10,
        },
        oldest_pending_age_seconds: age,
        ..eventful()
    };
    let removed = RemovedJson {
        pending: Amount {
            profiles: 4,
            bytes: 1,
        },
        oldest_pending_age_seconds: Some(7.0),
        ..eventful_removed()
    };
    let backlog = |targets: &[TargetJson], removed: &[RemovedJson]| {
        format!("{:?}", Backlog::of(targets, removed))
    };
    let all = backlog(&[with(1, None), with(2, Some(9.5))], &[removed]);
    let word = "profiles: 7, bytes: 21 }, oldest_age_seconds: Some(9.5)";
    assert!(all.contains(word), "{all}");
    assert!(backlog(&[with(0, None)], &[]).contains("None"));
}
