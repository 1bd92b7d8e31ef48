//! The table for narrow terminals: five columns, and the other values in lines below the row.

use pyrotee_admin::json::status::StatusPage;
use pyrotee_terminal::{Layout, Table, profiles};

use super::super::ages::Now;
use super::super::notes;

const HEAD: [&str; 5] = ["TARGET", "STATE", "PENDING", "SENT", "DROPPED"];

pub(super) fn table(page: &StatusPage, now: Now, layout: Layout) -> String {
    let mut table = Table::new(HEAD);
    let mut add = |cells: [String; HEAD.len()], notes: Vec<String>| {
        table.row(cells);
        for line in notes.iter().flat_map(|note| layout.lines(note)) {
            table.note(&line);
        }
    };
    for target in &page.targets {
        let cells = [
            target.name.clone(),
            target.state.clone(),
            profiles(target.pending.profiles, target.pending.bytes),
            target.sent.profiles.to_string(),
            notes::dropped_total(&target.dropped),
        ];
        let mut notes = vec![notes::details(target, now)];
        notes.extend(notes::of_target(target));
        if let Some(error) = &target.last_error {
            notes.push(notes::error(error, now));
            notes.extend(notes::remedy(target));
        }
        add(cells, notes);
    }
    for target in &page.removed {
        let cells = [
            target.name.clone(),
            "removed".to_owned(),
            profiles(target.pending.profiles, target.pending.bytes),
            target.sent.profiles.to_string(),
            notes::dropped_total(&target.dropped),
        ];
        let mut notes = vec![notes::removed_details(target, now)];
        notes.extend(notes::dropped(&target.dropped));
        add(cells, notes);
    }
    table.render(usize::MAX)
}
