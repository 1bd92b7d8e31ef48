//! Tests recordings of slow clients, and of other clients at the same time.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::*;
use crate::discard::discard;
use crate::forward::BackgroundReader;
use crate::synthetic_response::ResponseFormat;

/// A body of frames that the test sends.
struct Sent {
    frames: mpsc::UnboundedReceiver<Bytes>,
    left: u64,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        let frame = self.frames.poll_recv(cx);
        frame.map(|frame| match frame {
            Some(frame) => {
                self.left = self.left.saturating_sub(frame.len() as u64);
                Some(Ok(Frame::data(frame)))
            }
            None if self.left > 0 => Some(Err("the client left")),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }
}

/// A client of a relay without an upstream.
pub(super) struct SlowClient {
    frames: Option<mpsc::UnboundedSender<Bytes>>,
    response: JoinHandle<StatusCode>,
}

impl SlowClient {
    pub(super) fn new(bench: &Bench, length: u64) -> Self {
        let (frames, receiver) = mpsc::unbounded_channel();
        let body = Sent {
            frames: receiver,
            left: length,
        };
        let request = Request::post("/ingest?name=app").body(body).unwrap();
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 4040));
        let client = Arc::new(Client::new(peer, false, Arc::default()));
        let mut request = request;
        RequestContext::attach(&client, &mut request);
        let discarding = service_fn(|request: Request<TeeBody<Sent>>| async {
            let metrics = ProxyMetrics::new();
            let response = discard(request.into_body(), ResponseFormat::Ingest, &metrics).await;
            Ok::<_, Infallible>(response)
        });
        let response = bench.layer.layer(discarding).call(request);
        let response = tokio::spawn(async { response.await.unwrap().status() });
        Self {
            frames: Some(frames),
            response,
        }
    }

    pub(super) async fn send(&self, bytes: usize) {
        let frames = self.frames.as_ref().expect("it has not left");
        frames.send(Bytes::from(vec![b'x'; bytes])).unwrap();
        tokio::task::yield_now().await;
    }

    async fn status(self) -> StatusCode {
        self.response.await.unwrap()
    }
}

impl Bench {
    fn lost(&self, reason: Reason) -> (u64, u64) {
        let counts = self.ledger.snapshot();
        assert!(counts.balance(), "{counts:?}");
        let lost = counts.dropped(reason);
        (lost.profiles, lost.bytes)
    }

    fn pending(&self) -> u64 {
        self.ledger.snapshot().pending.profiles
    }
}

/// A bench whose slow recordings are given up, as in the proxy.
pub(super) fn swept(memory: u64) -> Bench {
    let bench = bench(ResponsePolicy::Ignore, memory);
    let tee = Arc::clone(&bench.tee);
    tokio::spawn(async move { tee.give_up_slow_recordings().await });
    bench
}

