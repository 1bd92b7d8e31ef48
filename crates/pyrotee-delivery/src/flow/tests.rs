//! Tests of which uploads get a permit, step by step.

use std::time::SystemTime;

use http::StatusCode;
use pyroscope_wire::refusal::Meaning;
use pyrotee_net::ExchangeError;
use pyrotee_queue::{
    Budget, Head, Headers, Lane, Lease, LeaseEnd, Payload, Reason, Record, RetryHistory, Settle,
};

use super::*;
use crate::outcome::Outcome;

pub(super) const INGEST: SurfaceId = SurfaceId(1);
const PUSH: SurfaceId = SurfaceId(2);

struct Nobody;

impl Settle for Nobody {
    fn settle(self: Box<Self>, _: LeaseEnd) {}
}

fn lease(surface: SurfaceId, lane: Lane, bytes: usize) -> Lease {
    let head = Head {
        surface,
        query: "".into(),
        content_type: None,
        content_encoding: None,
        headers: Headers::default(),
        hops: 0,
        received: SystemTime::UNIX_EPOCH,
        captor_tags: None,
    };
    let reservation = Budget::new(1 << 30).reserve(0).expect("nothing is asked");
    let record = Record::new(head, Payload::from(vec![0; bytes]), reservation);
    Lease::new(record, lane, RetryHistory::default(), Box::new(Nobody))
}

pub(super) fn fresh(surface: SurfaceId) -> Lease {
    lease(surface, Lane::Fresh, 100)
}

pub(super) fn failed(surface: SurfaceId) -> Lease {
    lease(surface, Lane::Failed, 100)
}

pub(super) fn backlog(surface: SurfaceId) -> Lease {
    lease(surface, Lane::Backlog, 100)
}

pub(super) fn ok() -> Outcome {
    Outcome::acked(StatusCode::OK)
}

pub(super) fn unreachable() -> Outcome {
    Outcome::no_response(ExchangeError::timeout("nobody listens", true), false)
}

pub(super) fn answered(status: u16, meaning: Meaning) -> Outcome {
    let status = StatusCode::from_u16(status).unwrap();
    Outcome::response(status, meaning, "no".to_owned(), None)
}

fn wants(plan: &LeasePlan, surface: SurfaceId) -> bool {
    plan.wanted
        .iter()
        .any(|wanted| wanted.surfaces.contains(surface))
}

/// Starts an upload of an untried record and ends it at once.
pub(super) fn send(flow: &Arc<FlowControl>, surface: SurfaceId, outcome: &Outcome) -> FlowChange {
    let permit = flow.permit(&fresh(surface)).expect("a record may go");
    permit.complete(outcome)
}

async fn until(plan: &LeasePlan) {
    tokio::time::sleep_until(plan.until.expect("time will change it")).await;
}

fn lanes(plan: &LeasePlan) -> Vec<Lane> {
    plan.wanted.iter().map(|wanted| wanted.lane).collect()
}

