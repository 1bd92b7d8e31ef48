//! The table of CPU time over TLS: a row for each load and candidate, a column for each way of encryption.

use super::{
    order::Order,
    stats::{ratio, relay_beside, short, spread},
};
use crate::{run::Results, tls::Encrypted};

const FIGURE: &str = "cpu_ms";

/// Medians in microseconds of CPU time for each profile, then ratios of the relay to nginx within rounds.
pub(super) fn table(results: &Results) -> String {
    let order = Order::of(results);
    let mut text = "| load | candidate | plain, µs | TLS in, µs | TLS out, µs | TLS in and out, µs |\n|---|---|---|---|---|---|\n".to_owned();
    // The cell without TLS stands for its load.
    let plain = format!("{}:", Encrypted::default().name());
    let loads = order.cells.iter().filter(|cell| cell.contains(&plain));
    for load in loads {
        let cell = |encrypted: Encrypted| load.replace(&plain, &format!("{}:", encrypted.name()));
        let load = load.replace(&plain, "");
        for candidate in &order.candidates {
            let values = Encrypted::ALL.map(|of| micros(results, &cell(of), candidate));
            text += &row(&load, candidate, values);
        }
        for other in &order.candidates {
            let Some(relay) = relay_beside(other) else {
                continue;
            };
            let ratios = Encrypted::ALL.map(|of| ratio(results, &cell(of), &relay, other, FIGURE));
            let ratios = ratios.map(|ratio| ratio.map(|ratio| ratio.to_string()));
            text += &row(&load, &format!("{relay} / {other}"), ratios);
        }
    }
    text
}

fn micros(results: &Results, cell: &str, candidate: &str) -> Option<String> {
    let outcomes = results.of(candidate).filter(|outcome| outcome.cell == cell);
    let millis = outcomes.filter_map(|outcome| outcome.figures.get(FIGURE).copied());
    Some(short(spread(millis)?.median * 1e3))
}

/// A row of the table; empty without any value.
fn row(load: &str, who: &str, values: [Option<String>; 4]) -> String {
    if values.iter().all(Option::is_none) {
        return String::new();
    }
    let values = values.map(|value| value.unwrap_or_else(|| "–".to_owned()));
    format!("| {load} | {who} | {} |\n", values.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Line;

    #[test]
    fn a_load_has_one_row_for_each_candidate_and_each_pair() {
        let mut results = Results::default();
        for (cell, candidate, millis) in [
            ("plain:50KB@500", "relay-1", 0.08),
            ("tls-both:50KB@500", "relay-1", 0.15),
            ("tls-both:50KB@500", "nginx-1", 0.1),
            ("50KB@500", "relay-1", 1.0),
        ] {
            let text = serde_json::json!({
                "kind": "cell", "cell": cell, "candidate": candidate, "round": 1, "repeated": 0, "noisy": false,
                "foreign": [0.0, 0.0], "figures": { "cpu_ms": millis }, "faults": [],
            });
            results.add(serde_json::from_value::<Line>(text).unwrap());
        }
        let text = table(&results);
        let rows: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| 50KB@500 | nginx-1 | – | – | – | 100 |",
                "| 50KB@500 | relay-1 | 80.0 | – | – | 150 |",
                "| 50KB@500 | relay-1 / nginx-1 | – | – | – | 1.50 |",
            ]
        );
    }
}
