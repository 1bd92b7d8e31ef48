//! Statistics: medians, spreads and rounding.

use std::fmt;

use crate::run::Results;

/// Median and range of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) count: usize,
}

/// The spread of `values`, without those that are not a number; `None` if no value is left.
pub(crate) fn spread(values: impl Iterator<Item = f64>) -> Option<Spread> {
    let mut values: Vec<f64> = values.filter(|value| !value.is_nan()).collect();
    values.sort_by(f64::total_cmp);
    let (min, max) = (*values.first()?, *values.last()?);
    let middle = values.len() / 2;
    let median = match values.len() % 2 {
        0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    };
    Some(Spread {
        median,
        min,
        max,
        count: values.len(),
    })
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let median = short(self.median);
        match self.count {
            1 => f.write_str(&median),
            _ => write!(f, "{median} [{}..{}]", short(self.min), short(self.max)),
        }
    }
}

/// A number with three significant digits.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The relay with as many copies as another candidate; `None` for a relay and for the direct connection.
pub(super) fn relay_beside(candidate: &str) -> Option<String> {
    match candidate.rsplit_once('-')? {
        ("nginx", "stream") => Some("relay-0".to_owned()),
        ("relay", _) => None,
        (_, targets) => Some(format!("relay-{targets}")),
    }
}

/// The ratio of a figure of two candidates, taken within each round.
pub(super) fn ratio(
    results: &Results,
    cell: &str,
    of: &str,
    against: &str,
    figure: &str,
) -> Option<Spread> {
    let outcomes = results.cells.iter();
    let outcomes = outcomes.filter(|(_, outcome)| outcome.cell == cell && outcome.candidate == of);
    spread(outcomes.filter_map(|(run, outcome)| {
        let other = results.find(*run, outcome.round, cell, against)?;
        Some(outcome.figures.get(figure)? / other.figures.get(figure)?)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_two() {
        let spread = spread([4.0, 1.0, 3.0, 2.0].into_iter()).unwrap();
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 2.5, 4.0));
        assert_eq!(spread.to_string(), "2.50 [1.00..4.00]");
    }

    #[test]
    fn nothing_has_no_middle() {
        assert_eq!(spread([f64::NAN].into_iter()), None);
    }
}
