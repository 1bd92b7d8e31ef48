//! The sets of trials. A group is a cell, or cells that are compared with each other; its trials are consecutive.

mod cells;
mod tls;

use std::{fmt, path::Path};

use clap::ValueEnum;

use self::cells::{
    ci, exact, faults, full, growth, memory, peers, process, quick, recovery, sidecar, spool,
    timelines,
};
use super::trial::Trial;
use crate::candidate::Candidate::{Envoy, Nginx, Relay};

/// A set of trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Set {
    /// The most important cells, without peers: 4 minutes
    Quick,
    /// All cells without peers
    Full,
    /// The relay beside nginx, HAProxy and Envoy
    Peers,
    /// The relay beside nginx, both over TLS
    Tls,
    /// Sick targets of all kinds: slow, hanging, failing, dead
    Faults,
    /// Figures that do not depend on other load of the machine, and a coarse ratio: 2 minutes
    Ci,
    /// An idle relay, and a relay with little memory
    Footprint,
    /// Many targets, many connections, a large spool
    Growth,
}

/// The trials of a set.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    /// Minutes that repetitions of noisy trials may take.
    pub(crate) patience: f64,
    every_round: Vec<Vec<Trial>>,
    /// Groups that run once: long trials whose figures are not ratios.
    once: Vec<Vec<Trial>>,
}

impl Set {
    pub(crate) fn plan(self, spool_gib: f64, into: &Path) -> Plan {
        let (rounds, patience, every_round, once) = match self {
            Self::Quick => (3, 0.3, quick(), vec![process()]),
            Self::Full => (5, 6.0, full(), [memory(60.0), vec![exact()]].concat()),
            Self::Peers => {
                let timelines = timelines(&[Relay(3), Nginx(3), Envoy(3)], 12.0);
                (5, 6.0, peers(), vec![timelines])
            }
            Self::Tls => (5, 4.0, tls::cells(), vec![]),
            Self::Faults => (5, 3.0, faults(5.0), vec![recovery()]),
            Self::Ci => (1, 0.1, ci(), memory(5.0)),
            Self::Footprint => (3, 1.0, vec![process(), sidecar()], vec![]),
            Self::Growth => (3, 1.0, growth(), vec![spool(spool_gib, into)]),
        };
        Plan {
            rounds,
            patience,
            every_round,
            once,
        }
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no set is hidden");
        f.write_str(value.get_name())
    }
}

impl Plan {
    /// The groups of a round in random order; the first round includes the groups that run once.
    pub(crate) fn groups(&self, round: u32, random: &mut fastrand::Rng) -> Vec<Vec<Trial>> {
        let mut groups = self.every_round.clone();
        random.shuffle(&mut groups);
        if round == 1 {
            groups.extend(self.once.iter().cloned());
        }
        groups
    }

    pub(crate) fn trials(&self) -> impl Iterator<Item = &Trial> {
        self.every_round.iter().chain(&self.once).flatten()
    }

    pub(crate) fn count(&self) -> usize {
        let count = |groups: &[Vec<Trial>]| groups.iter().map(Vec::len).sum::<usize>();
        count(&self.every_round) * self.rounds as usize + count(&self.once)
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&Trial) -> bool) {
        for group in self.every_round.iter_mut().chain(&mut self.once) {
            group.retain(&keep);
        }
    }

    pub(crate) fn each(&mut self, change: impl Fn(&mut Trial)) {
        self.every_round
            .iter_mut()
            .chain(&mut self.once)
            .flatten()
            .for_each(change);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_candidate_is_twice_in_a_cell() {
        for set in Set::value_variants() {
            let plan = set.plan(1.0, Path::new("target/bench"));
            let mut seen = BTreeSet::new();
            for trial in plan.trials() {
                assert!(
                    seen.insert((trial.cell.clone(), trial.candidate)),
                    "{set}: {trial:?}"
                );
            }
        }
    }
}
