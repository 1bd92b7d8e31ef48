//! The promises of every backend: they hold whatever NATS does.

use std::cell::Cell;
use std::sync::Arc;

use pyrotee_queue::{Budget, OpenBackend, TargetQueue, conformance};

use super::support::{SURFACES, Setup, sharing, until};
use crate::testing::Nats;
use crate::{Monitor, Opened, StreamState};

/// A backend as that of a relay, but without a closer: then an end of the delivery drops the records at once.
fn open(nats: &Nats, prefix: &str, mut targets: Vec<TargetQueue>) -> (OpenBackend, Monitor) {
    for target in &mut targets {
        target.sharing = Some(sharing(&Setup::default()));
    }
    let mut settings = nats.settings(prefix);
    settings.surfaces = SURFACES.to_vec();
    let Opened {
        producer,
        registry,
        queues,
        monitor,
        ..
    } = settings.open(targets, &Budget::new(64 << 20));
    let backend = OpenBackend {
        producer,
        registry,
        queues,
    };
    (backend, monitor)
}

/// Opens a backend for each test of the suite, under a prefix of its own. The streams become ready while a test runs.
fn opener(nats: &Nats) -> impl Fn(Vec<TargetQueue>) -> OpenBackend {
    let opened = Cell::new(0);
    move |targets| {
        opened.set(opened.get() + 1);
        open(nats, &format!("p{}", opened.get()), targets).0
    }
}

#[tokio::test]
async fn without_a_server_the_backend_passes_the_suite() {
    let nats = Nats::never();
    conformance::run(opener(&nats)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_server_the_backend_passes_the_suite() {
    let nats = Nats::start().await;
    let (backend, monitor) = open(&nats, "first", vec![target()]);
    until("the stream is in use", || {
        monitor
            .stats()
            .targets
            .iter()
            .all(|it| it.state == StreamState::Ready)
    })
    .await;
    conformance::run(opener(&nats)).await;
    drop(backend);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_stops_the_backend_passes_the_suite() {
    let nats = Nats::start().await;
    let open = opener(&nats);
    let opened = Cell::new(0);
    conformance::run(|targets| {
        opened.set(opened.get() + 1);
        if opened.get() == 10 {
            nats.pause();
        }
        open(targets)
    })
    .await;
    assert!(opened.get() > 20);
}

fn target() -> TargetQueue {
    TargetQueue {
        name: "0".to_owned(),
        limits: Setup::default().limits,
        ledger: Arc::default(),
        sharing: None,
    }
}
