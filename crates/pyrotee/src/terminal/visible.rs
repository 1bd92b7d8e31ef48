//! Text from the network, made harmless for a terminal.

use std::fmt::Write;

/// Whoever sends a profile must not be able to move the cursor or to forge a line.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            write!(out, "{}", c.escape_default()).expect("a String takes all that is written");
        } else {
            out.push(c);
        }
    }
    out
}
