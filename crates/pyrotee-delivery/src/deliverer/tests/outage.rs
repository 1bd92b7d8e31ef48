//! Tests of a target that cannot be reached for a while, under steady load.

use std::collections::HashMap;

use super::*;
use crate::TargetState;

/// A token bucket with Pyroscope's default limits of a tenant: 4 MB per second, and bursts of 2 MB.
struct Limiter {
    tokens: f64,
    at: Instant,
}

impl Limiter {
    const RATE: f64 = 4e6;
    const BURST: f64 = 2e6;

    fn new() -> Self {
        Self {
            tokens: Self::BURST,
            at: Instant::now(),
        }
    }

    fn allows(&mut self, bytes: f64) -> bool {
        let now = Instant::now();
        let grown = self.tokens + Self::RATE * (now - self.at).as_secs_f64();
        self.tokens = grown.min(Self::BURST);
        self.at = now;
        let allowed = self.tokens >= bytes;
        if allowed {
            self.tokens -= bytes;
        }
        allowed
    }
}

const SIZE: usize = 20_000;
const DOWN: Duration = Duration::from_secs(600);
/// Offers are 50 ms apart: 0.4 MB a second.
const APART: f64 = 0.05;

#[tokio::test(start_paused = true)]
async fn ten_minutes_of_outage_are_survived_and_made_up_for_politely() {
    let start = Instant::now();
    let settings = Settings {
        replay_rate: std::num::NonZeroU64::new(2_000_000),
        ..settings()
    };
    let mut limiter = Limiter::new();
    let server = Server::with_door(
        move || start.elapsed() >= DOWN,
        move |_| {
            if limiter.allows(SIZE as f64) {
                Act::Take(Duration::from_millis(100))
            } else {
                Act::answer(429, "push rate limit (4.0 MiB) exceeded while adding 20 kB")
            }
        },
    );
    let rig = Rig::with(&settings, server);
    let mut offered = Vec::new();
    while start.elapsed() < DOWN + Duration::from_secs(300) {
        rig.offer_sized(Surface::Ingest, &offered.len().to_string(), SIZE);
        offered.push(Instant::now());
        pause(APART).await;
        if offered.len() == 1_000 {
            assert_eq!(rig.monitor.status().state, TargetState::Open);
        }
    }
    let counts = rig.settled().await;
    assert_eq!(
        counts.sent.profiles,
        offered.len() as u64,
        "nothing is lost"
    );

    let connects = rig.server.seen(|seen| seen.connects.clone());
    let down: Vec<_> = connects
        .into_iter()
        .filter(|at| *at < start + DOWN)
        .collect();
    for first in down
        .iter()
        .filter(|at| **at >= start + Duration::from_secs(60))
    {
        let minute = *first..*first + Duration::from_secs(60);
        let tries = down.iter().filter(|at| minute.contains(at)).count();
        assert!(tries <= 6, "{tries} attempts in a minute");
    }

    let uploads = rig.server.seen(|seen| seen.uploads.len());
    let throttled = uploads - offered.len();
    assert_eq!(throttled, 0, "no answer 429");

    let kept: HashMap<usize, Instant> = rig.server.seen(|seen| {
        let kept = seen.kept.iter();
        kept.map(|(at, name)| (name.parse().unwrap(), *at))
            .collect()
    });
    let back = *kept.values().min().expect("something was kept");
    assert!(
        back < start + DOWN + Duration::from_secs(31),
        "the probe comes in time"
    );
    let fresh = offered.iter().enumerate().filter(|(_, at)| **at > back);
    for (number, at) in fresh.clone() {
        let waited = kept[&number] - *at;
        assert!(
            waited < Duration::from_secs(2),
            "{number} waited for {waited:?}"
        );
    }
    // The backlog takes as long as `replay_rate` says, not more and not less.
    let backlog = offered.len() - fresh.count();
    let last = kept
        .iter()
        .filter(|(number, _)| **number < backlog)
        .map(|(_, at)| *at)
        .max();
    let took = (last.expect("there was a backlog") - back).as_secs_f64();
    let expected = (backlog * SIZE) as f64 / 2e6;
    assert!(
        (expected * 0.95..expected * 1.1 + 2.0).contains(&took),
        "{took} s for {backlog} profiles, {expected} s by the rate"
    );
    rig.drained().await;
}

#[tokio::test(start_paused = true)]
async fn probes_of_a_target_that_fails_everything_take_turns() {
    let start = Instant::now();
    let rig = Rig::new(Server::new(move |_| {
        if start.elapsed() < Duration::from_secs(900) {
            Act::answer(503, "")
        } else {
            Act::OK
        }
    }));
    for number in 0..20 {
        rig.offer(&format!("{number}"));
    }
    pause(890.0).await;
    let names = rig.server.names();
    assert!(names.len() > 30, "{}", names.len());
    for three in names[10..].windows(3) {
        assert!(three.iter().any(|name| *name != three[0]), "{names:?}");
    }
    rig.settled().await;
    rig.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_returns_gets_one_upload_then_two_then_four() {
    let start = Instant::now();
    let door = move || start.elapsed() > Duration::from_secs(60);
    let second = Duration::from_secs(1);
    let rig = Rig::new(Server::with_door(door, move |_| Act::Take(second)));
    rig.offer("waits");
    while rig.counts().sent.profiles == 0 {
        pause(0.01).await;
    }
    for number in 0..60 {
        rig.offer(&format!("{number}"));
    }
    rig.settled().await;
    let arrivals = rig.server.seen(|seen| {
        let uploads = seen.uploads.iter();
        uploads.map(|upload| upload.at).collect::<Vec<_>>()
    });
    let back = arrivals[0] - Duration::from_millis(1);
    let in_second = |n: u32| {
        let second = back + second * n..back + second * (n + 1);
        arrivals.iter().filter(|at| second.contains(at)).count()
    };
    let per_second: Vec<_> = (0..6).map(in_second).collect();
    assert_eq!(per_second, [1, 1, 2, 4, 8, 16], "{per_second:?}");
    rig.drained().await;
}
