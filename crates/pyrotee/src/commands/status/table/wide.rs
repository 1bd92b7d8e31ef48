//! The table for wide terminals and for pipes: all values of a target in one row.

use pyrotee_admin::json::status::{RemovedJson, StatusPage, TargetJson};
use pyrotee_terminal::{Layout, Table, profiles, visible};
use unicode_width::UnicodeWidthStr;

use super::super::ages::{Now, age_of};
use super::super::notes;
use super::NOTHING;

const HEAD: [&str; 8] = [
    "TARGET",
    "STATE",
    "PENDING",
    "OLDEST",
    "SENT",
    "DROPPED",
    "LAST SUCCESS",
    "LAST ERROR",
];

/// Width that the other columns leave for the errors.
pub(super) fn room(page: &StatusPage, now: Now, width: usize) -> usize {
    let mut table = Table::new(HEAD);
    for target in &page.targets {
        table.row(row(target, now, String::new()));
    }
    for target in &page.removed {
        table.row(removed_row(target, now));
    }
    table.room(width)
}

/// The table. An error that is wider than `room` is shown below its row; the row then has its time.
pub(super) fn table(page: &StatusPage, now: Now, layout: Layout, room: usize) -> String {
    let mut table = Table::new(HEAD);
    for target in &page.targets {
        let (cell, below) = error(target, now, room);
        table.row(row(target, now, cell));
        let notes = notes::of_target(target).into_iter().chain(below);
        let notes = notes.chain(notes::remedy(target));
        for line in notes.flat_map(|note| layout.lines(&note)) {
            table.note(&line);
        }
    }
    for target in &page.removed {
        table.row(removed_row(target, now));
        for line in notes::dropped(&target.dropped).flat_map(|note| layout.lines(&note)) {
            table.note(&line);
        }
    }
    table.render(usize::MAX)
}

/// The cell of the last error, and the line below the row if the error does not fit into the cell.
fn error(target: &TargetJson, now: Now, room: usize) -> (String, Option<String>) {
    let Some(error) = &target.last_error else {
        return (NOTHING.to_owned(), None);
    };
    let ago = now.ago(&error.at);
    let whole = format!("{ago}: {}", notes::failure(error.status, &error.text));
    match visible(&whole).width() <= room {
        true => (whole, None),
        false => (ago, Some(notes::error(error, now))),
    }
}

fn row(target: &TargetJson, now: Now, error: String) -> [String; HEAD.len()] {
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
    let state = &target.state;
    let success = target.last_success.as_deref().map(|at| now.ago(at));
    let mut shown = match target.next_try_seconds.and_then(age_of) {
        Some(next) => format!("{state}, next in {next}"),
        None => state.clone(),
    };
    if let Some(until) = &target.draining_until {
        shown = format!("{shown}, removed, draining for {}", now.left(until));
    }
    [
        target.name.clone(),
        shown,
        profiles(target.pending.profiles, target.pending.bytes),
        or_nothing(target.oldest_pending_age_seconds.and_then(age_of)),
        target.sent.profiles.to_string(),
        notes::dropped_total(&target.dropped),
        success.unwrap_or_else(|| "never".to_owned()),
        error,
    ]
}

/// The row of a target that is not configured any more, and whose profiles are pending on disk.
fn removed_row(target: &RemovedJson, now: Now) -> [String; HEAD.len()] {
    let oldest = target.oldest_pending_age_seconds.and_then(age_of);
    [
        target.name.clone(),
        format!("removed {}", now.ago(&target.since)),
        profiles(target.pending.profiles, target.pending.bytes),
        oldest.unwrap_or_else(|| NOTHING.to_owned()),
        target.sent.profiles.to_string(),
        notes::dropped_total(&target.dropped),
        NOTHING.to_owned(),
        NOTHING.to_owned(),
    ]
}
