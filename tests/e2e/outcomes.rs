//! What a target's responses mean, and how a target is protected from uploads that cannot succeed.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::support::{
    Answer, Client, Count, Relay, Request, Rig, SOON, Upstream, client::noise, eventually, message,
};

const REQUESTS: &str = "pyroscope_remote_write_requests_total";

const ERRORS: &str = "pyroscope_remote_write_request_errors_total";

/// What happens to a profile after a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The profile is delivered soon.
    Sent,
    /// The profile stays in the queue until the cause is repaired.
    Waits,
    Rejected,
}

/// Responses as Pyroscopes and gateways give them, with the outcome and the fate of the profile for each.
fn answers() -> Vec<(&'static str, Answer, &'static str, Fate)> {
    let json = Answer::error;
    let plain = |status, text: &str| Answer::status(status, text.as_bytes());
    let rate = "push rate limit (4.0 MiB) exceeded while adding 2.1 MiB";
    let window = "pushing IngestInput-pprof failed invalid_argument: profile with labels '{}' is \
                  outside of ingestion window";
    let ring = "at least 1 live replicas required, could only find 0";
    let long = format!(
        "{{\"code\":\"unknown\",\"message\":\"{window}: {}\"}}",
        "x".repeat(9_000)
    );
    let packed = message::gzip(long.as_bytes());
    let zipped = Answer::with(422, &[("Content-Encoding", "gzip")], &packed);
    vec![
        (
            "throttled",
            json(429, "resource_exhausted", rate),
            "throttled",
            Fate::Sent,
        ),
        (
            "throttled-422",
            json(422, "unknown", rate),
            "throttled",
            Fate::Sent,
        ),
        ("throttled-500", plain(500, rate), "throttled", Fate::Sent),
        (
            "asked",
            Answer::with(503, &[("Retry-After", "1")], b""),
            "throttled",
            Fate::Sent,
        ),
        (
            "series-429",
            json(
                429,
                "resource_exhausted",
                "Maximum active series limit exceeded (3/3)",
            ),
            "throttled",
            Fate::Sent,
        ),
        (
            "refused-500",
            plain(
                500,
                "rpc error: code = InvalidArgument desc = missing profile metadata dictionary",
            ),
            "rejected",
            Fate::Rejected,
        ),
        (
            "failing-500",
            json(500, "internal", "oops"),
            "transient",
            Fate::Sent,
        ),
        (
            "failing-502",
            plain(502, "<html>Bad Gateway</html>"),
            "transient",
            Fate::Sent,
        ),
        ("failing-503", plain(503, ""), "transient", Fate::Sent),
        (
            "failing-504",
            json(504, "deadline_exceeded", "late"),
            "transient",
            Fate::Sent,
        ),
        (
            "failing-408",
            json(408, "unknown", "unexpected EOF"),
            "transient",
            Fate::Sent,
        ),
        (
            "failing-422",
            json(422, "unknown", ring),
            "transient",
            Fate::Sent,
        ),
        (
            "odd-422",
            json(422, "unknown", "the moon is full"),
            "unknown",
            Fate::Sent,
        ),
        ("odd-418", plain(418, "teapot"), "unknown", Fate::Sent),
        (
            "bad-400",
            json(400, "invalid_argument", "name: service name is required"),
            "rejected",
            Fate::Rejected,
        ),
        (
            "bad-413",
            json(413, "invalid_argument", "request body too large"),
            "rejected",
            Fate::Rejected,
        ),
        (
            "bad-422",
            json(422, "unknown", window),
            "rejected",
            Fate::Rejected,
        ),
        ("zipped-422", zipped, "rejected", Fate::Rejected),
        (
            "moved-301",
            Answer::with(301, &[("Location", "/elsewhere")], b""),
            "broken",
            Fate::Waits,
        ),
        (
            "moved-308",
            Answer::with(308, &[("Location", "/elsewhere")], b""),
            "broken",
            Fate::Waits,
        ),
        (
            "locked-401",
            json(401, "unauthenticated", "no org id"),
            "broken",
            Fate::Waits,
        ),
        ("locked-403", plain(403, ""), "broken", Fate::Waits),
        (
            "lost-404",
            plain(404, "404 page not found"),
            "broken",
            Fate::Waits,
        ),
        ("lost-405", plain(405, ""), "broken", Fate::Waits),
        ("lost-415", plain(415, ""), "broken", Fate::Waits),
        ("lost-501", plain(501, ""), "broken", Fate::Waits),
    ]
}

