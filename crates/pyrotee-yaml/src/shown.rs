//! The texts of faults: keys and values as a fault may show them.

/// Longest part of a key that a fault shows, in characters.
const MAX_SHOWN: usize = 63;

/// Longest value that a fault repeats, in characters.
const MAX_VALUE: usize = 60;

/// A path of keys as a fault shows it, joined by dots.
pub fn dotted<S: AsRef<str>>(path: &[S]) -> String {
    path.iter()
        .map(|key| shown(key.as_ref()))
        .collect::<Vec<_>>()
        .join(".")
}

/// A key as a fault may show it: cut at the first character that no valid key has.
///
/// A missing space or a wrong indentation turns values into keys (`auth-token:SECRET`,
/// `http://user:SECRET@host`), so the text behind such a character is not repeated.
pub fn shown(key: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || "_-.".contains(*c);
    let mut start: String = key.chars().take_while(plain).take(MAX_SHOWN).collect();
    if start.len() < key.len() {
        start.push('…');
    }
    start
}

/// A value, as a fault may show it that is not about a secret: in backticks and cut. A text that looks like a URL with
/// credentials, or has control characters, is `the value`.
pub fn shown_value(text: &str) -> String {
    if text.is_empty() {
        return "an empty value".to_owned();
    }
    if text.contains('@') || text.contains("//") || text.chars().any(char::is_control) {
        return "the value".to_owned();
    }
    let mut start: String = text.chars().take(MAX_VALUE).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    format!("`{start}`")
}

/// The text "problem: remedy" of another crate in the form of a fault: "problem; remedy".
pub fn with_semicolon(text: &str) -> String {
    match text.rsplit_once(": ") {
        Some((problem, remedy)) => format!("{problem}; {remedy}"),
        None => text.to_owned(),
    }
}
