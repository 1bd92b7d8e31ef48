//! Breaks a line of text at the width of a terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Indentation of every line after the first one.
const INDENT: &str = "    ";

/// Narrowest width at which lines are broken. The terminal itself breaks longer lines on a narrower one.
const NARROWEST: usize = 20;

/// Breaks `text` between words into lines of at most `width` columns, and longer words between characters. Later lines
/// are indented.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(NARROWEST);
    let mut lines = Vec::new();
    let mut line = String::new();
    for piece in text.split_inclusive(' ') {
        let word = piece.trim_end();
        if line.width() + word.width() > width && !line.trim().is_empty() {
            lines.push(std::mem::replace(&mut line, INDENT.to_owned()));
        }
        for c in piece.chars() {
            let is_full = line.width() + c.width().unwrap_or(0) > width;
            if is_full && c == ' ' {
                continue;
            }
            if is_full {
                lines.push(std::mem::replace(&mut line, INDENT.to_owned()));
            }
            line.push(c);
        }
    }
    lines.push(line);
    lines
        .iter()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_fits_is_one_line() {
        assert_eq!(wrap("", 80), [""]);
        assert_eq!(wrap("  error: a b", 80), ["  error: a b"]);
        let exact = "12345 78901 34567 90";
        assert_eq!(wrap(exact, 20), [exact]);
    }

    #[test]
    fn lines_break_between_words_and_long_words_between_characters() {
        assert_eq!(
            wrap("  error: the target said no to this profile", 24),
            ["  error: the target said", "    no to this profile"]
        );
        let shown = wrap(&format!("  a {} b", "x".repeat(40)), 20);
        assert_eq!(shown[0], "  a");
        assert_eq!(shown[1], format!("    {}", "x".repeat(16)));
        assert_eq!(shown.last().unwrap(), "    xxxxxxxx b");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_character_is_lost() {
        for text in [
            "größer ".repeat(40),
            "漢字".repeat(60),
            "e\u{301}".repeat(90),
            "a ".repeat(99),
        ] {
            for width in [20, 21, 80, 120] {
                let lines = wrap(&text, width);
                assert!(lines.iter().all(|line| line.width() <= width), "{lines:?}");
                let plain = |text: &str| text.replace(' ', "");
                assert_eq!(plain(&lines.concat()), plain(&text));
            }
        }
    }
}
