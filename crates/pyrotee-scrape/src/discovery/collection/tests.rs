use pyrotee_net::Connector;
use pyrotee_queue::{Supervisor, WallClock};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::target::tests::{group, job};

/// What a job finds that scrapes memory of the `fixed` addresses, and of those of its two sources.
fn collected(max_targets: usize, fixed: &[Group], found: [&[Group]; 2]) -> Discovered {
    let mut job = job(&["mem"]);
    job.static_groups = fixed.to_vec();
    let context = Context {
        connector: Connector::in_process(|| unreachable!("nothing is asked")),
        own: Arc::new(["10.0.0.9:4040".parse().unwrap()]),
        max_targets,
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
        supervisor: Supervisor::default(),
        clock: WallClock::system(),
    };
    let mechanisms = [Mechanism::File, Mechanism::Http];
    let mut collection = Collection::new(&Arc::new(job), &mechanisms, &context);
    for (source, groups) in found.into_iter().enumerate() {
        assert!(!collection.discovered().is_complete);
        collection.update(Update {
            source,
            groups: Some(groups.to_vec()),
            error: None,
        });
    }
    let found = collection.discovered();
    assert!(found.is_complete);
    found
}

fn instances(found: &Discovered) -> Vec<&str> {
    let labels = found.targets.iter().map(|it| &it.labels["instance"]);
    labels.map(String::as_str).collect()
}

fn reasons(found: &Discovered) -> Vec<&str> {
    let dropped = found.dropped.iter();
    dropped.map(|it| it.reason.as_str()).collect()
}

#[test]
fn static_addresses_come_first_and_each_scrape_target_once() {
    let fixed = [group(&["h1:1", "h1:1"], &[])];
    let files = [
        group(&["h1:1", "h2:1"], &[]),
        group(&["h2:1"], &[("env", "x")]),
    ];
    let found = collected(100, &fixed, [&files, &files]);
    assert_eq!(instances(&found), ["h1:1", "h2:1", "h2:1"]);
    assert_eq!(found.targets[0].origin, Origin::Static);
    assert_eq!(found.targets[1].origin, Origin::Discovered);
    assert_eq!(found.dropped, []);
}

#[test]
fn bad_addresses_are_dropped_and_the_others_live() {
    let found = collected(
        100,
        &[],
        [&[group(&["http://h/x", "me:word@h", "h2:1"], &[])], &[]],
    );
    assert_eq!(instances(&found), ["h2:1"]);
    let addresses: Vec<_> = found.dropped.iter().map(|it| &it.address).collect();
    assert_eq!(addresses, ["http://h/x", "h"]);
}

#[test]
fn discovered_addresses_lead_to_no_place_that_only_the_operator_may_name() {
    let addresses = [
        "127.0.0.1:80",
        "[::1]",
        "169.254.169.254",
        "10.0.0.9:4040",
        "10.0.0.9:80",
    ];
    let groups = [group(&addresses, &[])];
    let found = collected(100, &groups, [&[], &[]]);
    assert_eq!((found.targets.len(), found.dropped.len()), (5, 0));
    let found = collected(100, &[], [&groups, &[]]);
    assert_eq!(instances(&found), ["10.0.0.9:80"]);
    let reasons = reasons(&found);
    for (reason, part) in reasons.iter().zip([
        "loopback",
        "loopback",
        "link-local",
        "a listener of this relay",
    ]) {
        assert!(
            reason.contains(part) && reason.contains("static-configs"),
            "{reason}"
        );
    }
}

#[test]
fn addresses_and_labels_are_bounded() {
    let many: Vec<_> = (0..500).map(|it| format!("h{it}:1")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let found = collected(10, &[group(&["first"], &[])], [&[group(&many, &[])], &[]]);
    assert_eq!(found.targets.len(), 20);
    assert_eq!(found.targets[0].labels["instance"], "first:80");
    assert!(
        reasons(&found)[0].starts_with("481 more addresses"),
        "{:?}",
        found.dropped
    );

    let long = "x".repeat(MAX_LABEL_BYTES);
    let groups = [group(&["h1"], &[("a", &long)]), group(&["h2"], &[])];
    let found = collected(10, &[], [&groups, &[]]);
    assert_eq!(instances(&found), ["h2:80"]);
    assert!(
        reasons(&found)[0].contains("have 8193 bytes"),
        "{:?}",
        found.dropped
    );

    // Bad ones are no way around the limit.
    let bad = vec![""; 500];
    let found = collected(10, &[], [&[group(&bad, &[])], &[]]);
    assert_eq!(found.dropped.len(), 21);
}

#[tokio::test]
async fn a_connector_of_discovered_addresses_refuses_them_when_it_connects() {
    let (near, _far) = tokio::io::duplex(1);
    let near = std::sync::Mutex::new(Some(near));
    let connector = Connector::in_process(move || Ok(near.lock().unwrap().take().unwrap()));
    let own: Arc<[SocketAddr]> = Arc::new([]);
    let guarded = crate::discovery::guarded(&connector, &own);
    let error = guarded.open("http://[::1]:9".parse().unwrap()).await;
    let error = error.unwrap_err();
    assert!(
        error.to_string().ends_with("it is a loopback address"),
        "{error}"
    );
    assert!(error.remedy().contains("static-configs"));
    assert!(
        guarded
            .open("http://10.0.0.7:9".parse().unwrap())
            .await
            .is_ok()
    );
}
