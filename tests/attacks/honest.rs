//! The honest client: sends a hundred profiles a second and waits for each response.

use std::fmt;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Client, Request, client::noise};

/// Interval between two profiles.
const PERIOD: Duration = Duration::from_millis(10);

/// What the client saw.
pub(crate) struct Honest {
    /// The names of the profiles that it sent.
    pub(crate) names: Vec<String>,
    /// The name of each profile whose response was no 200, with the status.
    pub(crate) errors: Vec<String>,
    times: Vec<Duration>,
}

impl Honest {
    /// Sends profiles to `address` until `end`.
    pub(crate) fn run(address: SocketAddr, end: Instant) -> Self {
        let mut seen = Self {
            names: Vec::new(),
            errors: Vec::new(),
            times: Vec::new(),
        };
        let body = noise(2_000);
        let mut client = Client::connect(address);
        let mut next = Instant::now();
        while next < end {
            let name = format!("honest{}", seen.names.len());
            let path = format!("/ingest?name={name}&from=1&until=2");
            let started = Instant::now();
            let response = client.exchange(&Request::post(&path, &body));
            seen.times.push(started.elapsed());
            if response.status() != 200 {
                seen.errors.push(format!("{name}: {}", response.status()));
            }
            seen.names.push(name);
            next += PERIOD;
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        seen
    }

    fn percentile(&self, percent: usize) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times[(times.len() - 1) * percent / 100]
    }
}

impl fmt::Display for Honest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (median, slow) = (self.percentile(50), self.percentile(99));
        let count = self.names.len();
        write!(
            f,
            "{count} profiles, median {median:.1?}, 99 % within {slow:.1?}"
        )
    }
}
