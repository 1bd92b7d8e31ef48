//! Configurations that change while the relay runs.

mod addresses;
mod draining;
mod files;
mod kills;
mod live_keys;
mod refused;
mod removed;
mod request_path;
mod series;
mod storm;
mod targets;
mod tokens;
mod triggers;

use std::{thread, time::Duration};

use crate::support::{
    Builder, Client, Relay, Request, SOON, Upstream, eventually, key::Key, upstream,
};

/// The interval of the tests in which a relay looks at its files by itself.
const INTERVAL: Duration = Duration::from_millis(200);

/// A relay without a local upstream that reloads only when a test asks for it.
fn on_request() -> Builder {
    Relay::builder()
        .yaml("reload: { interval: 0 }")
        .remote_write("disable-local-writes: true")
}

/// A relay without a local upstream that looks at its files at each [`INTERVAL`].
fn by_itself() -> Builder {
    Relay::builder()
        .yaml("reload: { interval: 200ms }")
        .remote_write("disable-local-writes: true")
}

/// Gives a relay that looks by itself the time for four looks.
fn let_it_look() {
    thread::sleep(4 * INTERVAL);
}

/// Sends a profile for each name, one after the other.
fn send(relay: &Relay, names: &[&str]) {
    let mut client = Client::connect(relay.addr());
    for name in names {
        let answer = client.exchange(&Request::profile(name, b"profile"));
        assert_eq!(answer.status(), 200, "{name}: {answer:?}");
    }
}

/// Names without tags of the profiles that a target got whole, in order of arrival.
fn names(target: &Upstream) -> Vec<String> {
    let requests = target.requests();
    let name = |request: &upstream::Request| Key::of(&request.head.query()).app;
    requests.iter().map(name).collect()
}

/// Sends a profile, and returns the upload of it that a target gets.
fn upload(relay: &Relay, target: &Upstream, name: &str) -> upstream::Request {
    send(relay, &[name]);
    let is_it = |request: &upstream::Request| Key::of(&request.head.query()).app == name;
    let arrived = || target.requests().into_iter().find(|it| is_it(it));
    eventually(SOON, &format!("upload of {name}"), || arrived().is_some());
    arrived().expect("it has arrived")
}

/// The value of a tag in the name of an upload.
fn tag(upload: &upstream::Request, name: &str) -> Option<String> {
    Key::of(&upload.head.query()).tags.remove(name)
}

/// Waits until a target is neither delivered nor shown as draining.
fn wait_until_drained(relay: &Relay, name: &str) {
    eventually(SOON, &format!("end of draining {name}"), || {
        relay.target_status(name).is_none()
    });
}

/// Lines of the log that contain a text.
fn log_lines(relay: &Relay, text: &str) -> usize {
    let log = relay.output();
    log.lines().filter(|line| line.contains(text)).count()
}
