//! Conditions after every trial, independent of speed. A candidate of this repository that breaks one fails the run.

use super::{
    figures::Map,
    trial::{Kind, Trial},
};
use crate::candidate::Candidate;

/// The conditions that a trial broke.
pub(crate) fn faults(trial: &Trial, figures: &Map) -> Vec<String> {
    let mut faults = Vec::new();
    let get = |name: &str| figures.get(name).copied().unwrap_or(0.0);
    let mut none = |name: &str, what: &str| {
        let value = get(name);
        if value > 0.0 {
            faults.push(format!("{value} {what}"));
        }
    };
    none("errors", "requests got no response with status 200");
    none("stuck", "requests got no response");
    none("unsent", "requests were due while no connection was free");
    none("damaged", "bodies differed from what was sent");
    none("unaccounted", "profiles are not accounted for");
    if may_not_drop(trial) {
        none("missing", "copies did not reach a healthy target");
    }
    if trial.candidate != Candidate::Direct && !may_repeat(trial) {
        none("doubled", "copies arrived twice");
    }
    faults
}

/// Whether no copy may be dropped. At a rate far below the capacity of one core every copy arrives. In a closed loop
/// clients take the whole core, and copies may be dropped by design.
fn may_not_drop(trial: &Trial) -> bool {
    trial.shape.rate.is_some() && !trial.crowded && !matches!(trial.kind, Kind::Spool(..))
}

/// Whether profiles may arrive twice. A core that is busy for longer than an upload's timeout makes the upload
/// ambiguous, and ambiguous profiles are sent again.
fn may_repeat(trial: &Trial) -> bool {
    trial.shape.rate.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::trial::Shape;

    fn seen(trial: &Trial, name: &str, value: f64) -> usize {
        faults(trial, &Map::from([(name.to_owned(), value)])).len()
    }

    #[test]
    fn a_copy_that_is_missing_is_a_fault_at_a_rate_and_a_figure_in_a_closed_loop() {
        let open = Trial::traffic(Candidate::Relay(3), Shape::open(50_000, 500.0), 1.0);
        let closed = Trial::traffic(Candidate::Relay(3), Shape::closed(50_000, 32), 1.0);
        assert_eq!(
            (seen(&open, "missing", 1.0), seen(&closed, "missing", 1.0)),
            (1, 0)
        );
        assert_eq!(seen(&closed, "unaccounted", 1.0), 1);
        assert_eq!(seen(&open, "missing", 0.0), 0);
    }
}
