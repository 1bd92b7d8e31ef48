//! Which uploads get a permit, step by step.

use std::time::SystemTime;

use http::StatusCode;
use pyroscope_wire::refusal::Meaning;
use pyrotee_net::ExchangeError;
use pyrotee_queue::{
    Budget, Head, Headers, Lane, Lease, LeaseEnd, LeaseFilter, Payload, Reason, Record,
    RetryHistory, Settle, Surfaces,
};

use super::*;
use crate::outcome::Outcome;

const INGEST: SurfaceId = SurfaceId(1);
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
    };
    let reservation = Budget::new(1 << 30).reserve(0).expect("nothing is asked");
    let record = Record::new(head, Payload::from(vec![0; bytes]), reservation);
    Lease::new(record, lane, RetryHistory::default(), Box::new(Nobody))
}

fn fresh(surface: SurfaceId) -> Lease {
    lease(surface, Lane::Fresh, 100)
}

fn ok() -> Outcome {
    Outcome::acked(StatusCode::OK)
}

fn refused() -> Outcome {
    Outcome::no_response(ExchangeError::timeout("nobody listens", true), false)
}

fn answered(status: u16, meaning: Meaning) -> Outcome {
    let status = StatusCode::from_u16(status).unwrap();
    Outcome::response(status, meaning, "no".to_owned(), None)
}

fn wants(plan: &LeasePlan, surface: SurfaceId) -> bool {
    plan.wanted
        .iter()
        .any(|wanted| wanted.surfaces.contains(surface))
}

async fn until(plan: &LeasePlan) {
    tokio::time::sleep_until(plan.until.expect("time will change it")).await;
}

#[tokio::test(start_paused = true)]
async fn fresh_records_are_wanted_before_the_backlog() {
    let flow = FlowControl::new(64, None);
    let wanted = |lane| LeaseFilter {
        lane,
        surfaces: Surfaces::ALL,
        deferred: false,
    };
    let plan = flow.plan();
    assert_eq!(plan.wanted, [wanted(Lane::Fresh), wanted(Lane::Backlog)]);
    assert_eq!(plan.until, None);
}

