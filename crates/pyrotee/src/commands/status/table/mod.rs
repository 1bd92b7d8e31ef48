//! The status of a relay as a table for people.

mod narrow;
mod wide;

use pyrotee_admin::json::status::{DegradationJson, StatusPage};
use pyrotee_terminal::{Layout, visible};

use super::ages::Now;
use super::{configuration, parts};

/// Shown in place of a missing value.
const NOTHING: &str = "-";

/// Narrowest terminal with the wide table.
const WIDE: usize = 100;

/// Width of the rows where stdout is no terminal. An error that makes a row longer is shown below the row.
const PIPE: usize = 120;

/// Least width of the column for errors: on a terminal with less room the table is narrow.
const ERROR: usize = 24;

/// Time, version and uptime of the relay.
pub(super) fn title(page: &StatusPage) -> String {
    let up = Now::of(page).since(&page.started);
    let up = up.unwrap_or_else(|| NOTHING.to_owned());
    let (time, version) = (visible(&page.time), visible(&page.version));
    format!("{time}  pyrotee {version}, up {up}")
}

/// The rows of the targets, each with lines below it, and the lines of the parts; then a line for each part of the relay
/// that is degraded, and for each trouble with the configuration.
pub(super) fn render(page: &StatusPage, layout: Layout) -> String {
    let now = Now::of(page);
    let degraded = page.degraded.iter().map(DegradationJson::line);
    let lines = parts::lines(page, now).into_iter().chain(degraded);
    let lines = lines.chain(page.config.iter().flat_map(configuration::lines));
    let lines = lines.flat_map(|line| layout.lines(line.trim_end()));
    let lines: String = lines.map(|line| line + "\n").collect();
    format!("{}\n{lines}", targets(page, now, layout))
}

fn targets(page: &StatusPage, now: Now, layout: Layout) -> String {
    if page.targets.is_empty() && page.removed.is_empty() {
        return "no targets: remote-write.enabled is false\n".to_owned();
    }
    let wide = match layout {
        Layout::Pipe => Some(wide::room(page, now, PIPE).max(ERROR)),
        Layout::Terminal(width) if width < WIDE => None,
        Layout::Terminal(width) => Some(wide::room(page, now, width)).filter(|room| *room >= ERROR),
    };
    match wide {
        Some(room) => wide::table(page, now, layout, room),
        None => narrow::table(page, now, layout),
    }
}

#[cfg(test)]
mod tests;
