//! Relays whose addresses lead to one another.

use crate::{
    load::Bridge,
    support::{Relay, Request, SOON, Upstream, eventually},
};

#[test]
fn a_profile_goes_round_a_ring_of_relays_a_few_times_and_no_more() {
    let locals = [Upstream::ok(), Upstream::ok()];
    let bridges = [Bridge::new(), Bridge::new()];
    let relays = [0, 1].map(|index| {
        Relay::builder()
            .upstream(&locals[index])
            .target_address("other", &bridges[index].url(), &[])
            .spawn()
    });
    bridges[0].lead_to(relays[1].addr());
    bridges[1].lead_to(relays[0].addr());

    for _ in 0..3 {
        let answer = relays[0].send(&Request::profile("app", b"profile"));
        assert_eq!(answer.status(), 200);
    }
    let loops = || -> f64 {
        let labels = [("result", "loop")];
        let name = "pyroscope_relay_tee_total";
        relays
            .iter()
            .map(|relay| relay.metrics().sum(name, &labels))
            .sum()
    };
    // Each of the three profiles is stopped once as a loop, and then nothing else is in flight.
    eventually(SOON, "the end of three rounds", || loops() >= 3.0);
    for relay in &relays {
        relay.wait_ledger("other", "nothing pending", |ledger| {
            ledger.pending.profiles == 0 && ledger.lost().profiles == 0
        });
    }
    assert_eq!(loops(), 3.0);
    for local in &locals {
        let copies = local.requests().len();
        assert!((3..=15).contains(&copies), "{copies} copies of 3 profiles");
    }
}

#[test]
fn a_hop_count_that_is_no_number_is_no_reason_to_lose_a_profile() {
    let rig = crate::support::Rig::new();
    for hops in ["", "many", "-1"] {
        let request = Request::profile("app", b"profile").field("Pyrotee-Hops", hops);
        assert_eq!(rig.send(&request).status(), 200, "{hops:?}");
    }
    assert_eq!(rig.settled(3).sent.profiles, 3);
}
