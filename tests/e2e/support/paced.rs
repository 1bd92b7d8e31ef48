//! Load on a fixed schedule: a number of requests a second, whatever the responses are.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use super::client::{Client, Request};

/// Connections that the requests are spread over, so that a slow response delays few other requests.
const CONNECTIONS: u32 = 8;

/// Sends `per_second` requests a second for `seconds`, and returns when each was due. Panics if a response is not 200.
pub(crate) fn paced(
    relay: SocketAddr,
    per_second: u32,
    seconds: u32,
    request: impl Fn(usize) -> Request + Sync,
) -> Vec<Instant> {
    let start = Instant::now();
    let due = |number: u32| start + Duration::from_secs(1) * number / per_second;
    let count = per_second * seconds;
    thread::scope(|scope| {
        for first in 0..CONNECTIONS {
            let request = &request;
            scope.spawn(move || {
                let mut client = Client::connect(relay);
                for number in (first..count).step_by(CONNECTIONS as usize) {
                    thread::sleep(due(number).saturating_duration_since(Instant::now()));
                    let answer = client.exchange(&request(number as usize));
                    assert_eq!(answer.status(), 200, "{number}: {answer:?}");
                }
            });
        }
    });
    (0..count).map(due).collect()
}