#[test]
fn every_answer_means_what_its_status_and_its_text_say() {
    let (upstream, answers) = (Upstream::ok(), answers());
    let targets: Vec<_> = answers
        .iter()
        .map(|(_, answer, ..)| {
            let answer = answer.clone();
            Upstream::script(move |arrival| match arrival.index {
                0 => answer.clone(),
                _ => Answer::ok(),
            })
        })
        .collect();
    let mut builder = Relay::builder().upstream(&upstream);
    for ((name, ..), target) in answers.iter().zip(&targets) {
        builder = builder.target(name, target, &[]);
    }
    let relay = builder.spawn();
    let answer = relay.send(&Request::profile("app", b"profile"));
    assert_eq!(
        answer.status(),
        200,
        "a target's answer is not the client's"
    );
    for ((name, _, outcome, fate), target) in answers.iter().zip(&targets) {
        let ledger = relay.wait_ledger(name, name, |ledger| match fate {
            Fate::Sent => ledger.sent.profiles == 1,
            Fate::Rejected => ledger.dropped("rejected").profiles == 1,
            // On a busy machine the profile may have been tried again by now.
            Fate::Waits => {
                let waits_or_sent = ledger.pending.profiles + ledger.sent.profiles == 1;
                !target.arrivals().is_empty() && waits_or_sent
            }
        });
        let tries = match fate {
            Fate::Sent => 2..=2,
            Fate::Rejected => 1..=1,
            Fate::Waits => 1..=2,
        };
        let arrived = target.arrivals().len();
        assert!(tries.contains(&arrived), "{name}: {arrived}, {ledger:?}");
        eventually(SOON, name, || {
            let labels = [("target", *name), ("outcome", *outcome)];
            relay.metrics().sum(REQUESTS, &labels) == 1.0
        });
        let retries = "pyroscope_remote_write_retries_total";
        let again = relay.metrics().value(retries, &[("target", name)]);
        assert_eq!(
            again,
            Some(f64::from(u8::from(*fate != Fate::Rejected))),
            "{name}"
        );
    }
}

#[test]
fn an_upload_that_may_have_arrived_is_doubled_or_given_up_as_told() {
    // Four uploads are received whole and never answered, as by a server that crashes. A fifth would open the circuit
    // breaker.
    for (option, sent, lost, arrived) in [("retry", 10, 0, 14), ("drop", 6, 4, 10)] {
        let target = Upstream::script(|arrival| match arrival.index {
            0..4 => Answer::hang_up(),
            _ => Answer::ok(),
        });
        let options = [&format!("on-ambiguous: {option}"), "queue-workers: 1"];
        let rig = Rig::with(Upstream::ok(), target, &options, |builder| builder);
        for number in 0..10 {
            rig.send(&Request::profile(&format!("app{number}"), b"profile"));
        }
        let ledger = rig.settled(10);
        assert_eq!(ledger.sent.profiles, sent, "{option}: {ledger:?}");
        assert_eq!(
            ledger.dropped("ambiguous").profiles,
            lost,
            "{option}: {ledger:?}"
        );
        let requests = rig.target.requests();
        assert_eq!(requests.len(), arrived, "{option}");
        let names: BTreeSet<_> = requests
            .iter()
            .map(|request| request.head.query())
            .collect();
        assert_eq!(names.len(), 10, "{option}: {} doubles", requests.len() - 10);
        let counted = "pyroscope_remote_write_ambiguous_total";
        let ambiguous = rig.relay.metrics().value(counted, &[("target", "central")]);
        assert_eq!(ambiguous, Some(4.0), "{option}");
    }
}

#[test]
fn a_body_that_broke_off_is_sent_again_whole() {
    let target = Upstream::script(|arrival| match arrival.index {
        0 => Answer::raw(b"").unread().reset(),
        _ => Answer::ok(),
    });
    let rig = Rig::with(Upstream::ok(), target, &[], |builder| builder);
    // More than the sockets hold, so that a part of the body is still unsent when the target closes.
    let body = noise(16 << 20);
    rig.send(&Request::profile("app", &body));
    let ledger = rig.settled(1);
    assert_eq!(ledger.sent, Count::new(1, body.len()));
    let whole = rig.target.requests();
    assert_eq!(whole.len(), 1, "half of a body is no upload");
    assert!(whole[0].body.data == body);
    let counted = "pyroscope_remote_write_ambiguous_total";
    let ambiguous = rig.relay.metrics().value(counted, &[("target", "central")]);
    assert_eq!(ambiguous, Some(0.0), "it cannot have been taken");
}

#[test]
fn what_is_older_than_its_limit_is_dropped_and_not_sent() {
    let address = Upstream::ok().stop();
    let upstream = Upstream::ok();
    let relay = Relay::builder()
        .upstream(&upstream)
        .target_address("central", &format!("http://{address}"), &["max-age: 1s"])
        .spawn();
    for _ in 0..5 {
        relay.send(&Request::profile("app", b"profile"));
    }
    let ledger = relay.wait_ledger("central", "expiry", |ledger| {
        ledger.dropped("expired") == Count::new(5, 35)
    });
    assert_eq!(ledger.pending, Count::default(), "{ledger:?}");
}

