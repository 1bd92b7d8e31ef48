mod checks;
mod exchange;
mod model;
mod pairs;
mod policies;
mod retries;
mod slow;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use proptest::prelude::*;
use pyrotee_queue::{
    Budget, Consumer, LeaseFilter, Ledger, OpenBackend, Reason, Registry, open_memory,
};
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service, service_fn};

use super::policy::{LocalPolicy, RequestPolicy};
use super::recorder::{Recorder, ResponsePolicy};
use super::{Policies, TeeBody, TeeLayer, TeeState};
use crate::LocalWrites;
use crate::client::{Client, RequestContext};
use crate::metrics::ProxyMetrics;
use crate::tests::target;

const MAX_BODY: u64 = 100_000;

/// A body of given frames, with or without an announced length, that ends or breaks off.
#[derive(Debug)]
struct Frames {
    frames: VecDeque<Frame<Bytes>>,
    announced: Option<u64>,
    breaks: bool,
}

impl Frames {
    fn new(chunks: &[Bytes], announced: bool) -> Self {
        let len = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        let frames = chunks.iter().cloned().map(Frame::data).collect();
        Self {
            frames,
            announced: announced.then_some(len),
            breaks: false,
        }
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(match self.frames.pop_front() {
            Some(frame) => Some(Ok(frame)),
            None if self.breaks => Some(Err("reset by peer")),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        // Like a body of hyper: only a body with a length knows its last frame.
        self.frames.is_empty() && self.announced.is_some() && !self.breaks
    }

    fn size_hint(&self) -> SizeHint {
        self.announced.map(SizeHint::with_exact).unwrap_or_default()
    }
}

struct Bench {
    layer: TeeLayer,
    policies: Arc<Policies>,
    tee: Arc<TeeState>,
    registry: Arc<dyn Registry>,
    consumer: Arc<dyn Consumer>,
    ledger: Arc<Ledger>,
    budget: Arc<Budget>,
}

fn bench(response_policy: ResponsePolicy, memory: u64) -> Bench {
    let target = target("central", 100);
    let ledger = Arc::clone(&target.ledger);
    let OpenBackend {
        producer,
        registry,
        mut queues,
    } = open_memory([target]);
    let budget = Budget::new(memory);
    let tee = TeeState::new(producer, Arc::clone(&budget), ProxyMetrics::new());
    let recorder = Recorder {
        max_body: MAX_BODY,
        response_policy,
        tee: Arc::clone(&tee),
    };
    let policy = RequestPolicy {
        recorder: Some(Arc::new(recorder)),
        local: LocalPolicy {
            local_writes: LocalWrites::Forward,
            max_rest_bytes: MAX_BODY,
        },
    };
    let policies = Policies::with(policy, Arc::clone(&tee), CancellationToken::new());
    Bench {
        layer: TeeLayer::new(Arc::clone(&policies)),
        policies,
        tee,
        registry,
        consumer: queues.remove(0).consumer,
        ledger,
        budget,
    }
}

fn request(body: Frames) -> Request<Frames> {
    let uri = "/ingest?name=app%7Ba%3Db%7D&from=1";
    Request::post(uri)
        .header("content-type", "text/plain")
        .body(body)
        .unwrap()
}

/// Attaches the context that the listener attaches to a request.
fn from_listener(request: Request<Frames>) -> Request<Frames> {
    from_peer(SocketAddr::from((Ipv4Addr::LOCALHOST, 4040)), request)
}

/// Attaches the context that the listener attaches to a request of a connection from `peer`.
fn from_peer(peer: SocketAddr, mut request: Request<Frames>) -> Request<Frames> {
    let client = Arc::new(Client::new(peer, false, Arc::default()));
    RequestContext::attach(&client, &mut request);
    request
}

impl Bench {
    /// Delivers one profile.
    async fn deliver(&self) {
        let lease = self.consumer.lease(&LeaseFilter::ANY).await;
        lease.expect("one is pending").ack();
    }

    /// Sends a request through the tee to an upstream that reads at most `frames` frames, polls as hyper does and
    /// responds with `status`; returns the data that the upstream has read.
    async fn send(&self, request: Request<Frames>, frames: usize, status: StatusCode) -> Vec<u8> {
        let mut seen = Vec::new();
        let upstream = service_fn(|request: Request<TeeBody<Frames>>| {
            let seen = &mut seen;
            let mut body = request.into_body();
            for _ in 0..frames {
                if body.is_end_stream() {
                    break;
                }
                match poll_now(&mut body) {
                    Some(Ok(frame)) => seen.extend(frame.into_data().unwrap_or_default()),
                    Some(Err(_)) | None => break,
                }
            }
            async move { Ok::<_, Infallible>(Response::builder().status(status).body(()).unwrap()) }
        });
        let mut tee = self.layer.layer(upstream);
        poll_fn(|cx| Service::<Request<Frames>>::poll_ready(&mut tee, cx))
            .await
            .unwrap();
        let response = tee.call(from_listener(request)).await.unwrap();
        assert_eq!(response.status(), status);
        drop(tee);
        seen
    }

    /// Delivers all records and returns them as (query, body).
    async fn taken(self) -> Vec<(String, Vec<u8>)> {
        let Self {
            layer,
            policies,
            tee,
            consumer,
            ..
        } = self;
        drop((layer, policies, tee));
        let mut taken = Vec::new();
        while let Some(lease) = consumer.lease(&LeaseFilter::ANY).await {
            let record = lease.record();
            taken.push((
                record.head().query.to_string(),
                record.body().frames().concat(),
            ));
            lease.ack();
        }
        taken
    }
}

fn poll_now(body: &mut TeeBody<Frames>) -> Option<Result<Frame<Bytes>, &'static str>> {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    match Pin::new(body).poll_frame(&mut cx) {
        Poll::Ready(frame) => frame,
        Poll::Pending => panic!("the tee must not wait of its own accord"),
    }
}

