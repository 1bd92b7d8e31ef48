//! Which profiles may arrive twice because of which strike.
//!
//! A profile arrives twice if the target accepts it, and the broker does not keep the acknowledgement of the relay. That
//! happens to profiles that the target accepts about the time of some strikes, and at no other time:
//!
//! - *A relay is killed*: what it had received and not settled. It ended without acknowledging it.
//! - *A line is cut and breaks off*: the same. The relay settles it, and its acknowledgements are lost with the connection.
//! - *The broker is killed*: the same of all relays, because the broker may forget to whom it gave a record, and gives it to
//!   another relay at once. And what the target accepted in the last moments: a broker writes down what was acknowledged
//!   some tens of milliseconds later, which the death of its process undoes.
//! - *The broker hangs*, or *a line is cut and whole again*: nothing. What was sent arrives later, long before leases end.
//! - *A relay is stopped*: nothing. It settles what it has received.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The longest time from the moment at which the target accepts a profile until the broker has written down the
/// acknowledgement, on a busy machine. 74 ms were seen in most runs, and 188 ms once.
const WRITTEN_DOWN: Duration = Duration::from_millis(500);

/// Uploads at once of a relay.
pub(super) const WORKERS: usize = 16;

/// Profiles that a relay may have received from the stream and not settled at the broker: those that it sends, those that
/// wait to be sent, and for each worker one that it has just sent and whose acknowledgement has not left the process.
const RECEIVED: usize = WORKERS + 8 + WORKERS;

/// What was struck. A relay that is stopped, a broker that hangs and a line that is whole again double nothing, and are none
/// of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Struck {
    /// A relay was killed.
    Relay,
    /// The line between a relay and the broker was cut, and broke off.
    Line,
    /// The broker was killed.
    Broker,
}

/// A strike after which profiles may arrive twice.
#[derive(Clone, Debug)]
pub(super) struct Strike {
    struck: Struck,
    from: Instant,
    until: Instant,
    doubled: usize,
    /// Profiles of the stream that the target accepted in the last moments before.
    accepted: usize,
}

impl Strike {
    /// A strike that ends now.
    pub(super) fn new(struck: Struck, from: Instant) -> Self {
        Self {
            struck,
            from,
            until: Instant::now(),
            doubled: 0,
            accepted: 0,
        }
    }

    /// Whether the acknowledgement may be lost of a profile that the target accepted then.
    fn is_about(&self, accepted: Instant) -> bool {
        accepted + WRITTEN_DOWN >= self.from && accepted <= self.until + WRITTEN_DOWN
    }

    /// Whether more profiles arrived twice than can be due to this strike.
    pub(super) fn is_exceeded(&self) -> bool {
        let most = match self.struck {
            Struck::Relay | Struck::Line => RECEIVED,
            Struck::Broker => 3 * RECEIVED + self.accepted,
        };
        self.doubled > most
    }
}

/// Assigns each profile that arrived twice to a strike. `accepted`: the profiles, each with the times at which the target
/// accepted it; `of_stream`: the times of all that came from the stream. Returns the strikes, and the profiles that no
/// strike explains.
pub(super) fn explain(
    strikes: &[Strike],
    accepted: &BTreeMap<usize, Vec<Instant>>,
    of_stream: &[Instant],
) -> (Vec<Strike>, Vec<usize>) {
    let (mut strikes, mut unexplained) = (strikes.to_vec(), Vec::new());
    for strike in &mut strikes {
        let is_last = |at: &&Instant| **at <= strike.from && **at + WRITTEN_DOWN >= strike.from;
        strike.accepted = of_stream.iter().filter(is_last).count();
    }
    for (number, times) in accepted {
        // All but the last: the acknowledgement of that one was kept.
        for first in times.iter().rev().skip(1) {
            match strikes.iter_mut().find(|it| it.is_about(*first)) {
                Some(strike) => strike.doubled += 1,
                None => unexplained.push(*number),
            }
        }
    }
    (strikes, unexplained)
}
