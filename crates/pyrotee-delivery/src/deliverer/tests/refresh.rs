//! Tests of targets that refuse the credentials, which are read again before the refusal counts.

use std::future::pending;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use pyrotee_queue::Part;

use super::*;
use crate::{Credentials, TargetState};

fn with_token(token: &str) -> Settings {
    Settings {
        credentials: Some(Credentials::Bearer(token.into())),
        ..settings()
    }
}

/// What a refresh does when it is called.
#[derive(Debug, Clone, Copy)]
enum Effect {
    /// Puts a new token in force, after this time.
    Swap(Duration),
    Nothing,
    Hang,
    Panic,
}

/// A rig with the token `old`, and the times at which its refresh was called.
struct Refreshed {
    rig: Rig,
    calls: Arc<Mutex<Vec<Instant>>>,
}

impl Refreshed {
    fn new(effect: Effect, server: Server) -> Self {
        let handle = Arc::<OnceLock<TargetHandle>>::default();
        let calls = Arc::<Mutex<Vec<Instant>>>::default();
        let (later, called) = (Arc::clone(&handle), Arc::clone(&calls));
        let refresh = CredentialRefresh::new(move || {
            called.lock().unwrap().push(Instant::now());
            let handle = later.get().expect("it is set").clone();
            async move {
                match effect {
                    Effect::Nothing => {}
                    Effect::Hang => pending().await,
                    Effect::Panic => panic!("the refresh broke"),
                    Effect::Swap(after) => {
                        tokio::time::sleep(after).await;
                        handle.update(&with_token("new")).unwrap();
                    }
                }
            }
        });
        let (old, servers) = (with_token("old"), [server]);
        let [rig] = Rig::over_queues(&old, servers, LIMITS, |queue| queue, &refresh);
        handle.set(rig.handle.clone()).expect("it is set once");
        Self { rig, calls }
    }

    fn calls(&self) -> Vec<Instant> {
        self.calls.lock().unwrap().clone()
    }
}

/// A server that refuses all tokens but `new`.
fn strict(status: u16) -> Server {
    Server::new(move |upload| match upload.authorization.as_str() {
        "Bearer new" => Act::Take(Duration::from_millis(100)),
        _ => Act::answer(status, "bad token"),
    })
}

#[tokio::test(start_paused = true)]
async fn a_rotated_token_costs_no_profile_and_no_time() {
    for status in [401, 403] {
        let (rotated, refused) = (
            Arc::new(AtomicBool::new(false)),
            Arc::<AtomicUsize>::default(),
        );
        let (is_rotated, refusals) = (Arc::clone(&rotated), Arc::clone(&refused));
        let server = Server::new(move |upload| {
            let valid = match is_rotated.load(SeqCst) {
                true => "Bearer new",
                false => "Bearer old",
            };
            if upload.authorization == valid {
                return Act::Take(Duration::from_millis(100));
            }
            refusals.fetch_add(1, SeqCst);
            Act::answer(status, "bad token")
        });
        let it = Refreshed::new(Effect::Swap(Duration::from_millis(50)), server);
        for number in 0..300 {
            if number == 150 {
                rotated.store(true, SeqCst);
            }
            it.rig.offer(&format!("app{number}"));
            pause(0.01).await;
        }
        let last = Instant::now();
        let counts = it.rig.settled().await;
        assert_eq!(counts.sent.profiles, 300);
        assert!(last.elapsed() < Duration::from_secs(1));
        assert_eq!(
            it.calls().len(),
            1,
            "a target that accepts is not asked for"
        );
        // Those that began within the 50 ms of the refresh.
        let refused = refused.load(SeqCst);
        assert!((1..=10).contains(&refused), "{refused}");
        assert_eq!(it.rig.monitor.status().state, TargetState::Healthy);
        assert!(it.rig.dead_letters.lock().unwrap().is_empty());
        it.rig.drained().await;
    }
}

#[tokio::test(start_paused = true)]
async fn uploads_that_are_refused_together_wait_for_one_call() {
    let it = Refreshed::new(Effect::Swap(Duration::from_millis(500)), strict(401));
    let start = Instant::now();
    for number in 0..40 {
        it.rig.offer(&format!("app{number}"));
    }
    assert_eq!(it.rig.settled().await.sent.profiles, 40);
    // No failure is in the history of a record: all were retried at once.
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(it.calls().len(), 1);
    let refused = it.rig.server.names().len() - 40;
    assert!(refused <= 32, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_replaced_credentials_needs_no_call() {
    let server = Server::new(|upload| match upload.authorization.as_str() {
        "Bearer new" => Act::OK,
        // The body of the response takes longer than the change.
        _ => Act::Stall {
            status: 401,
            headers: Vec::new(),
            start: "bad",
        },
    });
    let it = Refreshed::new(Effect::Nothing, server);
    it.rig.offer("app");
    pause(0.5).await;
    it.rig.handle.update(&with_token("new")).unwrap();
    assert_eq!(it.rig.settled().await.sent.profiles, 1);
    assert!(it.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_a_new_token_the_surface_is_suspended_as_before() {
    for effect in [Effect::Nothing, Effect::Panic, Effect::Hang] {
        let it = Refreshed::new(effect, strict(401));
        for number in 0..600 {
            it.rig.offer(&format!("app{number}"));
            pause(0.1).await;
        }
        assert_eq!(it.rig.monitor.status().state, TargetState::Suspended);
        assert_eq!(it.rig.counts().pending.profiles, 600, "{effect:?}");
        let calls = it.calls();
        let apart = calls.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(apart.min() >= Some(Duration::from_secs(1)), "{calls:?}");
        assert!(calls.len() >= 3, "each probe asks: {calls:?}");
        let caught = it.rig.supervisor.panics(Part::Deliverer);
        let panics = matches!(effect, Effect::Panic);
        assert_eq!(caught, if panics { calls.len() as u64 } else { 0 });
        let uploads = it.rig.server.names().len();
        assert!(uploads < 60, "{uploads}");
        // A change from outside is taken at once.
        it.rig.handle.update(&with_token("new")).unwrap();
        let start = Instant::now();
        assert_eq!(it.rig.settled().await.sent.profiles, 600);
        assert!(start.elapsed() < Duration::from_secs(10), "{effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_during_a_call_that_hangs_lets_the_record_go_on() {
    let it = Refreshed::new(Effect::Hang, strict(401));
    it.rig.offer("app");
    pause(0.5).await;
    it.rig.handle.update(&with_token("new")).unwrap();
    pause(2.0).await;
    assert_eq!(it.rig.counts().sent.profiles, 1);
    assert_eq!(it.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_refresh_a_refusal_counts_at_once() {
    let rig = Rig::with(&with_token("old"), strict(401));
    for number in 0..100 {
        rig.offer(&format!("app{number}"));
    }
    pause(10.0).await;
    assert_eq!(rig.monitor.status().state, TargetState::Suspended);
}