fn chunks(sizes: &[usize]) -> Vec<Bytes> {
    let chunk = |(place, size): (usize, &usize)| {
        let fill = u8::try_from(place % 251).unwrap();
        Bytes::from(vec![fill; *size])
    };
    sizes.iter().enumerate().map(chunk).collect()
}

#[tokio::test]
async fn trailers_end_a_recording() {
    let bench = bench(ResponsePolicy::Ignore, 1 << 20);
    let mut body = Frames::new(&chunks(&[3]), false);
    body.frames.push_back(Frame::trailers(HeaderMap::new()));
    // hyper does not poll again after trailers.
    bench.send(request(body), 2, StatusCode::OK).await;
    assert_eq!(bench.taken().await.len(), 1);
}

#[tokio::test]
async fn a_body_with_a_length_ends_at_its_last_frame() {
    let bench = bench(ResponsePolicy::Ignore, 1 << 20);
    let body = Frames::new(&chunks(&[3, 4]), true);
    bench.send(request(body), 2, StatusCode::OK).await;
    assert_eq!(bench.taken().await.len(), 1);
}

#[tokio::test]
async fn an_empty_body_that_nobody_polls_is_teed() {
    let bench = bench(ResponsePolicy::Ignore, 1 << 20);
    bench
        .send(request(Frames::new(&[], true)), 0, StatusCode::OK)
        .await;
    assert_eq!(
        bench.taken().await,
        [("name=app%7Ba%3Db%7D&from=1".to_owned(), Vec::new())]
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_forwarded_and_counted_in_full() {
    let bench = bench(ResponsePolicy::Ignore, 1 << 20);
    let body = Frames::new(&chunks(&[60_000, 60_000, 5]), false);
    let seen = bench.send(request(body), 9, StatusCode::OK).await;
    assert_eq!(seen.len(), 120_005);
    let lost = bench.ledger.snapshot().dropped(Reason::TooLarge);
    assert_eq!((lost.profiles, lost.bytes), (1, 120_005));
    assert_eq!(bench.budget.receiving(), 0);
    assert!(bench.taken().await.is_empty());
}

#[tokio::test]
async fn a_spent_budget_loses_the_copy_and_not_the_request() {
    let bench = bench(ResponsePolicy::Ignore, 70_000);
    let _others = bench.budget.reserve(20_000).unwrap();
    let body = Frames::new(&chunks(&[20_000, 20_000]), true);
    let seen = bench.send(request(body), 9, StatusCode::OK).await;
    assert_eq!(seen.len(), 40_000);
    assert_eq!(
        bench.ledger.snapshot().dropped(Reason::Budget).bytes,
        40_000
    );
    assert!(bench.taken().await.is_empty());
}

#[tokio::test]
async fn a_name_that_nobody_can_tag_is_counted_and_sent_to_nobody() {
    let bench = bench(ResponsePolicy::Ignore, 1 << 20);
    let request = Request::post("/ingest?name=app%7Ba%3D1%7D%7Bb%3D2%7D")
        .body(Frames::new(&chunks(&[10]), true))
        .unwrap();
    let seen = bench.send(request, 9, StatusCode::BAD_REQUEST).await;
    assert_eq!(seen.len(), 10);
    assert_eq!(
        bench.ledger.snapshot().dropped(Reason::InvalidName).bytes,
        10
    );
}

#[tokio::test]
async fn what_went_round_in_a_ring_is_relayed_and_not_teed() {
    for (hops, teed) in [
        ("3", 1),
        ("4", 0),
        ("200", 0),
        ("99999999999", 0),
        ("none", 1),
    ] {
        let bench = bench(ResponsePolicy::Ignore, 1 << 20);
        let mut request = request(Frames::new(&chunks(&[10]), true));
        request
            .headers_mut()
            .insert(pyrotee_net::HOPS, hops.parse().unwrap());
        bench.send(request, 9, StatusCode::OK).await;
        assert_eq!(bench.taken().await.len(), teed, "{hops}");
    }
}

#[tokio::test]
async fn only_ingestion_is_recorded() {
    for (method, path) in [("GET", "/ingest?name=a"), ("POST", "/render?name=a")] {
        let bench = bench(ResponsePolicy::Ignore, 1 << 20);
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Frames::new(&chunks(&[10]), true)).unwrap();
        bench.send(request, 9, StatusCode::OK).await;
        assert_eq!(
            bench.ledger.snapshot().accepted.profiles,
            0,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn upstream_success_needs_the_body_and_a_2xx() {
    for (status, read, teed) in [
        (StatusCode::OK, 9, 1),
        (StatusCode::NO_CONTENT, 9, 1),
        (StatusCode::UNPROCESSABLE_ENTITY, 9, 0),
        (StatusCode::OK, 1, 0),
    ] {
        let bench = bench(ResponsePolicy::OfferOnSuccess, 1 << 20);
        let body = Frames::new(&chunks(&[10, 10]), true);
        bench.send(request(body), read, status).await;
        assert_eq!(bench.budget.receiving(), 0, "nothing is left behind");
        let accepted = bench.ledger.snapshot().accepted.profiles;
        assert_eq!(accepted, teed, "{status} after {read} frames");
        assert_eq!(bench.taken().await.len() as u64, teed);
    }
}

proptest! {
    #[test]
    fn any_chunking_and_any_abort_tees_the_whole_or_nothing(
        sizes in prop::collection::vec(0usize..40_000, 0..6),
        announced in any::<bool>(),
        breaks in any::<bool>(),
        read in 0usize..8,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let bench = bench(ResponsePolicy::Ignore, 1 << 20);
            let chunks = chunks(&sizes);
            let sent = chunks.concat();
            let mut body = Frames::new(&chunks, announced);
            body.breaks = breaks;
            let is_empty_at_once = body.is_end_stream();
            let seen = bench.send(request(body), read, StatusCode::OK).await;
            prop_assert!(sent.starts_with(&seen), "what passes is what was sent");

            // The end is seen with the last frame if the length was announced, else at `None`.
            let polls = if announced { sizes.len() } else { sizes.len() + 1 };
            let whole = is_empty_at_once || (!breaks && read >= polls);
            let fits = sent.len() as u64 <= MAX_BODY;
            let counts = bench.ledger.snapshot();
            prop_assert_eq!(counts.accepted.profiles, u64::from(whole));
            prop_assert!(counts.balance());
            let lost = counts.dropped(Reason::TooLarge);
            prop_assert_eq!(lost.profiles, u64::from(whole && !fits));
            let budget = Arc::clone(&bench.budget);
            let taken = bench.taken().await;
            if whole && fits {
                prop_assert_eq!(&taken.first().expect("one record").1, &sent);
            } else {
                prop_assert!(taken.is_empty());
            }
            prop_assert_eq!((budget.receiving(), budget.recorded()), (0, 0));
            Ok(())
        })?;
    }
}