#[test]
fn a_pause_that_a_target_asks_for_is_kept() {
    let target = Upstream::script(|arrival| match arrival.index {
        // A single 429 could be the profile's own fault.
        0 | 1 => Answer::with(429, &[("Retry-After", "3")], b""),
        _ => Answer::ok(),
    });
    let rig = Rig::with(Upstream::ok(), target, &["queue-workers: 1"], |builder| {
        builder
    });
    let mut client = rig.client();
    for number in 0..10 {
        let name = format!("app{number}");
        client.exchange(&Request::profile(&name, b"profile"));
    }
    assert_eq!(rig.settled(10).sent.profiles, 10);
    let arrivals = rig.target.arrivals();
    let pause = arrivals[2].at - arrivals[1].at;
    let (least, most) = (Duration::from_secs(3), Duration::from_secs(8));
    assert!(pause >= least && pause < most, "{pause:?}");
    let asked = "pyroscope_remote_write_retry_after_seconds";
    let asked = rig.relay.metrics().value(asked, &[("target", "central")]);
    assert_eq!(asked, Some(3.0));
}

#[test]
fn rules_of_a_target_go_before_those_that_are_built_in() {
    let target = Upstream::script(|arrival| match arrival.index {
        0 => Answer::status(404, b"starting"),
        1 => Answer::status(409, b"stored Twice"),
        _ => Answer::ok(),
    });
    let options = ["outcomes: { 404: transient, \"409 stored twice\": ok }"];
    let rig = Rig::with(Upstream::ok(), target, &options, |builder| builder);
    rig.send(&Request::profile("app", b"profile"));
    assert_eq!(rig.settled(1).sent.profiles, 1);
    assert_eq!(rig.target.arrivals().len(), 2);
}

#[test]
fn a_record_that_fails_alone_is_given_up_and_the_others_pass_it() {
    let target = Upstream::script(|arrival| match arrival.head.query().contains("poison") {
        true => Answer::status(422, b"{\"message\":\"the moon is full\"}"),
        false => Answer::ok(),
    });
    let rig = Rig::with(Upstream::ok(), target, &[], |builder| builder);
    rig.send(&Request::profile("poison", b"profile"));
    for number in 0..20 {
        rig.send(&Request::profile(&format!("app{number}"), b"profile"));
    }
    rig.relay
        .wait_ledger("central", "the others", |ledger| ledger.sent.profiles == 20);
    let ledger = rig.settled(21);
    assert_eq!(ledger.dropped("rejected").profiles, 1, "{ledger:?}");
    let poison = rig.target.requests().into_iter();
    let poison = poison.filter(|request| request.head.query().contains("poison"));
    assert_eq!(poison.count(), 3);
}

#[test]
fn an_outage_costs_few_connections_and_no_profile() {
    let upstream = Upstream::ok();
    let address = Upstream::ok().stop();
    let options = ["queue-size: 10000"];
    let relay = Relay::builder()
        .upstream(&upstream)
        .target_address("central", &format!("http://{address}"), &options)
        .spawn();
    let mut client = Client::connect(relay.addr());
    let start = Instant::now();
    let mut sent: u64 = 0;
    let mut profile = |client: &mut Client| {
        let answer = client.exchange(&Request::profile(&format!("app{sent}"), b"profile"));
        assert_eq!(answer.status(), 200);
        sent += 1;
    };
    while start.elapsed() < Duration::from_secs(4) {
        profile(&mut client);
        std::thread::sleep(Duration::from_millis(5));
    }
    let state = |state| {
        let labels = [("target", "central"), ("to", state)];
        let name = "pyroscope_remote_write_circuit_transitions_total";
        relay.metrics().value(name, &labels)
    };
    assert_eq!(state("open"), Some(1.0));
    let target = Upstream::at(&address.to_string(), |_| Answer::ok());
    target.wait_for(1, 2 * SOON);
    let tries = relay.metrics().sum(ERRORS, &[("target", "central")]);
    assert!(
        (1.0..=8.0).contains(&tries),
        "{tries} tries for {sent} profiles"
    );
    // A new profile is sent at once after the first success, however many profiles are queued.
    profile(&mut client);
    let last = format!("app{}", sent - 1);
    target.wait_until(Duration::from_secs(2), "a fresh profile", |requests| {
        requests
            .iter()
            .any(|request| request.head.query().contains(&last))
    });
    let ledger = relay.wait_ledger("central", "all sent", |ledger| ledger.sent.profiles == sent);
    assert_eq!(ledger.lost(), Count::default(), "{ledger:?}");
    assert_eq!(target.requests().len() as u64, sent, "each once");
    assert_eq!(state("healthy"), Some(1.0));
}
