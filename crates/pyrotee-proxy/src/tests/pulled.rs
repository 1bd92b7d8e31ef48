//! Requests of the relay itself, which come through the entrance.

use hyper::client::conn::http1 as h1;
use pyrotee_queue::Reason;

use super::*;
use crate::{Duplicates, TeeOn, TeeSettings};

/// Sends a profile as the relay itself does: without `Host`.
async fn pull(relay: &Relay, query: &str) -> Response<Incoming> {
    let pipe = relay.entrance.open().unwrap();
    let (mut requests, connection) = h1::handshake(TokioIo::new(pipe)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post(format!("/ingest?{query}"));
    let request = request.body(Full::new(Bytes::from_static(b"profile")));
    requests.send_request(request.unwrap()).await.unwrap()
}

fn tee(relay: &Relay, local_writes: LocalWrites) {
    let tee = TeeSettings {
        max_body: 1_000,
        on: TeeOn::Always,
        duplicates: Duplicates::Drop,
        check: None,
    };
    relay.policy.set(local_writes, Some(&tee));
}

#[tokio::test]
async fn a_pulled_profile_takes_the_way_of_a_pushed_one() {
    let relay = Relay::start(true);
    tee(&relay, LocalWrites::Forward);
    let response = pull(&relay, "name=app&from=1").await;
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "upstream");
    assert_eq!(*relay.upstream.lock().unwrap(), ["name=app&from=1"]);
    let refused = pull(&relay, "name=app&from=2&status=422").await;
    assert_eq!(refused.status(), 422, "the response of the upstream");
    let queries = relay.stop().await;
    assert_eq!(queries, ["name=app&from=1", "name=app&from=2&status=422"]);
}

#[tokio::test]
async fn a_pulled_profile_has_passed_no_proxy_and_is_no_retry() {
    let relay = Relay::start(true);
    tee(&relay, LocalWrites::Forward);
    for _ in 0..2 {
        let response = pull(&relay, "name=app&status=500").await;
        // The upstream repeats the header.
        assert!(!response.headers().contains_key("x-forwarded-proto"));
    }
    let duplicates = relay.ledger.snapshot().dropped(Reason::Duplicate).profiles;
    assert_eq!((relay.stop().await.len(), duplicates), (2, 0));
}

#[tokio::test]
async fn a_pulled_profile_needs_no_upstream() {
    let relay = Relay::start(false);
    tee(&relay, LocalWrites::Discard);
    assert_eq!(pull(&relay, "name=app").await.status(), 200);
    assert_eq!(pull(&relay, "name={").await.status(), 400);
    assert_eq!(relay.stop().await, ["name=app"]);
}

#[tokio::test]
async fn an_open_entrance_does_not_keep_the_relay_from_stopping() {
    let relay = Relay::start(true);
    tee(&relay, LocalWrites::Forward);
    let idle = relay.entrance.open().unwrap();
    let entrance = relay.entrance.clone();
    let stopped = timeout(PATIENCE, relay.stop()).await;
    assert_eq!(stopped.expect("the relay stops"), [""; 0]);
    drop(idle);
    let error = entrance.open().unwrap_err();
    assert_eq!(error.to_string(), "the relay is stopping");
}
