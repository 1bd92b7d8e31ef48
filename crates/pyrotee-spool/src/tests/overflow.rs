//! A spool that is too small: its accounts balance all the same.

use std::time::Duration;

use proptest::prelude::*;
use pyrotee_queue::{Lease, LeaseFilter, Reason};

use super::model::{Step, step, tight};
use super::sim::Sim;
use super::support::{name, open};
use crate::Settings;

const NAMES: [&str; 2] = ["a", "b"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However small the spool is, the accounts balance, and the limit of bytes holds.
    #[test]
    fn a_spool_that_overflows_accounts_for_everything(
        steps in prop::collection::vec(step(), 20..120),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(overflow(steps));
    }
}

async fn overflow(steps: Vec<Step>) {
    let settings = Settings {
        max_bytes: 20 << 10,
        ..tight(5)
    };
    let mut sim = Sim::new();
    let mut spool = open(&sim, settings.clone(), &NAMES);
    let mut leases: Vec<(usize, Lease)> = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Offer(bytes) => assert!(spool.keep(&format!("{number}-{bytes}")).await),
            Step::Lease(target) if target < 2 => {
                let lease = spool.consumers[target].lease(&LeaseFilter::ANY);
                if let Ok(Some(lease)) = tokio::time::timeout(Duration::from_millis(2), lease).await
                {
                    name(&lease);
                    leases.push((target, lease));
                }
            }
            Step::Ack(at) if !leases.is_empty() => {
                leases.swap_remove(at.index(leases.len())).1.ack()
            }
            Step::Release(at) if !leases.is_empty() => {
                drop(leases.swap_remove(at.index(leases.len())))
            }
            Step::Restart => {
                leases.clear();
                let before = [0, 1].map(|target| spool.counts(target).pending.profiles);
                spool.close();
                spool = open(&sim, settings.clone(), &NAMES);
                for (target, before) in before.into_iter().enumerate() {
                    assert_eq!(spool.counts(target).accepted.profiles, before);
                    assert_eq!(spool.lost(target, Reason::Corrupt), 0);
                }
            }
            Step::Kill => {
                sim = sim.after_kill();
                leases.clear();
                spool = open(&sim, settings.clone(), &NAMES);
            }
            _ => {}
        }
        assert!(sim.bytes() <= settings.max_bytes, "{}", sim.bytes());
        for target in 0..2 {
            spool.counts(target);
        }
    }
}
