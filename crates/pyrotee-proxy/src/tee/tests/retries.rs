//! `tee.duplicates: drop`.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use pyrotee_queue::Reason;
use tokio::runtime::Handle;
use tokio::time::advance;
use tokio_util::task::TaskTracker;

use super::exchange::Exchange;
use super::{Bench, Frames, bench};
use crate::dedup::RetryFilter;
use crate::tee::ResponsePolicy;

/// Longer than what is digested at once.
pub(super) const LONG: usize = 80_000;

pub(super) struct Watched {
    pub(super) bench: Bench,
    tasks: TaskTracker,
}

/// A bench that remembers what failed, and holds at most an eighth of `memory` until the upstream responds.
pub(super) fn watched(memory: u64) -> Watched {
    let tasks = TaskTracker::new();
    let filter = RetryFilter::new(memory, tasks.clone(), Handle::current());
    let bench = bench(ResponsePolicy::FilterRetries(filter), 16 << 20);
    Watched { bench, tasks }
}

impl Watched {
    pub(super) fn begin(&self, query: &str, body: &[u8], announced: bool) -> Exchange {
        let pieces: Vec<_> = body.chunks(30_000).map(Bytes::copy_from_slice).collect();
        self.exchange(query, Frames::new(&pieces, announced))
    }

    fn exchange(&self, query: &str, body: Frames) -> Exchange {
        let request = Request::post(format!("/ingest?name={query}"));
        Exchange::begin(&self.bench.layer, request.body(body).unwrap())
    }

    /// Everything that waits to be digested is.
    pub(super) async fn digested(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }

    /// Profiles that were teed, and that were known as repetitions.
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
            let watched = watched(16 << 20);
            let body = vec![7; len];
            end(watched.begin("app", &body, true));
            watched.digested().await;
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
        let watched = watched(16 << 20);
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
    let watched = watched(16 << 20);
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
    let watched = watched(16 << 20);
    let mut body = Frames::new(&[Bytes::from_static(b"profile")], false);
    body.breaks = true;
    watched.exchange("app", body).read().fail().read();
    watched.begin("app", b"profile", true).read().fail().read();
    assert_eq!(watched.counts(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_long_repetition_that_comes_before_the_digest_waits_for_it() {
    let watched = watched(16 << 20);
    let body = vec![7; LONG];
    watched.begin("app", &body, true).read().fail().read();
    let again = watched.begin("app", &body, true).read();
    let mut other = body.clone();
    other[LONG - 1] += 1;
    let other = watched.begin("app", &other, false).read();
    assert_eq!(watched.counts(), (1, 0), "nothing is known yet");
    again.respond(503).read();
    other.respond(200).read();
    watched.digested().await;
    assert_eq!(watched.counts(), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_repetition_that_overtakes_the_rest_of_its_first_try_waits_for_it() {
    for (announced, breaks) in [(true, false), (false, false), (true, true)] {
        let watched = watched(16 << 20);
        let mut body = Frames::new(&[Bytes::from_static(b"profile")], announced);
        body.breaks = breaks;
        // Refused before it was read.
        let first = watched.exchange("app", body).respond(502);
        let again = watched.begin("app", b"profile", true).read().respond(200);
        tokio::task::yield_now().await;
        assert_eq!(watched.counts(), (0, 0), "nothing is known yet");
        first.read();
        watched.digested().await;
        again.read();
        let repeated = u64::from(!breaks);
        assert_eq!(watched.counts(), (1, repeated), "{announced} {breaks}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_answers_is_bounded_and_still_remembered() {
    let watched = watched(800_000);
    for len in [10_000, LONG] {
        let before = watched.bench.budget.recorded();
        let body = vec![7; len];
        let queries: Vec<_> = (0..20).map(|number| format!("app{len}x{number}")).collect();
        let begin = |query: &String| watched.begin(query, &body, true).read();
        let mut waiting = Vec::new();
        for query in &queries {
            waiting.push(begin(query));
            // What waits for that is bounded, too.
            watched.digested().await;
        }
        // The target has taken all of it.
        for _ in &queries {
            watched.bench.deliver().await;
        }
        let held = watched.bench.budget.recorded() - before;
        assert!((10_000..=100_000).contains(&held), "{held} bytes");
        waiting.into_iter().for_each(|it| it.fail().read());
        watched.digested().await;
        assert_eq!(watched.bench.budget.recorded(), before);
        let (teed, repeated) = watched.counts();
        queries.iter().for_each(|it| begin(it).respond(200).read());
        assert_eq!(watched.counts(), (teed, repeated + 20));
    }
}
