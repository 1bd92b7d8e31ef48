//! Tests of settings that change while the deliverer runs.

mod fresh_flow;
mod kept_flow;

use super::*;

fn at(address: &str) -> Settings {
    let address = Address::parse(address).unwrap().address;
    Settings {
        address,
        ..settings()
    }
}

fn connects(rig: &Rig) -> usize {
    rig.server.seen(|seen| seen.connects.len())
}
