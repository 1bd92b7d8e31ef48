use std::time::Duration;

use rustix::process::Signal;

use super::{
    RECOVERY, named, numbered, open, relay_only, send, wait, wait_for_each, wait_until_shared,
};
use crate::support::{
    Answer, SOON, Upstream, eventually, nats::Nats, nightly, poll, ports::Refusing,
};

/// The `ack_wait` of a target with `timeout: 1s`.
const ACK_WAIT: Duration = Duration::from_secs(30);

#[test]
fn what_a_killed_relay_was_sending_is_delivered_by_another() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let options = ["timeout: 15s", "replay-rate: 0"];
    let builder = relay_only(&nats, "after: 1s").target_address("central", &port.url(), &options);
    let mut killed = builder.clone().spawn();
    send(&killed, &numbered(20));
    wait_until_shared(&killed, 20);
    let hung = Upstream::at(&port.address().to_string(), |_| Answer::never());
    hung.wait_for(1, RECOVERY);
    killed.signal(Signal::KILL);
    assert!(killed.wait(SOON).is_some());
    let leased = hung.requests().len();
    drop(hung.stop());
    let target = open(&port);
    let relay = builder.spawn();
    // Records without a lease come at once, the others when their leases end; to wait for those takes half a minute.
    let free = 20 - leased.max(8 + 1);
    let arrived = || target.requests().len();
    eventually(RECOVERY, "those without a lease", || arrived() >= free);
    if !nightly() {
        return;
    }
    wait_for_each(&target, &numbered(20), 2 * ACK_WAIT + RECOVERY);
    wait(&relay, SOON, "nothing pending", |it| {
        it.pending.profiles == 0
    });
    assert!(super::series(&relay, "redelivered_total") >= 1.0);
}

#[test]
fn a_relay_that_stops_gives_back_what_it_could_not_send() {
    let (nats, port) = (Nats::start(), Refusing::new());
    let options = ["timeout: 15s", "replay-rate: 0"];
    let builder = relay_only(&nats, "after: 1s").yaml("shutdown: { grace: 2s }");
    let builder = builder.target_address("central", &port.url(), &options);
    let mut stopped = builder.clone().spawn();
    send(&stopped, &named("app", 20));
    wait_until_shared(&stopped, 20);
    let hung = Upstream::at(&port.address().to_string(), |_| Answer::never());
    hung.wait_for(1, RECOVERY);
    stopped.sigterm();
    assert_eq!(stopped.wait(2 * SOON).expect("an end").code(), Some(0));
    assert_eq!(nats.stored(), 20, "{}", stopped.output());
    let tried: Vec<_> = hung.requests();
    drop(hung.stop());
    let target = open(&port);
    let _relay = builder.spawn();
    // No lease has to end first: all were given back.
    let all = poll(ACK_WAIT - Duration::from_secs(5), || {
        (target.requests().len() == 20).then_some(())
    });
    assert!(
        all.is_some(),
        "{} came, after {} tries",
        target.requests().len(),
        tried.len()
    );
    wait_for_each(&target, &named("app", 20), SOON);
}