#[tokio::test(start_paused = true)]
async fn fresh_records_go_before_the_backlog_and_failed_ones_beside_them() {
    let flow = FlowControl::new(64, None);
    let plan = flow.plan();
    assert_eq!(lanes(&plan), [Lane::Failed, Lane::Fresh, Lane::Backlog]);
    assert_eq!(plan.until, None);
    let failed = flow
        .permit(&lease(INGEST, Lane::Failed, 1))
        .expect("there is room");
    // Failed records hold one of ten permits; more of them only if there is no untried record.
    assert_eq!(
        lanes(&flow.plan()),
        [Lane::Fresh, Lane::Backlog, Lane::Failed]
    );
    let permits: Vec<_> = (0..19)
        .map(|_| flow.permit(&fresh(INGEST)).expect("there is room"))
        .collect();
    assert_eq!(
        lanes(&flow.plan()),
        [Lane::Failed, Lane::Fresh, Lane::Backlog]
    );
    drop((failed, permits));
    assert_eq!(flow.snapshot().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn with_one_worker_an_untried_record_goes_first() {
    let flow = FlowControl::new(1, None);
    assert_eq!(
        lanes(&flow.plan()),
        [Lane::Fresh, Lane::Backlog, Lane::Failed]
    );
    let permit = flow.permit(&fresh(INGEST)).expect("there is room");
    assert_eq!(lanes(&flow.plan()), []);
    drop(permit);
}

#[tokio::test(start_paused = true)]
async fn the_backlog_takes_half_of_the_places_and_its_time() {
    let flow = FlowControl::new(8, NonZeroU64::new(1_000));
    let backlog = |plan: &LeasePlan| lanes(plan).contains(&Lane::Backlog);
    let small = || lease(INGEST, Lane::Backlog, 10);
    let first = flow.permit(&small()).expect("there is room");
    assert!(backlog(&flow.plan()));
    let second = flow.permit(&small()).expect("there is room");
    assert!(!backlog(&flow.plan()), "two of four");
    assert!(wants(&flow.plan(), INGEST), "fresh ones still");
    drop((first, second));
    let large = lease(INGEST, Lane::Backlog, 5_000);
    flow.permit(&large).expect("there is room").complete(&ok());
    let plan = flow.plan();
    assert!(!backlog(&plan) && plan.until.is_some());
    until(&plan).await;
    assert!(backlog(&flow.plan()));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_cannot_be_reached_gets_one_probe_at_a_time() {
    let flow = FlowControl::new(64, None);
    let early = flow.permit(&fresh(INGEST)).expect("it is closed");
    assert_eq!(
        send(&flow, INGEST, &unreachable()).state,
        Some(TargetState::Open)
    );
    assert!(!wants(&flow.plan(), INGEST));
    assert!(flow.permit(&fresh(INGEST)).is_none(), "it opened meanwhile");
    // An upload that started before the breaker opened does not close it.
    assert_eq!(early.complete(&ok()).state, None);

    until(&flow.plan()).await;
    let probe = flow.permit(&fresh(PUSH)).expect("a probe is due");
    assert!(!wants(&flow.plan(), INGEST), "one is enough");
    assert_eq!(
        probe.complete(&unreachable()).state,
        None,
        "it is open still"
    );
    until(&flow.plan()).await;
    let change = send(&flow, PUSH, &ok());
    assert_eq!(change.state, Some(TargetState::Healthy));
    assert!(change.recovered);
    let snapshot = flow.snapshot();
    assert_eq!((snapshot.limit, snapshot.in_flight), (1, 0));
    assert_eq!((flow.acked(INGEST), flow.acked(PUSH)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_an_untried_record_if_there_is_one() {
    let flow = FlowControl::new(64, None);
    send(&flow, INGEST, &unreachable());
    until(&flow.plan()).await;
    let plan = flow.plan();
    assert_eq!(
        lanes(&plan),
        [Lane::Fresh, Lane::Backlog, Lane::Failed, Lane::Failed]
    );
    assert!(plan.wanted.last().is_some_and(|wanted| wanted.deferred));
}

#[tokio::test(start_paused = true)]
async fn five_records_that_fail_stop_all_and_one_good_probe_says_it_was_theirs() {
    let flow = FlowControl::new(64, None);
    let failed = answered(500, Meaning::Transient);
    for _ in 0..4 {
        send(&flow, INGEST, &failed);
    }
    // A record that failed before does not count as a different record.
    let retry = flow
        .permit(&lease(INGEST, Lane::Failed, 1))
        .expect("it is closed");
    retry.complete(&failed);
    assert!(wants(&flow.plan(), INGEST));
    assert_eq!(send(&flow, INGEST, &failed).state, None, "nobody knows yet");
    assert!(!wants(&flow.plan(), INGEST));
    until(&flow.plan()).await;
    let change = send(&flow, INGEST, &ok());
    assert_eq!((change.state, change.recovered), (None, false));
    assert_eq!(flow.snapshot().limit, 32, "the target had no outage");
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_is_dropped_gives_its_place_back() {
    let flow = FlowControl::new(64, None);
    drop(flow.permit(&fresh(INGEST)));
    assert_eq!(flow.snapshot().in_flight, 0);
    send(&flow, INGEST, &unreachable());
    for _ in 0..3 {
        let plan = flow.plan();
        if plan.until.is_some() {
            until(&plan).await;
        }
        let probe = flow.permit(&fresh(INGEST)).expect("a probe is due");
        assert!(!wants(&flow.plan(), INGEST));
        drop(probe);
        assert!(wants(&flow.plan(), INGEST), "another is due at once");
    }
    let unsendable = Outcome::unsendable(Reason::InvalidName);
    send(&flow, INGEST, &unsendable);
    assert!(wants(&flow.plan(), INGEST), "nothing was learnt");
    assert_eq!(flow.snapshot().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_surface_that_is_refused_by_different_records_is_suspended_alone() {
    let flow = FlowControl::new(64, None);
    let broken = answered(404, Meaning::Broken);
    for _ in 0..5 {
        assert_eq!(send(&flow, INGEST, &broken).state, None);
    }
    let plan = flow.plan();
    let untried = |surface| {
        let mut wanted = plan.wanted.iter().filter(|it| it.lane == Lane::Fresh);
        wanted.any(|it| it.surfaces.contains(surface))
    };
    assert!(!untried(INGEST) && untried(PUSH));
    for expected in [None, Some(TargetState::Suspended)] {
        until(&flow.plan()).await;
        assert_eq!(send(&flow, INGEST, &broken).state, expected);
    }
    let wait = flow.plan().until.expect("a probe will be due") - Instant::now();
    assert!(
        wait >= Duration::from_secs(25) && wait <= Duration::from_secs(60),
        "{wait:?}"
    );
    until(&flow.plan()).await;
    let first = flow.plan().wanted.first().copied().expect("a probe is due");
    assert!(first.surfaces.contains(INGEST) && !first.surfaces.contains(PUSH));
    assert!(send(&flow, INGEST, &answered(400, Meaning::Rejected)).recovered);
    assert_eq!(flow.snapshot().state, TargetState::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_surface_that_fails_beside_another_that_works_is_held_back_alone() {
    let flow = FlowControl::new(64, None);
    send(&flow, PUSH, &ok());
    for _ in 0..5 {
        send(&flow, INGEST, &ok());
        send(&flow, PUSH, &answered(504, Meaning::Transient));
    }
    let plan = flow.plan();
    let untried = |surface| {
        let mut wanted = plan.wanted.iter().filter(|it| it.lane == Lane::Fresh);
        wanted.any(|it| it.surfaces.contains(surface))
    };
    assert!(untried(INGEST) && !untried(PUSH));
}

#[tokio::test(start_paused = true)]
async fn one_throttled_record_is_its_own_matter_and_two_pause_the_target() {
    let throttled = Outcome::response(
        StatusCode::TOO_MANY_REQUESTS,
        Meaning::Throttled,
        "no".to_owned(),
        Some(Duration::from_secs(20)),
    );
    let flow = FlowControl::new(64, None);
    for _ in 0..3 {
        send(&flow, INGEST, &throttled);
        assert_eq!((flow.snapshot().limit, flow.plan().until), (32, None));
        // The same record again does not count as a different record.
        let retry = flow
            .permit(&lease(INGEST, Lane::Failed, 1))
            .expect("it may go");
        retry.complete(&throttled);
        assert_eq!(flow.plan().until, None);
        send(&flow, INGEST, &ok());
    }
    send(&flow, INGEST, &throttled);
    let change = send(&flow, PUSH, &throttled);
    assert_eq!(change.state, Some(TargetState::Throttled));
    let pause = change.blocked_until.expect("all wait") - Instant::now();
    assert!(pause >= Duration::from_secs(20) && pause <= Duration::from_secs(22));
}

#[tokio::test(start_paused = true)]
async fn push_back_without_a_time_is_verified_before_it_becomes_a_pause() {
    let flow = FlowControl::new(64, None);
    let throttled = answered(429, Meaning::Throttled);
    send(&flow, INGEST, &throttled);
    assert_eq!(send(&flow, INGEST, &throttled).state, None);
    assert!(flow.snapshot().limit < 32, "less at once");
    for expected in [None, None, None, Some(TargetState::Throttled)] {
        until(&flow.plan()).await;
        assert_eq!(send(&flow, INGEST, &throttled).state, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_refuses_all_it_gets_is_rejecting_after_a_minute() {
    let flow = FlowControl::new(64, None);
    let refused = answered(400, Meaning::Rejected);
    for _ in 0..3 {
        send(&flow, INGEST, &refused);
        assert_eq!(flow.snapshot().state, TargetState::Healthy);
    }
    tokio::time::advance(REJECTING_AFTER).await;
    assert_eq!(flow.snapshot().state, TargetState::Rejecting);
    assert_eq!(send(&flow, INGEST, &ok()).state, Some(TargetState::Healthy));
}

#[tokio::test(start_paused = true)]
async fn a_success_is_news_only_if_it_leaves_room_or_takes_it() {
    let flow = FlowControl::new(4, None);
    let told = async || {
        let told = tokio::time::timeout(Duration::from_millis(1), flow.changed());
        told.await.is_ok()
    };
    for _ in 0..31 {
        send(&flow, INGEST, &ok());
        assert!(!told().await, "there was room and there is");
    }
    let permits = [(); 4].map(|()| flow.permit(&fresh(INGEST)).expect("there is room"));
    assert!(!wants(&flow.plan(), INGEST) || lanes(&flow.plan()) == [Lane::Failed]);
    let [first, _others @ ..] = permits;
    first.complete(&ok());
    assert!(told().await, "it made room");
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_one_rises_although_making_the_content_takes_time() {
    let flow = FlowControl::new(1, None);
    flow.set_limits(16, None);
    let mut permit = flow.permit(&fresh(INGEST)).expect("a record may go");
    tokio::time::advance(Duration::from_millis(1)).await;
    permit.start_upload();
    let _change = permit.complete(&ok());
    assert_eq!(flow.snapshot().limit, 2);
}
