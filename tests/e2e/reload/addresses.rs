//! Targets whose address changes.

use std::time::Duration;

use super::{names, on_request, send, upload};
use crate::support::{Answer, Builder, Count, SOON, Upstream, eventually, ports::Refusing};

const TARGET_INFO: &str = "pyroscope_remote_write_target_info";

fn at(address: &str) -> Builder {
    on_request().target_address("central", address, &[])
}

#[test]
fn new_profiles_go_to_the_new_address_and_an_upload_in_flight_ends_at_the_old_one() {
    let old = Upstream::answering(Answer::ok().after(Duration::from_millis(1500)));
    let new = Upstream::ok();
    let relay = at(&old.url()).spawn();
    send(&relay, &["slow"]);
    old.wait_for(1, SOON);
    let report = relay.reload_with(&at(&new.url()));
    assert_eq!(report.targets(), [("central", "changed")]);
    assert!(report.has_change("remote-write.targets.central.address", "changed"));
    upload(&relay, &new, "next");
    let one = relay.wait_ledger("central", "one sent", |it| it.sent.profiles == 1);
    assert_eq!(one.pending.profiles, 1, "the slow upload goes on");
    let ledger = relay.wait_ledger("central", "both sent", |it| it.sent.profiles == 2);
    assert_eq!(ledger.lost(), Count::default(), "{ledger:?}");
    assert_eq!(
        (names(&old), names(&new)),
        (vec!["slow".to_owned()], vec!["next".to_owned()])
    );
}

#[test]
fn what_waits_for_a_dead_address_goes_to_the_new_one_at_once() {
    let (dead, new) = (Refusing::new(), Upstream::ok());
    let relay = at(&dead.url()).spawn();
    let sent: Vec<_> = (0..20).map(|number| format!("app{number:02}")).collect();
    send(&relay, &sent.iter().map(String::as_str).collect::<Vec<_>>());
    let failed = "pyroscope_remote_write_request_errors_total";
    eventually(SOON, "a failure", || {
        relay.metrics().sum(failed, &[]) >= 3.0
    });
    relay.reload_with(&at(&new.url()));
    relay.wait_ledger("central", "all sent", |it| it.sent.profiles == 20);
    let mut delivered = names(&new);
    delivered.sort();
    assert_eq!(delivered, sent, "each once");
}

#[test]
fn target_info_has_the_new_address_at_once_and_no_other() {
    let (old, new) = (Upstream::ok(), Upstream::ok());
    let relay = at(&old.url()).spawn();
    upload(&relay, &old, "old");
    let addresses = || -> Vec<String> {
        let metrics = relay.metrics();
        let labels = metrics.labels(TARGET_INFO).into_iter();
        labels.map(|labels| labels["address"].clone()).collect()
    };
    assert_eq!(addresses(), [old.url()]);
    let changes = [("a", &new), ("b", &old), ("c", &new)];
    for (name, target) in changes {
        let address = target.url();
        relay.reload_with(&at(&address));
        assert_eq!(addresses(), [&*address]);
        let status = relay.target_status("central").expect("it is configured");
        assert_eq!(status["address"], *address);
        upload(&relay, target, name);
    }
    relay.wait_ledger("central", "all sent", |it| it.sent.profiles == 4);
    // A gauge of an address that is not in force would stay at its last value for ever.
    let metrics = relay.metrics();
    let at_old = [("target_name", "central"), ("target_address", &*old.url())];
    for gauge in ["queue_capacity", "queue_pending", "queue_workers_total"] {
        let name = format!("pyroscope_remote_write_{gauge}");
        let value = metrics.value(&name, &at_old).unwrap_or_default();
        assert_eq!(value, 0.0, "{name}:\n{}", metrics.text());
    }
    let sent = "pyroscope_remote_write_client_sent_bytes";
    assert_eq!(metrics.sum(sent, &[("target_name", "central")]), 4.0 * 7.0);
}

#[test]
fn a_tenant_that_changes_is_the_only_one_in_target_info() {
    let target = Upstream::ok();
    let with = |tenant: &str| {
        let tenant = format!("tenant-id: {tenant}");
        on_request().target("central", &target, &[&tenant])
    };
    let relay = with("one").spawn();
    relay.reload_with(&with("two"));
    let metrics = relay.metrics();
    let labels = metrics.labels(TARGET_INFO);
    assert_eq!(labels.len(), 1, "{labels:?}");
    assert_eq!(labels[0]["tenant"], "two");
}
