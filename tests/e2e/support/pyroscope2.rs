//! A stand-in for a Pyroscope 2.x with limits: it responds to writes in batches, refuses some profiles for good, and
//! stores only one of the profiles of equal series and time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{
    key::parameter,
    upstream::{Answer, Arrival, Upstream},
};

/// The stand-in answers all writes that wait at a tick; ticks are this far apart.
const TICK: Duration = Duration::from_millis(500);

/// Profiles that the stand-in refuses at once and for good: the start of their names, status, content type and text.
const REFUSALS: [(&str, u16, &str, &str); 3] = [
    (
        "new-series",
        429,
        "application/json",
        r#"{"code":"resource_exhausted","message":"push series with index 0 and id 7f failed: resource_exhausted: Maximum active series limit exceeded (3/3), reduce the number of active streams (reduce labels or reduce label values), or contact your administrator to see if the limit can be increased"}"#,
    ),
    (
        "above-burst",
        429,
        "text/plain",
        "push rate limit (4.0 MiB) exceeded while adding 2.6 MiB",
    ),
    (
        "invalid",
        500,
        "text/plain",
        "rpc error: code = InvalidArgument desc = failed to convert otel profile: invalid stack index: 99",
    ),
];

/// A series and the time of a profile in nanoseconds, and when the profile was stored first.
type Stored = BTreeMap<(String, u64), Instant>;

/// A running stand-in. It identifies a profile by the `name` in the query, on every surface.
#[derive(Debug)]
pub(crate) struct Pyroscope2 {
    pub(crate) upstream: Upstream,
    stored: Arc<Mutex<Stored>>,
}

impl Pyroscope2 {
    /// The starts of the names that the stand-in refuses.
    pub(crate) const REFUSED: [&str; 3] = [REFUSALS[0].0, REFUSALS[1].0, REFUSALS[2].0];

    pub(crate) fn start() -> Self {
        let stored = Arc::<Mutex<Stored>>::default();
        let (store, first_tick) = (Arc::clone(&stored), Instant::now());
        let upstream = Upstream::script(move |arrival| {
            let name = name(arrival);
            if let Some(refusal) = refusal(&name) {
                return refusal;
            }
            let now = Instant::now();
            let since_tick = (now - first_tick).as_nanos() % TICK.as_nanos();
            let wait =
                TICK - Duration::from_nanos(u64::try_from(since_tick).expect("below a tick"));
            let profile = (name, time(&arrival.head.query()));
            let mut stored = store.lock().expect("no script panics");
            stored.entry(profile).or_insert(now + wait);
            Answer::ok().after(wait)
        });
        Self { upstream, stored }
    }

    /// Profiles that are stored, or will be stored at the next tick.
    pub(crate) fn stored(&self) -> Stored {
        self.stored.lock().expect("no script panics").clone()
    }
}

fn name(arrival: &Arrival<'_>) -> String {
    parameter(&arrival.head.query(), "name").expect("an upload has a name")
}

fn refusal(name: &str) -> Option<Answer> {
    let mut refusals = REFUSALS.iter();
    let (_, status, content_type, text) = refusals.find(|(start, ..)| name.starts_with(start))?;
    let fields = [("Content-Type", *content_type)];
    Some(Answer::with(*status, &fields, text.as_bytes()))
}

/// The time of a profile in nanoseconds, from seconds, milliseconds or nanoseconds by the number of digits.
fn time(query: &str) -> u64 {
    let digits = parameter(query, "from").expect("the relay adds the time");
    let number: u64 = digits.parse().expect("a time is a number");
    match digits.len() {
        ..=10 => number * 1_000_000_000,
        13 => number * 1_000_000,
        _ => number,
    }
}
