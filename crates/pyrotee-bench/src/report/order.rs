//! The order of cells and candidates in tables.

use crate::run::Results;

/// Orders cells by their shapes, and candidates by the number of their copies.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) cells: Vec<String>,
    pub(super) candidates: Vec<String>,
}

impl Order {
    pub(super) fn of(results: &Results) -> Self {
        let (mut cells, mut candidates) = (Vec::new(), Vec::new());
        for (_, outcome) in &results.cells {
            if !cells.contains(&outcome.cell) {
                cells.push(outcome.cell.clone());
            }
            if !candidates.contains(&outcome.candidate) {
                candidates.push(outcome.candidate.clone());
            }
        }
        // By the number of copies, then by name; `direct` and the candidates without copies come first.
        let copies = |name: &str| {
            name.rsplit_once('-')
                .and_then(|(_, copies)| copies.parse::<usize>().ok())
        };
        candidates.sort_by_key(|name| (copies(name).unwrap_or(0), name.clone()));
        cells.sort_by_key(|cell| {
            let shape = cell.rsplit(':').next().unwrap_or_default().to_owned();
            (shape.contains('x'), shape.contains("MB"), shape)
        });
        Self { cells, candidates }
    }

    pub(super) fn cell(&self, name: &str) -> usize {
        position(&self.cells, name)
    }

    pub(super) fn candidate(&self, name: &str) -> usize {
        position(&self.candidates, name)
    }
}

fn position(names: &[String], name: &str) -> usize {
    let position = names.iter().position(|known| known == name);
    position.unwrap_or(usize::MAX)
}