async fn pause(seconds: f64) {
    sleep(Duration::from_secs_f64(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stalls_before_the_end_loses_its_recording_and_not_its_stream() {
    let bench = swept(1 << 20);
    let client = SlowClient::new(&bench, 80_000);
    for _ in 0..8 {
        client.send(9_990).await;
    }
    pause(19.0).await;
    assert!(bench.budget.receiving() > 79_000);
    pause(3.0).await;
    assert_eq!(bench.budget.receiving(), 0, "at once");
    assert_eq!(bench.lost(Reason::UploadFailed), (1, 79_920));
    client.send(80).await;
    assert_eq!(client.status().await, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(
        bench.lost(Reason::UploadFailed),
        (1, 79_920),
        "counted once"
    );
    assert_eq!((bench.pending(), bench.tee.recordings.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn clients_of_a_byte_a_minute_lose_their_recordings() {
    for quick in [0, 64_000] {
        let bench = swept(1 << 20);
        let client = SlowClient::new(&bench, 65_000);
        if quick > 0 {
            client.send(quick).await;
        }
        for _ in 0..6 {
            client.send(1).await;
            pause(4.0).await;
        }
        assert_eq!(bench.lost(Reason::UploadFailed).0, 1, "{quick}");
        assert_eq!(bench.budget.receiving(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn honest_slow_clients_are_recorded() {
    let bench = swept(1 << 20);
    // 64 KiB a second; then a body that begins late and pauses.
    let steady = SlowClient::new(&bench, 98_304);
    for _ in 0..12 {
        steady.send(8_192).await;
        pause(0.125).await;
    }
    assert_eq!(steady.status().await, StatusCode::OK);
    for (pauses, recorded) in [(3.0, true), (12.0, false)] {
        let pausing = SlowClient::new(&bench, 50_000);
        for _ in 0..5 {
            pause(pauses).await;
            pausing.send(10_000).await;
        }
        // The first step ends with the fourth frame.
        assert_eq!(
            pausing.status().await == StatusCode::OK,
            recorded,
            "{pauses} s"
        );
    }
    let late = SlowClient::new(&bench, 2);
    late.send(1).await;
    pause(18.0).await;
    late.send(1).await;
    assert_eq!(late.status().await, StatusCode::OK);
    assert_eq!(bench.pending(), 3);
}

#[tokio::test(start_paused = true)]
async fn slow_recordings_make_room_for_others_when_memory_is_short() {
    // Half of the memory is for recordings, and ten clients would take all of that half for twenty seconds.
    let bench = bench(ResponsePolicy::Ignore, 1 << 20);
    let attackers: Vec<_> = (0..10).map(|_| SlowClient::new(&bench, 70_000)).collect();
    for attacker in &attackers {
        attacker.send(69_990).await;
    }
    // No recording is slow yet.
    let first = SlowClient::new(&bench, 90_000);
    first.send(90_000).await;
    assert_eq!(first.status().await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(bench.lost(Reason::Budget), (1, 90_000));
    pause(1.5).await;
    for _ in 0..20 {
        let honest = SlowClient::new(&bench, 90_000);
        honest.send(90_000).await;
        assert_eq!(honest.status().await, StatusCode::OK);
        bench.deliver().await;
    }
    let (lost, _) = bench.lost(Reason::UploadFailed);
    assert!((1..=3).contains(&lost), "no more than needed: {lost}");
    drop(attackers);
}

#[tokio::test(start_paused = true)]
async fn time_that_the_upstream_takes_is_not_the_clients() {
    let bench = swept(1 << 20);
    let (frames, receiver) = mpsc::unbounded_channel();
    let body = Sent {
        frames: receiver,
        left: 20,
    };
    let mut request = Request::post("/ingest?name=app").body(body).unwrap();
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 4040));
    RequestContext::attach(
        &Arc::new(Client::new(peer, false, Arc::default())),
        &mut request,
    );
    let (bodies, mut body) = mpsc::unbounded_channel();
    let upstream = service_fn(|request: Request<TeeBody<Sent>>| {
        bodies.send(request.into_body()).unwrap();
        async { Ok::<_, Infallible>(Response::new(())) }
    });
    bench.layer.layer(upstream).call(request).await.unwrap();
    let mut body = body.recv().await.unwrap();
    let mut pending = std::pin::pin!(poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)));
    assert!(timeout(Duration::from_secs(5), &mut pending).await.is_err());
    frames.send(Bytes::from_static(b"0123456789")).unwrap();
    pending.await.unwrap().unwrap();
    // The upstream does not poll the body for a minute.
    frames.send(Bytes::from_static(b"0123456789")).unwrap();
    pause(60.0).await;
    poll_fn(|cx| Pin::new(&mut body).poll_frame(cx))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(bench.pending(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_is_read_in_the_background_is_no_exception() {
    let bench = swept(1 << 20);
    let reader = Arc::new(BackgroundReader {
        metrics: ProxyMetrics::new(),
        tasks: tokio_util::task::TaskTracker::new(),
        runtime: tokio::runtime::Handle::current(),
        max_time: Duration::from_secs(60),
    });
    let mut clients = Vec::new();
    for (rest, lost) in [(0, 1), (10_000, 0)] {
        let (frames, receiver) = mpsc::unbounded_channel();
        let body = Sent {
            frames: receiver,
            left: 20_000,
        };
        let mut request = Request::post("/ingest?name=app").body(body).unwrap();
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 4040));
        RequestContext::attach(
            &Arc::new(Client::new(peer, false, Arc::default())),
            &mut request,
        );
        let reader = Arc::clone(&reader);
        let refusing = service_fn(move |request: Request<TeeBody<Sent>>| {
            reader.read_rest(request.into_body(), 1 << 20);
            async { Ok::<_, Infallible>(Response::new(())) }
        });
        bench.layer.layer(refusing).call(request).await.unwrap();
        let before = bench.lost(Reason::UploadFailed).0;
        frames.send(Bytes::from(vec![0; 10_000])).unwrap();
        if rest > 0 {
            pause(2.0).await;
            frames.send(Bytes::from(vec![0; rest])).unwrap();
        }
        pause(22.0).await;
        assert_eq!(bench.lost(Reason::UploadFailed).0 - before, lost);
        assert_eq!(bench.budget.receiving(), 0);
        clients.push(frames);
    }
    assert_eq!(bench.pending(), 1);
}
