//! Tests of responses whose body matters beside the status, or stalls.

use pyroscope_wire::refusal::Rule;

use super::*;
use crate::TargetState;

/// A protobuf `ExportProfilesServiceResponse` with 3 rejected profiles.
const PARTIAL: &str = "\n\x10\x08\x03\x12\x0cseries limit";

/// A protobuf `ExportProfilesServiceResponse` with no rejected profile and a warning.
const WARNING: &str = "\n\x0e\x12\x0cseries limit";

const PAGE: &str = "<!doctype html><title>Sign in</title>";

/// Offers records to a target that does `act` with each upload.
async fn met_with(settings: &Settings, surface: Surface, act: Act, records: usize) -> Rig {
    let rig = Rig::with(settings, Server::new(move |_| act.clone()));
    for number in 0..records {
        rig.offer_sized(surface, &format!("{number}"), 100);
        pause(3.0).await;
    }
    rig
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_changes_nothing_but_the_connection() {
    // The first timeout of an upload is shorter than the time limit of a response body, the second is longer.
    for timeout in [Duration::from_millis(500), Duration::from_secs(10)] {
        for (status, start, sent, rejected) in [
            (200, "", 2, 0),
            (200, "{", 2, 0),
            (400, "", 0, 2),
            (400, "no such app", 0, 2),
            (
                422,
                "invalid_argument: profile with labels '{a=\"b\"}'",
                0,
                2,
            ),
        ] {
            let settings = Settings {
                timeout,
                on_ambiguous: OnAmbiguous::Drop,
                ..settings()
            };
            let act = Act::Stall {
                status,
                headers: Vec::new(),
                start,
            };
            let rig = met_with(&settings, Surface::Ingest, act, 2).await;
            let counts = rig.settled().await;
            assert_eq!(counts.sent.profiles, sent, "{status} {start}");
            assert_eq!(counts.dropped(Reason::Rejected).profiles, rejected);
            assert_eq!(rig.monitor.status().attempts, 2, "{status} {start}");
            assert_eq!(rig.connections.opened(), 2, "{status} {start}");
            rig.drained().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_whose_body_stalls_is_a_failure() {
    let stall = Act::Stall {
        status: 503,
        headers: Vec::new(),
        start: "no",
    };
    let rig = Rig::new(Server::new(move |upload| match upload.index {
        0 => stall.clone(),
        _ => Act::OK,
    }));
    rig.offer("a");
    let counts = rig.settled().await;
    assert_eq!(counts.sent.profiles, 1);
    let error = rig.monitor.status().last_error.expect("the first");
    assert_eq!((error.outcome, error.text.as_str()), ("transient", "no"));
    rig.drained().await;
}

#[tokio::test(start_paused = true)]
async fn the_start_of_a_secret_in_a_body_that_stalls_is_not_told() {
    let settings = Settings {
        credentials: Some(crate::Credentials::Bearer("hunter2-hunter2".into())),
        ..settings()
    };
    let act = Act::Stall {
        status: 400,
        headers: Vec::new(),
        start: "who is hunter2-hunt",
    };
    let rig = met_with(&settings, Surface::Ingest, act, 1).await;
    rig.settled().await;
    let letters = rig.dead_letters.lock().unwrap().clone();
    assert_eq!(
        letters,
        ["central name=0 Rejected after 1: Some(400) who is"]
    );
    rig.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_login_page_is_no_acknowledgement() {
    let stall = |start| Act::Stall {
        status: 200,
        headers: vec![("Content-Type", "text/html".to_owned())],
        start,
    };
    for act in [
        Act::ok("text/html; charset=utf-8", PAGE),
        Act::ok("text/html", " \r\n<html>"),
        stall(PAGE),
    ] {
        for surface in [Surface::Ingest, Surface::Push, Surface::Otlp] {
            // The surface is suspended once seven different records met the page.
            let rig = met_with(&settings(), surface, act.clone(), 8).await;
            let counts = rig.counts();
            assert_eq!(counts.pending.profiles, 8, "{act:?}");
            let status = rig.monitor.status();
            assert_eq!(status.state, TargetState::Suspended, "{act:?}");
            let error = status.last_error.expect("it is told");
            assert_eq!((error.outcome, error.status), ("broken", Some(200)));
            assert!(error.text.contains("login page"), "{}", error.text);
            rig.stop.cancel();
            rig.drained().await;
        }
    }
    for act in [
        Act::ok("text/html", ""),
        Act::ok("text/html", "ok"),
        Act::ok("text/plain", PAGE),
        stall(""),
    ] {
        let rig = met_with(&settings(), Surface::Ingest, act.clone(), 1).await;
        assert_eq!(rig.settled().await.sent.profiles, 1, "{act:?}");
        rig.drained().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_may_say_that_a_page_is_an_acknowledgement() {
    for (pattern, sent) in [
        ("200", 1),
        ("200 SIGN in", 1),
        ("200 welcome", 0),
        ("202", 0),
    ] {
        let rule = Rule::parse(pattern, "ok").unwrap();
        let settings = Settings {
            rules: Rules::new(vec![rule]),
            ..settings()
        };
        let act = Act::ok("text/html", PAGE);
        let rig = met_with(&settings, Surface::Ingest, act, 1).await;
        assert_eq!(rig.counts().sent.profiles, sent, "{pattern}");
        rig.stop.cancel();
        rig.drained().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_export_that_is_taken_in_part_is_sent_and_kept_as_a_dead_letter() {
    let json = r#"{"partialSuccess":{"rejectedProfiles":"3","errorMessage":"series limit"}}"#;
    let told = "central name=0 PartiallyRejected after 1: Some(200) partial success, 3 rejected: \
                series limit";
    for (act, surface, letters) in [
        (
            Act::ok("application/x-protobuf", PARTIAL),
            Surface::Otlp,
            vec![told],
        ),
        (Act::ok("application/json", json), Surface::Otlp, vec![told]),
        // A warning, a response without a content type of OTLP, another surface.
        (
            Act::ok("application/x-protobuf", WARNING),
            Surface::Otlp,
            vec![],
        ),
        (Act::ok("text/plain", PARTIAL), Surface::Otlp, vec![]),
        (
            Act::ok("application/x-protobuf", PARTIAL),
            Surface::Push,
            vec![],
        ),
    ] {
        let rig = met_with(&settings(), surface, act.clone(), 1).await;
        assert_eq!(rig.settled().await.sent.profiles, 1, "{act:?}");
        assert_eq!(*rig.dead_letters.lock().unwrap(), letters, "{act:?}");
        assert_eq!(rig.monitor.status().last_error, None, "{act:?}");
        rig.drained().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_pauses_until_its_reset_with_a_probe_every_five_minutes() {
    let start = Instant::now();
    // The wall clock of the rig starts at 2026-11-23T01:31:30Z.
    let until = Duration::from_secs(1_200);
    let quota = "{\"code\":\"resource_exhausted\",\"message\":\"limit of 1.0 GiB/day reached, \
                 next reset at 2026-11-23T01:51:30Z\"}";
    let rig = Rig::new(Server::new(move |_| {
        if start.elapsed() < until {
            Act::answer(429, quota)
        } else {
            Act::OK
        }
    }));
    for number in 0..240 {
        rig.offer(&format!("{number}"));
        pause(5.0).await;
    }
    assert_eq!(rig.monitor.status().state, TargetState::Throttled);
    let tries = rig.server.names().len();
    assert!((4..=12).contains(&tries), "{tries}");
    pause(60.0).await;
    assert!(rig.counts().sent.profiles > 0, "soon after the reset");
    assert_eq!(rig.settled().await.sent.profiles, 240);
    rig.drained().await;
}
