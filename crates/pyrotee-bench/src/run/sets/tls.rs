//! The cells over TLS.

use super::cells::{P50KB, cell};
use crate::{
    candidate::Candidate::{self, Nginx, NginxStream, Relay},
    run::trial::{Shape, Trial},
    tls::Encrypted,
    units::{KB, MB},
};

/// The relay beside nginx, with and without TLS. In the cells `new` every request has a connection of its own.
pub(super) fn cells() -> Vec<Vec<Trial>> {
    let tees = [Relay(1), Nginx(1)];
    let all = [Relay(0), NginxStream, Relay(1), Nginx(1)];
    let anew = Shape {
        anew: true,
        ..Shape::open(2 * KB, 300.0)
    };
    let mut cells = Vec::new();
    for encrypted in Encrypted::ALL {
        cells.push(over(encrypted, &all, P50KB));
        cells.push(over(encrypted, &tees, Shape::open(2 * KB, 2_000.0)));
        cells.push(over(encrypted, &tees, Shape::open(MB, 40.0)));
        if !encrypted.servers {
            let cell = over(encrypted, &tees, anew).into_iter();
            cells.push(cell.map(|trial| trial.named("new")).collect());
        }
    }
    cells
}

fn over(encrypted: Encrypted, candidates: &[Candidate], shape: Shape) -> Vec<Trial> {
    let cell = cell(candidates, shape, 3.0).into_iter();
    cell.map(|trial| trial.over(encrypted)).collect()
}
