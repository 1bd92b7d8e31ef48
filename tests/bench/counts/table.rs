//! The committed table: rows `| what | unit | count |` in a page of Markdown.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Largest accepted growth, in percent of the committed count, unless a count has its own.
pub(crate) const TOLERANCE: u64 = 10;

/// One count: the thing that was counted, its unit and the number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) count: u64,
    /// Largest accepted growth, in percent of the committed count.
    pub(crate) tolerance: u64,
}

/// The page, line by line.
#[derive(Debug)]
pub(crate) struct Table(Vec<String>);

impl Table {
    pub(crate) fn read(path: &Path) -> Self {
        let page = fs::read_to_string(path);
        let page =
            page.unwrap_or_else(|error| panic!("failed to read {}: {error}", path.display()));
        Self(page.lines().map(str::to_owned).collect())
    }

    pub(crate) fn write(&self, path: &Path) {
        fs::write(path, self.0.join("\n") + "\n").unwrap();
    }

    /// Prints the committed and the new count of every row. The error lists counts that have grown or have no row.
    pub(crate) fn compare(&self, counted: &[Count]) -> Result<(), String> {
        let mut grown = String::new();
        for now in counted {
            let Some(committed) = self.committed(now) else {
                writeln!(grown, "{} ({}) is not in the table", now.what, now.unit).unwrap();
                continue;
            };
            println!(
                "{:60} {:14} {committed:>10} -> {:>10}",
                now.what, now.unit, now.count
            );
            if now.count * 100 > committed * (100 + now.tolerance) {
                let (what, unit, count) = (&now.what, now.unit, now.count);
                writeln!(grown, "{what}: {committed} {unit} became {count}").unwrap();
            }
        }
        match grown.is_empty() {
            true => Ok(()),
            false => Err(grown),
        }
    }

    /// The page with these counts. A count without a row gets one after the last row.
    pub(crate) fn renewed(mut self, counted: &[Count]) -> Self {
        for count in counted {
            let row = format!("| {} | {} | {} |", count.what, count.unit, count.count);
            match self
                .0
                .iter()
                .position(|line| cells(line).is_some_and(|it| is_of(it, count)))
            {
                Some(at) => self.0[at] = row,
                None => {
                    let last = self.0.iter().rposition(|line| line.starts_with('|'));
                    self.0
                        .insert(last.map_or(self.0.len(), |last| last + 1), row);
                }
            }
        }
        self
    }

    fn committed(&self, count: &Count) -> Option<u64> {
        let mut rows = self.0.iter().filter_map(|line| cells(line));
        rows.find(|row| is_of(*row, count))?[2].parse().ok()
    }
}

fn is_of([what, unit, _]: [&str; 3], count: &Count) -> bool {
    what == count.what && unit == count.unit
}

fn cells(line: &str) -> Option<[&str; 3]> {
    let row = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let cells: Vec<_> = row.split(" | ").collect();
    cells.try_into().ok()
}
