//! Counts the bodies that arrive at a port.

use serde::{Deserialize, Serialize};

use crate::wire::Arrived;

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Counts {
    /// Bodies that arrived whole, and their bytes.
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    /// Distinct numbers of bodies, and how often a number arrived again.
    pub(crate) distinct: u64,
    pub(crate) doubled: u64,
    /// Empty bodies, which cannot carry a number.
    pub(crate) empty: u64,
    /// Bodies that differ from what was sent.
    pub(crate) damaged: u64,
    /// Connections that broke within a request.
    pub(crate) broken: u64,
    pub(crate) connections: u64,
    /// A bit for each number, because numbers are dense and there may be millions.
    #[serde(skip)]
    seen: Vec<u64>,
}

impl Counts {
    /// The different profiles that arrived. Empty bodies count one each, because they have no number.
    pub(crate) fn profiles(&self) -> u64 {
        self.distinct + self.empty
    }

    pub(super) fn add(&mut self, arrived: Arrived) {
        self.requests += 1;
        self.bytes += arrived.bytes;
        self.damaged += u64::from(arrived.damaged);
        match arrived.stamp {
            None => self.empty += 1,
            Some(_) if arrived.damaged => {}
            Some(stamp) if self.is_new(stamp.number) => self.distinct += 1,
            Some(_) => self.doubled += 1,
        }
    }

    fn is_new(&mut self, number: u64) -> bool {
        let Ok(place) = usize::try_from(number / 64) else {
            return false;
        };
        if place >= self.seen.len() {
            self.seen.resize(place + 1, 0);
        }
        let bit = 1 << (number % 64);
        let new = self.seen[place] & bit == 0;
        self.seen[place] |= bit;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_comes_again_is_not_distinct() {
        let mut counts = Counts::default();
        for number in [0, 63, 64, 63, 1_000] {
            assert_eq!(
                counts.is_new(number),
                counts.distinct < 3 || number == 1_000
            );
            counts.distinct += 1;
        }
    }
}
