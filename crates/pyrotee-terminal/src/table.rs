//! Tables for people, whose columns are aligned by display width.

use crate::visible;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Space between two columns.
const GAP: &str = "  ";

/// Width, in columns of the terminal, below which the last column is never cut: a line that wraps is more useful than a
/// shorter text.
const LEAST: usize = 24;

/// A table of `N` columns. Cells may come from the network: they are shown by [`visible()`].
#[derive(Debug)]
pub struct Table<const N: usize> {
    lines: Vec<TableLine<N>>,
}

#[derive(Debug)]
enum TableLine<const N: usize> {
    Row([String; N]),
    /// Text that no column is aligned to.
    Note(String),
}

impl<const N: usize> Table<N> {
    /// A table with `head` as its first row.
    pub fn new(head: [&str; N]) -> Self {
        Self {
            lines: vec![TableLine::Row(head.map(str::to_owned))],
        }
    }

    pub fn row(&mut self, cells: [String; N]) {
        self.lines
            .push(TableLine::Row(cells.map(|cell| visible(&cell))));
    }

    /// Adds a line of text below the last row.
    pub fn note(&mut self, text: &str) {
        self.lines.push(TableLine::Note(visible(text)));
    }

    /// Width that the rows so far leave for the last column, if no row is wider than `width`.
    pub fn room(&self, width: usize) -> usize {
        let widths = self.widths();
        let before = widths.split_last().map_or(&[][..], |(_, before)| before);
        let taken: usize = before.iter().map(|it| it + GAP.len()).sum();
        width.saturating_sub(taken)
    }

    /// The lines of the table. The last column is cut so that no row is wider than `width`, but never below a width of
    /// 24.
    pub fn render(&self, width: usize) -> String {
        let widths = self.widths();
        let mut text = String::new();
        for line in &self.lines {
            match line {
                TableLine::Row(cells) => push_row(&mut text, cells, &widths, width),
                TableLine::Note(note) => text.push_str(note),
            }
            text.push('\n');
        }
        text
    }

    fn widths(&self) -> [usize; N] {
        let mut widths = [0; N];
        for line in &self.lines {
            if let TableLine::Row(cells) = line {
                for (width, cell) in widths.iter_mut().zip(cells) {
                    *width = cell.width().max(*width);
                }
            }
        }
        widths
    }
}

fn push_row(text: &mut String, cells: &[String], widths: &[usize], most: usize) {
    let Some((last, cells)) = cells.split_last() else {
        return;
    };
    let mut taken = 0;
    for (cell, &width) in cells.iter().zip(widths) {
        text.push_str(cell);
        // `{:<width$}` would count characters.
        text.extend(std::iter::repeat_n(' ', width - cell.width()));
        text.push_str(GAP);
        taken += width + GAP.len();
    }
    push_cut(text, last, most.saturating_sub(taken).max(LEAST));
}

/// Appends `cell`, or the part of it that fits and an ellipsis.
fn push_cut(text: &mut String, cell: &str, room: usize) {
    if cell.width() <= room {
        text.push_str(cell);
        return;
    }
    let mut left = room.saturating_sub(1);
    for c in cell.chars() {
        let Some(rest) = left.checked_sub(c.width().unwrap_or(0)) else {
            break;
        };
        left = rest;
        text.push(c);
    }
    text.push('…');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(rows: &[[&str; 2]], width: usize) -> String {
        let mut table = Table::new(["NAME", "TEXT"]);
        for row in rows {
            table.row(row.map(str::to_owned));
        }
        table.render(width)
    }

    #[test]
    fn wide_characters_take_two_columns_and_combining_ones_none() {
        assert_eq!(
            rendered(
                &[["漢字", "a"], ["e\u{301}te\u{301}", "b"], ["plain", "c"]],
                80
            ),
            "\
NAME   TEXT
漢字   a
e\u{301}te\u{301}    b
plain  c
"
        );
    }

    #[test]
    fn a_cell_is_cut_by_its_width_and_keeps_marks_with_their_letters() {
        let wide = "漢".repeat(40);
        let text = rendered(&[["a", &wide]], 40);
        let row = text.lines().nth(1).unwrap();
        // 6 columns before it, 33 for whole characters of two columns, one for the ellipsis.
        assert_eq!(row, format!("a     {}…", "漢".repeat(16)));
        let marked = "e\u{301}".repeat(40);
        let text = rendered(&[["a", &marked]], 40);
        assert!(text.ends_with(&format!("a     {}…\n", "e\u{301}".repeat(33))));
    }

    #[test]
    fn the_room_of_the_last_column_is_what_the_others_leave() {
        let mut table = Table::new(["NAME", "TEXT"]);
        assert_eq!(table.room(80), 74);
        table.row(["漢字漢".to_owned(), "x".repeat(200)]);
        assert_eq!((table.room(80), table.room(5)), (72, 0));
    }

    #[test]
    fn the_last_column_keeps_some_room_and_is_not_padded() {
        let text = rendered(&[["a", &"x".repeat(40)], ["b", "y"]], 10);
        assert_eq!(
            text,
            format!("NAME  TEXT\na     {}…\nb     y\n", "x".repeat(23))
        );
    }

    #[test]
    fn cells_and_notes_are_shown_not_obeyed() {
        let mut table = Table::new(["NAME", "TEXT"]);
        table.row(["a\u{202e}".to_owned(), "\u{1b}[2J".to_owned()]);
        table.note("  b\nc");
        assert_eq!(
            table.render(80),
            "NAME       TEXT\na\\u{202e}  \\u{1b}[2J\n  b\\nc\n"
        );
    }
}
