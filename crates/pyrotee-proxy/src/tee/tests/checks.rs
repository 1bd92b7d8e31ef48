use std::sync::Mutex;

use http::header::RETRY_AFTER;
use pyroscope_wire::encoding::{Framing, Syntax};
use pyrotee_queue::{Check, Record, RecordCheck, Unfit};
use tokio::sync::oneshot;
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready};

use super::*;
use crate::discard::discard;
use crate::metrics::ProxyMetrics;
use crate::synthetic_response::ResponseFormat;
use crate::tests::target;

/// A check that ends when the test says so.
#[derive(Debug)]
struct HeldCheck(Mutex<Option<oneshot::Receiver<Result<(), Unfit>>>>);

impl RecordCheck for HeldCheck {
    fn check(&self, _: &Arc<Record>) -> Option<Check> {
        let result = self.0.lock().unwrap().take()?;
        Some(Box::pin(async { result.await.unwrap() }))
    }
}

/// Ends the check of the first request.
type EndCheck = oneshot::Sender<Result<(), Unfit>>;

fn checked(memory: u64) -> (Bench, EndCheck) {
    let (sender, receiver) = oneshot::channel();
    let check = HeldCheck(Mutex::new(Some(receiver)));
    (
        bench(ResponsePolicy::CheckFirst(Arc::new(check)), memory),
        sender,
    )
}

impl Bench {
    /// Sends a body of chunks of these sizes to a relay that has no upstream.
    fn without_upstream(&self, sizes: &[usize]) -> impl Future<Output = Response<()>> + use<> {
        self.answered_in(ResponseFormat::Ingest, sizes)
    }

    /// Sends a body of chunks of these sizes to a relay that has no upstream and responds in `format`.
    fn answered_in(
        &self,
        format: ResponseFormat,
        sizes: &[usize],
    ) -> impl Future<Output = Response<()>> + use<> {
        let discarding = service_fn(move |request: Request<TeeBody<Frames>>| async move {
            let response = discard(request.into_body(), format, &ProxyMetrics::new()).await;
            Ok::<_, Infallible>(response)
        });
        let mut tee = self.layer.layer(discarding);
        let response = tee.call(from_listener(request(Frames::new(&chunks(sizes), true))));
        async { response.await.unwrap().map(drop) }
    }

    fn counted(&self) -> (u64, u64) {
        let counts = self.ledger.snapshot();
        assert!(counts.balance(), "{counts:?}");
        (counts.accepted.profiles, counts.pending.profiles)
    }
}

#[tokio::test]
async fn a_record_is_in_no_queue_before_its_check_has_ended() {
    let (bench, end) = checked(1 << 20);
    let mut response = spawn(bench.without_upstream(&[10, 20]));
    assert_pending!(response.poll());
    assert_eq!(bench.counted(), (0, 0));
    end.send(Ok(())).unwrap();
    assert!(response.is_woken());
    assert_eq!(assert_ready!(response.poll()).status(), StatusCode::OK);
    assert_eq!(bench.counted(), (1, 1));
}

#[tokio::test]
async fn an_unfit_record_is_counted_and_never_queued() {
    for (unfit, status, reason) in [
        (Unfit::Unreadable("x".to_owned()), 400, Reason::Undecodable),
        (Unfit::TooLarge, 413, Reason::TooLarge),
    ] {
        let (bench, end) = checked(1 << 20);
        end.send(Err(unfit)).unwrap();
        let response = bench.without_upstream(&[10, 20]).await;
        assert_eq!(response.status(), status);
        assert!(!response.headers().contains_key(RETRY_AFTER));
        assert_eq!(bench.counted(), (1, 0));
        let lost = bench.ledger.snapshot().dropped(reason);
        assert_eq!((lost.profiles, lost.bytes), (1, 30));
        let budget = Arc::clone(&bench.budget);
        assert!(bench.taken().await.is_empty());
        assert_eq!((budget.receiving(), budget.recorded()), (0, 0));
    }
}

#[tokio::test]
async fn the_record_of_a_client_that_leaves_during_the_check_is_offered() {
    let (bench, _end) = checked(1 << 20);
    let mut response = spawn(bench.without_upstream(&[10, 20]));
    assert_pending!(response.poll());
    drop(response);
    assert_eq!(bench.counted(), (1, 1));
    assert_eq!(bench.taken().await.len(), 1);
}

#[tokio::test]
async fn a_record_that_needs_no_check_is_offered_at_once() {
    let unneeded = ResponsePolicy::CheckFirst(Arc::new(HeldCheck(Mutex::default())));
    let mut response = spawn(bench(unneeded, 1 << 20).without_upstream(&[10]));
    assert_eq!(assert_ready!(response.poll()).status(), StatusCode::OK);
}

#[tokio::test]
async fn a_profile_that_no_queue_took_is_refused_whether_targets_are_left_or_not() {
    let full = target("full", 0);
    // gRPC and gRPC-Web respond with 200; their own status is in a header, or in the body.
    let grpc = ResponseFormat::Grpc {
        declare_trailers: false,
    };
    let web = ResponseFormat::GrpcWeb(Framing::GrpcWeb, Syntax::Proto);
    for (format, status, grpc_status) in [
        (ResponseFormat::Ingest, 503, None),
        (ResponseFormat::Message("application/proto"), 503, None),
        (grpc, 200, Some("14")),
        (web, 200, None),
    ] {
        for targets in [&[][..], std::slice::from_ref(&full)] {
            let bench = bench(ResponsePolicy::Ignore, 1 << 20);
            assert!(
                !bench
                    .answered_in(format, &[10])
                    .await
                    .headers()
                    .contains_key(RETRY_AFTER)
            );
            let _queues = bench.registry.put_in_force(targets);
            let response = bench.answered_in(format, &[10]).await;
            assert_eq!(response.status(), status, "{format:?} {targets:?}");
            assert_eq!(response.headers()[RETRY_AFTER], "5");
            let found = response.headers().get("grpc-status");
            assert_eq!(found.map(|it| it.to_str().unwrap()), grpc_status);
            assert_eq!(bench.counted(), (1, 1), "the removed target got the first");
        }
    }
}

#[tokio::test]
async fn the_last_target_may_leave_during_the_check() {
    let (bench, end) = checked(1 << 20);
    let mut response = spawn(bench.without_upstream(&[10, 20]));
    assert_pending!(response.poll());
    let _queues = bench.registry.put_in_force(&[]);
    end.send(Ok(())).unwrap();
    let response = assert_ready!(response.poll());
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[RETRY_AFTER], "5");
    assert_eq!(bench.counted(), (0, 0));
    assert_eq!((bench.budget.receiving(), bench.budget.recorded()), (0, 0));
}

#[tokio::test]
async fn a_body_that_memory_can_never_hold_is_too_large_and_one_that_must_wait_is_not() {
    for (sizes, status, reason) in [
        (&[20_000, 20_000], 413, Reason::TooLarge),
        (&[10_000, 15_000], 503, Reason::Budget),
    ] {
        let (bench, _end) = checked(40_000);
        let _others = bench.budget.reserve(10_000).unwrap();
        let response = bench.without_upstream(sizes).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers().contains_key(RETRY_AFTER), status == 503);
        assert_eq!(bench.ledger.snapshot().dropped(reason).profiles, 1);
    }
}
