//! Tests `tee.duplicates: drop`.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use pyrotee_queue::Reason;
use tokio::time::advance;

use super::exchange::Exchange;
use super::{Bench, Frames, bench};
use crate::tee::recorder::ResponsePolicy;
use pyrotee_dedup::RetryFilter;

/// Length of a body in bytes that is too long to be captured as one copy.
pub(super) const LONG: usize = 80_000;

const MEMORY: u64 = 16 << 20;

pub(super) struct Watched {
    pub(super) bench: Bench,
}

/// A bench that remembers failed requests, as many as `memory_limit` allows.
pub(super) fn watched(memory_limit: u64) -> Watched {
    let filter = RetryFilter::new(memory_limit);
    let bench = bench(ResponsePolicy::FilterRetries(filter), MEMORY);
    Watched { bench }
}

impl Watched {
    /// Begins a request with absolute times for the application `app`.
    pub(super) fn begin(&self, app: &str, body: &[u8], announced: bool) -> Exchange {
        self.begin_query(&format!("name={app}&from=1&until=2"), body, announced)
    }

    fn begin_query(&self, query: &str, body: &[u8], announced: bool) -> Exchange {
        let pieces: Vec<_> = body.chunks(30_000).map(Bytes::copy_from_slice).collect();
        self.exchange(query, Frames::new(&pieces, announced))
    }

    fn exchange(&self, query: &str, body: Frames) -> Exchange {
        let request = Request::post(format!("/ingest?{query}"));
        Exchange::begin(&self.bench.layer, request.body(body).unwrap())
    }

    /// Numbers of profiles that were teed, and that were recognised as retries.
    pub(super) fn counts(&self) -> (u64, u64) {
        let counts = self.bench.ledger.snapshot();
        let repeated = counts.dropped(Reason::Duplicate).profiles;
        assert!(counts.balance());
        (counts.accepted.profiles - repeated, repeated)
    }
}

#[tokio::test(start_paused = true)]
async fn every_end_but_a_2xx_is_remembered() {
    let ends: [fn(Exchange); 8] = [
        |it| it.read().respond(503).read(),
        |it| it.respond(413).read(),
        |it| it.read().respond(302).read(),
        |it| it.read().fail().read(),
        |it| it.fail().read(),
        |it| drop(it.read()),
        |it| it.read().respond_grpc(Some("14")).read(),
        |it| it.read().respond_grpc(None).read(),
    ];
    for (number, end) in ends.into_iter().enumerate() {
        for len in [0, 10, LONG] {
            let watched = watched(MEMORY);
            let body = vec![7; len];
            end(watched.begin("app", &body, true));
            watched.begin("app", &body, true).read().respond(503).read();
            assert_eq!(watched.counts(), (1, 1), "{number}, {len} bytes");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_2xx_is_the_end_of_it() {
    let ends: [fn(Exchange); 3] = [
        |it| it.read().respond(204).read(),
        |it| it.respond(200).read(),
        |it| it.read().respond_grpc(Some("0")).read(),
    ];
    for end in ends {
        let watched = watched(MEMORY);
        end(watched.begin("app", b"profile", true));
        watched.begin("app", b"profile", true).read().fail().read();
        assert_eq!(watched.counts(), (2, 0), "the first try did not fail");
        end(watched.begin("app", b"profile", true));
        assert_eq!(watched.counts(), (2, 1));
        watched.begin("app", b"profile", true).read().fail().read();
        assert_eq!(watched.counts(), (3, 1), "the one before was no failure");
    }
}

#[tokio::test(start_paused = true)]
async fn two_minutes_after_its_end_a_try_is_forgotten() {
    let watched = watched(MEMORY);
    let exchange = watched.begin("app", b"profile", true).read();
    advance(Duration::from_secs(300)).await;
    exchange.fail().read();
    for _ in 0..3 {
        advance(Duration::from_secs(119)).await;
        watched.begin("app", b"profile", true).read().fail().read();
    }
    assert_eq!(watched.counts(), (1, 3));
    advance(Duration::from_secs(120)).await;
    watched.begin("app", b"profile", true).read().fail().read();
    assert_eq!(watched.counts(), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn what_broke_off_was_not_teed_and_is_not_remembered() {
    let watched = watched(MEMORY);
    let mut body = Frames::new(&[Bytes::from_static(b"profile")], false);
    body.breaks = true;
    watched
        .exchange("name=app&from=1&until=2", body)
        .read()
        .fail()
        .read();
    watched.begin("app", b"profile", true).read().fail().read();
    assert_eq!(watched.counts(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_overtakes_its_first_try_is_teed_and_the_rest_of_the_first_try_is_not() {
    for (status, teed) in [(502, 1), (200, 2)] {
        let watched = watched(MEMORY);
        // The upstream refuses the first try before its body is read.
        let first = watched.begin("app", b"profile", true).respond(502);
        let again = watched.begin("app", b"profile", true);
        again.read().respond(status).read();
        assert_eq!(watched.counts(), (1, 0));
        first.read();
        // After a success the relay has forgotten the profile: in doubt it is teed.
        assert_eq!(watched.counts(), (teed, 2 - teed), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_profile_without_absolute_times_is_never_a_retry() {
    for times in [
        "",
        "&from=1",
        "&until=2",
        "&from=&until=",
        "&from=1&until=",
        "&from=now-10s&until=now",
        "&from=1&until=now",
        "&from=1;&until=2",
    ] {
        let watched = watched(MEMORY);
        for _ in 0..3 {
            let query = format!("name=app{times}");
            let exchange = watched.begin_query(&query, b"profile", true);
            exchange.read().fail().read();
        }
        assert_eq!(watched.counts(), (3, 0), "{times}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_number_of_remembered_failures_is_bounded() {
    let watched = watched(0);
    let begin = |number: usize| {
        let exchange = watched.begin(&format!("app{number}"), b"profile", true);
        exchange.read().respond(503).read();
    };
    for number in 0..65 {
        begin(number);
        watched.bench.deliver().await;
        advance(Duration::from_millis(1)).await;
    }
    // At the limit of 64 the oldest was evicted.
    begin(64);
    assert_eq!(watched.counts(), (65, 1));
    begin(0);
    assert_eq!(watched.counts(), (66, 1));
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_hangs_makes_the_filter_hold_no_body() {
    let watched = watched(MEMORY);
    let mut waiting = Vec::new();
    for number in 0..20 {
        let exchange = watched.begin(&format!("app{number}"), &[7; LONG], true);
        waiting.push(exchange.read());
        watched.bench.deliver().await;
    }
    let budget = &watched.bench.budget;
    assert_eq!((budget.receiving(), budget.recorded()), (0, 0));
    waiting.into_iter().for_each(|it| it.fail().read());
    let again = watched.begin("app19", &[7; LONG], true);
    again.read().respond(200).read();
    assert_eq!(watched.counts(), (20, 1));
}