#[tokio::test(start_paused = true)]
async fn the_backlog_takes_half_of_the_places_and_its_time() {
    let flow = FlowControl::new(64, NonZeroU64::new(1_000));
    let backlog = |plan: &LeasePlan| {
        let mut wanted = plan.wanted.iter();
        wanted.any(|wanted| wanted.lane == Lane::Backlog)
    };
    let small = || lease(INGEST, Lane::Backlog, 10);
    let first = flow.permit(&small()).expect("there is room");
    assert!(backlog(&flow.plan()));
    let second = flow.permit(&small()).expect("there is room");
    assert!(!backlog(&flow.plan()), "two of four");
    assert!(wants(&flow.plan(), INGEST), "fresh ones still");
    drop((first, second));
    let large = lease(INGEST, Lane::Backlog, 5_000);
    let mut permit = flow.permit(&large).expect("there is room");
    permit.complete(&ok());
    let plan = flow.plan();
    assert!(!backlog(&plan) && plan.until.is_some());
    until(&plan).await;
    assert!(backlog(&flow.plan()));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_cannot_be_reached_is_tried_by_one_probe_twice() {
    let flow = FlowControl::new(64, None);
    let mut early = flow.permit(&fresh(INGEST)).expect("it is closed");
    let mut permit = flow.permit(&fresh(INGEST)).expect("it is closed");
    let change = permit.complete(&refused());
    assert_eq!(change.state, Some(TargetState::Open));
    assert_eq!(permit.hold_probe(), None, "it was no probe");
    assert!(!wants(&flow.plan(), INGEST));
    assert!(flow.permit(&fresh(INGEST)).is_none(), "it opened meanwhile");
    // One that set out before says nothing new.
    assert_eq!(early.complete(&ok()).state, None);

    until(&flow.plan()).await;
    assert!(flow.plan().wanted.iter().any(|wanted| wanted.deferred));
    let mut probe = flow.permit(&fresh(PUSH)).expect("a probe is due");
    assert!(!wants(&flow.plan(), INGEST), "one is enough");
    assert_eq!(probe.complete(&refused()).state, None, "it is open still");
    let again = probe.hold_probe().expect("it tries twice");
    tokio::time::sleep_until(again).await;
    assert!(!wants(&flow.plan(), INGEST), "its place is taken");
    probe.restart();
    let change = probe.complete(&ok());
    assert_eq!(change.state, Some(TargetState::Healthy));
    assert!(change.recovered);
    assert_eq!(probe.hold_probe(), None);
    let snapshot = flow.snapshot();
    assert_eq!((snapshot.limit, snapshot.in_flight), (1, 0));
    assert_eq!(flow.acked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_is_dropped_gives_its_place_back() {
    let flow = FlowControl::new(64, None);
    drop(flow.permit(&fresh(INGEST)));
    assert_eq!(flow.snapshot().in_flight, 0);
    let mut permit = flow.permit(&fresh(INGEST)).expect("it is closed");
    permit.complete(&refused());
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
    // So does one that waits for its second try.
    let mut probe = flow.permit(&fresh(INGEST)).expect("a probe is due");
    probe.complete(&refused());
    probe.hold_probe().expect("it tries twice");
    drop(probe);
    assert!(wants(&flow.plan(), INGEST));
    assert_eq!(flow.snapshot().in_flight, 0);
    let unsendable = Outcome::unsendable(Reason::InvalidName);
    let mut probe = flow.permit(&fresh(INGEST)).expect("a probe is due");
    probe.complete(&unsendable);
    assert!(wants(&flow.plan(), INGEST), "nothing was learnt");
}

#[tokio::test(start_paused = true)]
async fn a_broken_surface_is_suspended_alone() {
    let flow = FlowControl::new(64, None);
    let mut permit = flow.permit(&fresh(INGEST)).expect("it is closed");
    let change = permit.complete(&answered(404, Meaning::Broken));
    assert_eq!(change.state, Some(TargetState::Suspended));
    let plan = flow.plan();
    assert!(!wants(&plan, INGEST) && wants(&plan, PUSH));
    let wait = plan.until.expect("a probe will be due") - Instant::now();
    assert!(wait >= Duration::from_secs(25) && wait <= Duration::from_secs(30));
    until(&plan).await;
    let first = flow.plan().wanted.first().copied().expect("a probe is due");
    assert!(first.surfaces.contains(INGEST) && !first.surfaces.contains(PUSH));
    let mut probe = flow.permit(&fresh(INGEST)).expect("a probe is due");
    assert!(wants(&flow.plan(), PUSH));
    assert!(probe.complete(&answered(400, Meaning::Rejected)).recovered);
    assert_eq!(flow.snapshot().state, TargetState::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_both_circuits_holds_what_it_has_not_learnt() {
    let flow = FlowControl::new(64, None);
    let broken = answered(401, Meaning::Broken);
    flow.permit(&fresh(INGEST))
        .expect("closed")
        .complete(&broken);
    flow.permit(&fresh(PUSH))
        .expect("closed")
        .complete(&refused());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut probe = flow.permit(&fresh(INGEST)).expect("both are due");
    probe.complete(&answered(503, Meaning::Transient));
    // The surface let nobody in and kept nobody out: only the target is waited for.
    assert!(probe.hold_probe().is_some());
    assert!(!wants(&flow.plan(), INGEST) && !wants(&flow.plan(), PUSH));
    probe.restart();
    assert!(probe.complete(&broken).recovered, "the target answers");
    assert_eq!(flow.snapshot().state, TargetState::Suspended);
    assert!(wants(&flow.plan(), PUSH));
    assert!(
        probe.hold_probe().is_some(),
        "the surface is tried twice as well"
    );
}

#[tokio::test(start_paused = true)]
async fn throttling_is_a_state_of_its_own() {
    let flow = FlowControl::new(64, None);
    let mut permit = flow.permit(&fresh(INGEST)).expect("closed");
    let change = permit.complete(&answered(429, Meaning::Throttled));
    assert_eq!(change.state, Some(TargetState::Throttled));
    assert!(change.blocked_until.is_some());
    assert!(flow.snapshot().next_try <= Some(Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn a_success_is_news_only_if_it_leaves_room_or_takes_it() {
    const SLOW: Duration = Duration::from_secs(1);
    let flow = FlowControl::new(64, None);
    let told = async || {
        let told = tokio::time::timeout(Duration::from_millis(1), flow.changed());
        told.await.is_ok()
    };
    let send = async |took| {
        let mut permit = flow.permit(&fresh(INGEST)).expect("everybody may");
        tokio::time::sleep(took).await;
        permit.complete(&ok());
    };
    // A round of quick answers, and all but one of a round of slow ones.
    for number in 0..31 {
        send(if number < 16 { Duration::ZERO } else { SLOW }).await;
        assert!(!told().await, "there was room and there is");
    }
    let permits = [(); 3].map(|()| flow.permit(&fresh(INGEST)).expect("three of four places"));
    let [mut last, ..] = permits;
    tokio::time::sleep(SLOW).await;
    assert_eq!(flow.snapshot().limit, 4);
    last.complete(&ok());
    assert_eq!(flow.snapshot().limit, 1, "slow answers mean less at once");
    assert!(told().await, "two are under way, where one may");
}
