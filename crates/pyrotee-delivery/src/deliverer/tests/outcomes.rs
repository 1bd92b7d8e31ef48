//! Tests of what happens to a record after each outcome of an upload.

use std::collections::HashMap;

use pyroscope_wire::refusal::Rule;

use super::*;
use crate::TargetState;

/// A server that does `act` with the first `times` uploads, and acknowledges all later ones.
fn first(times: usize, act: Act) -> Server {
    Server::new(move |upload| {
        if upload.index < times {
            act.clone()
        } else {
            Act::OK
        }
    })
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_until_it_does() {
    for act in [
        Act::answer(500, "sorry"),
        Act::answer(503, "sorry"),
        Act::answer(408, "{\"code\":\"unknown\",\"message\":\"unexpected EOF\"}"),
        Act::answer(422, "at least 1 live replicas required, could only find 0"),
        Act::answer(429, ""),
        Act::answer(
            422,
            "push rate limit (4.0 MiB) exceeded while adding 2.0 MiB",
        ),
        Act::answer(401, ""),
        Act::answer(404, ""),
        Act::answer(302, ""),
        Act::Hang,
        Act::CloseAfterBody { keep: false },
        Act::CloseWithinBody,
    ] {
        let rig = Rig::new(first(1, act.clone()));
        rig.offer("a");
        let counts = rig.settled().await;
        assert_eq!(counts.sent.profiles, 1, "{act:?}");
        assert_eq!(rig.monitor.status().attempts, 2, "{act:?}");
        rig.drained().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_target_will_never_take_is_rejected_at_once() {
    for (status, text) in [
        (400, "name: service name is required"),
        (413, ""),
        (
            422,
            "pushing IngestInput-pprof failed invalid_argument: profile with labels '{}' is outside of ingestion window",
        ),
    ] {
        let rig = Rig::new(first(1, Act::answer(status, text)));
        rig.offer("a");
        rig.offer("b");
        let counts = rig.settled().await;
        assert_eq!(counts.dropped(Reason::Rejected).profiles, 1, "{status}");
        assert_eq!(counts.sent.profiles, 1);
        let status = rig.monitor.status();
        assert_eq!((status.state, status.attempts), (TargetState::Healthy, 2));
        assert_eq!(
            status.last_error.map(|error| error.outcome),
            Some("rejected")
        );
        rig.drained().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_in_unknown_words_is_tried_three_times() {
    let rig = Rig::new(Server::new(|upload| match upload.name.as_str() {
        "odd" => Act::answer(422, "the moon is full"),
        _ => Act::OK,
    }));
    rig.offer("odd");
    for _ in 0..20 {
        rig.offer("even");
        pause(1.0).await;
    }
    let counts = rig.settled().await;
    assert_eq!(counts.dropped(Reason::Rejected).profiles, 1);
    assert_eq!(counts.sent.profiles, 20);
    let tries = rig.server.names().into_iter().filter(|name| name == "odd");
    assert_eq!(tries.count(), 3);
    rig.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_fails_while_others_succeed_is_poison_and_blocks_nobody() {
    // Each way in which a single record fails while the target accepts the others.
    for (act, least) in [
        (Act::answer(500, ""), 8),
        (Act::answer(429, ""), 8),
        (
            Act::answer(429, "Maximum active series limit exceeded (3/3)"),
            8,
        ),
        // The target may have stored the record each time.
        (Act::Hang, 5),
        (Act::CloseAfterBody { keep: false }, 5),
    ] {
        let poison = act.clone();
        let rig = Rig::new(Server::new(move |upload| match upload.name.as_str() {
            "poison" => poison.clone(),
            _ => Act::OK,
        }));
        rig.offer("poison");
        let mut waits = Vec::new();
        for number in 0..600 {
            rig.offer(&format!("good{number}"));
            waits.push(Instant::now());
            pause(0.5).await;
        }
        let counts = rig.settled().await;
        assert_eq!(counts.dropped(Reason::Rejected).profiles, 1, "{act:?}");
        assert_eq!(counts.sent.profiles, 600, "{act:?}");
        let tries = rig
            .server
            .names()
            .into_iter()
            .filter(|name| name == "poison");
        // A failed probe while no other record was accepted does not count against the record.
        let tries = tries.count();
        assert!((least..=20).contains(&tries), "{act:?}: {tries}");
        let kept: HashMap<_, _> = rig.server.seen(|seen| {
            let kept = seen.kept.iter();
            kept.map(|(at, name)| (name.clone(), *at)).collect()
        });
        for (number, offered) in waits.iter().enumerate() {
            let waited = kept[&format!("good{number}")] - *offered;
            assert!(waited < Duration::from_secs(31), "{act:?}: {waited:?}");
        }
        rig.drained().await;
    }
}

/// Asserts that at most six of the uploads after `from` are within one minute.
fn assert_paced(uploads: &[Instant], from: Instant) {
    let first = uploads.iter().position(|at| *at > from);
    for minute in uploads[first.expect("there are some")..].windows(7) {
        assert!(
            minute[6] - minute[0] > Duration::from_secs(60),
            "seven within a minute"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn culprits_alone_are_tried_one_at_a_time() {
    let rig = Rig::new(Server::new(|upload| match upload.name.starts_with("bad") {
        true => Act::answer(500, ""),
        false => Act::OK,
    }));
    for number in 0..40 {
        rig.offer(&format!("bad{number}"));
        rig.offer(&format!("good{number}"));
        pause(0.2).await;
    }
    let last = Instant::now();
    pause(1_200.0).await;
    assert!(rig.counts().pending.profiles > 20);
    let uploads: Vec<_> = rig
        .server
        .seen(|seen| seen.uploads.iter().map(|upload| upload.at).collect());
    assert_paced(&uploads, last + Duration::from_secs(60));
    rig.stop.cancel();
    rig.drained().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_poison_while_everybody_fails() {
    let rig = Rig::new(first(200, Act::answer(500, "")));
    for number in 0..3 {
        rig.offer(&format!("{number}"));
    }
    pause(1_800.0).await;
    let tries: Vec<_> = rig
        .server
        .seen(|seen| seen.uploads.iter().map(|upload| upload.at).collect());
    assert!(tries.len() > 60, "{}", tries.len());
    assert_paced(&tries, tries[0] + Duration::from_secs(60));
    assert_eq!(rig.counts().pending.profiles, 3);
    rig.stop.cancel();
    let counts = rig.drained().await;
    assert_eq!(counts.dropped(Reason::Shutdown).profiles, 3);
}

#[tokio::test(start_paused = true)]
async fn on_ambiguous_decides_between_twice_and_perhaps_never() {
    // The first ten uploads are stored, and the connection closes without a response.
    for (on_ambiguous, sent, lost, stored) in [
        (OnAmbiguous::Retry, 20, 0, 30),
        (OnAmbiguous::Drop, 10, 10, 20),
    ] {
        let settings = Settings {
            on_ambiguous,
            ..settings()
        };
        let rig = Rig::with(&settings, first(10, Act::CloseAfterBody { keep: true }));
        for number in 0..20 {
            rig.offer(&format!("{number}"));
        }
        let counts = rig.settled().await;
        assert_eq!(counts.sent.profiles, sent, "{on_ambiguous:?}");
        assert_eq!(counts.dropped(Reason::Ambiguous).profiles, lost);
        assert_eq!(rig.server.seen(|seen| seen.kept.len()), stored);
        rig.drained().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_is_doubled_a_few_times_at_most() {
    for act in [Act::CloseAfterBody { keep: true }, Act::Hang] {
        // The target accepts no other record, so there is no evidence that the record is the cause.
        let rig = Rig::new(first(100, act.clone()));
        rig.offer("a");
        let counts = rig.settled().await;
        assert_eq!(counts.dropped(Reason::Ambiguous).profiles, 1, "{act:?}");
        assert_eq!(rig.server.names().len(), 5, "{act:?}");
        assert!(rig.dead_letters.lock().unwrap().is_empty());
        rig.drained().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_broke_off_is_sent_again_from_its_first_byte() {
    let rig = Rig::new(first(3, Act::CloseWithinBody));
    // The body has several pieces, and is larger than the buffer of a pipe.
    rig.offer_sized(Surface::Ingest, "large", 300_000);
    let counts = rig.settled().await;
    assert_eq!(counts.sent.profiles, 1);
    let whole = rig.server.seen(|seen| seen.uploads.clone());
    assert_eq!(whole.len(), 1, "half of a body is no upload");
    assert_eq!(whole[0].body.len(), 300_000);
    rig.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_target_asks_for_is_kept_by_all() {
    let date =
        httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_397_490 + 40));
    for (status, value, least, most) in [
        (429, "20".to_owned(), 20.0, 22.2),
        (503, "20".to_owned(), 20.0, 22.2),
        (429, date, 39.0, 44.2),
        (429, "0".to_owned(), 1.0, 1.3),
        (429, "86400".to_owned(), 300.0, 330.2),
    ] {
        let act = Act::Answer {
            status,
            headers: vec![("Retry-After", value.clone())],
            text: String::new(),
        };
        let rig = Rig::new(first(2, act));
        let start = Instant::now();
        // Push-back of a single record would not pause the target.
        rig.offer("first");
        pause(0.05).await;
        rig.offer("second");
        pause(0.05).await;
        let state = rig.monitor.status();
        assert_eq!(state.state, TargetState::Throttled);
        assert!(state.next_try.is_some());
        for number in 0..50 {
            rig.offer(&format!("{number}"));
        }
        rig.settled().await;
        let third = rig.server.seen(|seen| seen.uploads[2].at) - start;
        let third = third.as_secs_f64();
        assert!((least..=most).contains(&third), "{value}: {third}");
        rig.drained().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_surface_that_is_refused_as_a_whole_waits_and_the_others_do_not() {
    let start = Instant::now();
    let broken_for = Duration::from_secs(300);
    let rig = Rig::new(Server::new(move |upload| {
        if upload.path == "/ingest" && start.elapsed() < broken_for {
            Act::answer(404, "no such page")
        } else {
            Act::OK
        }
    }));
    for number in 0..300 {
        rig.offer(&format!("{number}"));
        rig.offer_sized(Surface::Push, "", 100);
        pause(1.0).await;
        if number == 200 {
            let status = rig.monitor.status();
            assert_eq!(status.state, TargetState::Suspended);
            assert_eq!(status.suspended.len(), 1);
            assert_eq!(status.suspended[0].surface, Surface::Ingest);
            assert_eq!(rig.counts().sent.profiles, 201, "every Push, at once");
        }
    }
    let counts = rig.settled().await;
    assert_eq!(counts.sent.profiles, 600);
    let refused = rig.server.seen(|seen| {
        let uploads = seen.uploads.iter();
        uploads
            .filter(|upload| upload.path == "/ingest" && upload.at < start + broken_for)
            .count()
    });
    // Five untried records open the breaker in 4 s, two probes verify, and the probes after at least 25, 50, 100 and
    // 100 s fall within the 300 s. A refused record is retried after 2.7 s at the earliest: two retries in those 4 s.
    assert!(refused <= 5 + 2 + 4 + 2, "{refused}");
    assert_eq!(rig.monitor.status().state, TargetState::Healthy);
    rig.drained().await;
}

#[tokio::test(start_paused = true)]
async fn five_minutes_without_a_valid_token_cost_a_dozen_requests_and_no_profile() {
    let start = Instant::now();
    let rig = Rig::new(Server::new(move |_| {
        if start.elapsed() < Duration::from_secs(300) {
            Act::answer(401, "{\"code\":\"unauthenticated\"}")
        } else {
            Act::OK
        }
    }));
    for number in 0..3_000 {
        rig.offer(&format!("{number}"));
        pause(0.1).await;
    }
    let refused = rig.server.names().len();
    assert!(refused <= 12, "{refused}");
    let counts = rig.settled().await;
    assert_eq!(counts.sent.profiles, 3_000);
    rig.drained().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_is_not_sent_any_more() {
    let start = Instant::now();
    let settings = Settings {
        max_age: Some(Duration::from_secs(60)),
        ..settings()
    };
    let door = move || start.elapsed() > Duration::from_secs(90);
    let rig = Rig::with(&settings, Server::with_door(door, |_| Act::OK));
    for number in 0..120 {
        rig.offer(&format!("{number}"));
        pause(1.0).await;
        let oldest = rig.consumer.oldest();
        let age = oldest.and_then(|oldest| rig.clock.now().duration_since(oldest).ok());
        // A record in flight expires only when its upload ends.
        assert!(
            age.unwrap_or_default() <= Duration::from_secs(91),
            "{age:?}"
        );
    }
    let counts = rig.settled().await;
    let expired = counts.dropped(Reason::Expired).profiles;
    assert!((30..=61).contains(&expired), "{expired}");
    assert_eq!(counts.sent.profiles, 120 - expired);
    rig.drained().await;
}

#[tokio::test(start_paused = true)]
async fn rules_of_the_target_go_before_those_that_are_built_in() {
    let rule = |pattern, meaning| Rule::parse(pattern, meaning).unwrap();
    let settings = Settings {
        rules: Rules::new(vec![rule("404", "transient"), rule("409 twice", "ok")]),
        ..settings()
    };
    let rig = Rig::with(
        &settings,
        Server::new(|upload| match upload.index {
            0 => Act::answer(404, ""),
            1 => Act::answer(409, "stored Twice"),
            _ => Act::OK,
        }),
    );
    rig.offer("a");
    let counts = rig.settled().await;
    assert_eq!(counts.sent.profiles, 1);
    assert_eq!(rig.server.names().len(), 2);
    assert_eq!(rig.monitor.status().state, TargetState::Healthy);
    rig.drained().await;
}
