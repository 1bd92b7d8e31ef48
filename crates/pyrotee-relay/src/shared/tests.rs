//! What becomes of the spool of an earlier configuration.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pyrotee_config::{Config, DeadLetters, Flags, Sources};
use pyrotee_delivery::{CredentialRefresh, DeadLetterSink};
use pyrotee_queue::{
    Budget, Head, Headers, OpenBackend, Payload, Record, Supervisor, SurfaceId, open_memory,
};
use pyrotee_spool::Settings;
use pyrotee_tls::SystemRoots;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::outside::Outside;
use crate::targets::{DelivererParts, target_queue};

/// A configuration with one target, at which no server listens.
fn config(home: &Path) -> Config {
    let file = home.join("pyrotee.yaml");
    let yaml = "remote-write: { enabled: true, targets: { eu: { address: http://127.0.0.1:1 } } }";
    fs::write(&file, yaml).unwrap();
    let sources = Sources {
        file: Some(file),
        env: Vec::new(),
        flags: Flags::default(),
        cpus: 2,
    };
    pyrotee_config::load(sources).unwrap_or_else(|faults| panic!("{faults}"))
}

/// Makes a spool in which a profile is pending for each target of `config`.
async fn spool_with_a_profile(dir: &Path, config: &Config) {
    let budget = Budget::new(1 << 20);
    let targets = config.remote_write.targets.iter();
    let targets = targets.map(|target| target_queue(target, None));
    let spool = Settings::new(dir).start(targets, &budget);
    spool.monitor.wait_until_open().unwrap();
    let head = Head {
        surface: SurfaceId(1),
        query: "name=app".into(),
        content_type: None,
        content_encoding: None,
        headers: Headers::default(),
        hops: 0,
        received: SystemTime::now(),
        captor_tags: None,
    };
    let body = Payload::from(vec![0; 10]);
    let record = Record::new(head, body, budget.reserve(10).unwrap());
    let offered = spool.producer.offer(&record);
    assert!(offered.receipt.durable().await);
    assert!(spool.closer.close(soon()));
}

fn soon() -> std::time::Instant {
    (Instant::now() + Duration::from_secs(60)).into_std()
}

#[tokio::test]
async fn a_former_spool_with_profiles_around_the_dead_letters_is_a_fault_unless_it_is_drained() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("spool");
    spool_with_a_profile(&dir, &config(home.path())).await;
    let letters = DeadLetters {
        dir: dir.join("dead-letters"),
        max_bytes: 1 << 20,
    };
    let fault = check_former(None, Some(&letters)).unwrap_err().to_string();
    let begin = "configuration: shared.drain-spool: the spool in ";
    assert!(fault.starts_with(begin), "{fault}");
    assert!(fault.contains("has pending profiles (1), and"), "{fault}");
    assert!(check_former(Some(&dir), Some(&letters)).is_ok());
    let survey = drain_former(&dir).unwrap();
    assert_eq!(survey.targets[0].pending.profiles, 1);
}

#[test]
fn a_directory_without_a_spool_has_nothing_to_drain() {
    let home = tempfile::tempdir().unwrap();
    assert!(drain_former(home.path()).is_none());
    assert!(drain_former(&home.path().join("none")).is_none());
    fs::write(home.path().join("letter.txt"), "dear").unwrap();
    assert!(
        drain_former(home.path()).is_none(),
        "other files are left alone"
    );
}

#[tokio::test]
async fn the_profiles_of_a_former_spool_go_to_the_queues_of_their_targets() {
    let home = tempfile::tempdir().unwrap();
    let (dir, config) = (home.path().join("spool"), config(home.path()));
    spool_with_a_profile(&dir, &config).await;

    let (budget, supervisor) = (Budget::new(1 << 20), Supervisor::default());
    let configured = &config.remote_write.targets;
    let queues = configured.iter().map(|target| target_queue(target, None));
    let OpenBackend {
        producer,
        registry,
        queues,
    } = open_memory(queues);
    let stop = CancellationToken::new();
    let parts = DelivererParts {
        outside: Outside::open(SystemRoots::load().unwrap()).unwrap(),
        dead_letters: DeadLetterSink::disabled(),
        refresh: CredentialRefresh::disabled(),
        supervisor: supervisor.clone(),
        stop: stop.clone(),
    };
    let targets = Targets::start(parts, registry, 0, None, configured, queues).unwrap();
    let survey = drain_former(&dir).unwrap();
    let producer_of_all = Arc::downgrade(&producer);
    let (drain, _spool, closer) = SpoolDrain::open(
        &dir,
        &survey,
        configured,
        producer_of_all,
        &budget,
        &supervisor,
    );

    let list = targets.list();
    let is_moved = async {
        let eu = list.find("eu").unwrap();
        while eu.counts().accepted.profiles == 0 {
            sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
    };
    tokio::join!(drain.run(list.clone(), stop.clone()), is_moved);
    assert!(closer.close(soon()));
    assert!(drain_former(&dir).is_none(), "the spool is empty");
    assert_eq!(list.find("eu").unwrap().counts().accepted.bytes, 10);
}
