//! The characters that the two generations of Pyroscope allow in a name, and the texts of their errors.

use std::fmt;

use thiserror::Error;

use crate::byte_set::ByteSet;

/// The generation of servers by whose rules a name is parsed. The generations differ in allowed
/// characters and in the words of an error. Every name that legacy accepts, modern accepts with the
/// same result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Pyroscope up to 0.37: no `/` in an application name, no `.` in a key.
    Legacy,
    /// Grafana Pyroscope 1.0 and later.
    Modern,
}

/// Why a name is refused. `Display` is the text of a server of that dialect.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameFault {
    /// The name has no application before the braces, or the query has no `name` parameter.
    #[error("{} is required", .0.what_an_app_is())]
    AppRequired(Dialect),
    /// The application has a character that the dialect does not allow.
    #[error("invalid {}: {app}: character is not allowed: {}", .dialect.what_an_app_is(), QuotedChar(*.character))]
    AppCharacter {
        dialect: Dialect,
        app: String,
        character: char,
    },
    /// A `=` has no key before it.
    #[error("{} is required", .0.what_a_key_is())]
    KeyRequired(Dialect),
    /// A key has a character that the dialect does not allow.
    #[error("invalid {}: {key}: character is not allowed: {}", .dialect.what_a_key_is(), QuotedChar(*.character))]
    KeyCharacter {
        dialect: Dialect,
        key: String,
        character: char,
    },
}

impl Dialect {
    pub(super) fn check_app(self, app: &str) -> Result<(), NameFault> {
        if app.is_empty() {
            return Err(NameFault::AppRequired(self));
        }
        match first_refused(app, self.allowed_in_app()) {
            Some(character) => Err(NameFault::AppCharacter {
                dialect: self,
                app: app.to_owned(),
                character,
            }),
            None => Ok(()),
        }
    }

    /// Checks the key of a label.
    ///
    /// # Errors
    /// The key is empty, or has a character that this dialect does not allow.
    pub fn check_key(self, key: &str) -> Result<(), NameFault> {
        if key.is_empty() {
            return Err(NameFault::KeyRequired(self));
        }
        match first_refused(key, self.allowed_in_key()) {
            Some(character) => Err(NameFault::KeyCharacter {
                dialect: self,
                key: key.to_owned(),
                character,
            }),
            None => Ok(()),
        }
    }

    fn allowed_in_app(self) -> &'static ByteSet {
        static LEGACY: ByteSet = ByteSet::alphanumeric_and(b"_.-");
        static MODERN: ByteSet = ByteSet::alphanumeric_and(b"_.-/");
        match self {
            Self::Legacy => &LEGACY,
            Self::Modern => &MODERN,
        }
    }

    fn allowed_in_key(self) -> &'static ByteSet {
        static LEGACY: ByteSet = ByteSet::alphanumeric_and(b"_");
        static MODERN: ByteSet = ByteSet::alphanumeric_and(b"_.");
        match self {
            Self::Legacy => &LEGACY,
            Self::Modern => &MODERN,
        }
    }

    fn what_an_app_is(self) -> &'static str {
        match self {
            Self::Legacy => "application name",
            Self::Modern => "service name",
        }
    }

    fn what_a_key_is(self) -> &'static str {
        match self {
            Self::Legacy => "tag key",
            Self::Modern => "label name",
        }
    }
}

/// The first character that is not allowed. All allowed characters are ASCII, so the first byte that is not
/// allowed begins a character.
fn first_refused(text: &str, allowed: &ByteSet) -> Option<char> {
    let at = allowed.first_not_in(text.as_bytes())?;
    text.get(at..)?.chars().next()
}

/// Prints a character as Go's `%q` does: in single quotes, escaped if it cannot be seen.
struct QuotedChar(char);

impl fmt::Display for QuotedChar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = u32::from(self.0);
        match self.0 {
            '\'' => f.write_str(r"'\''"),
            '\\' => f.write_str(r"'\\'"),
            '\x07' => f.write_str(r"'\a'"),
            '\x08' => f.write_str(r"'\b'"),
            '\x0c' => f.write_str(r"'\f'"),
            '\n' => f.write_str(r"'\n'"),
            '\r' => f.write_str(r"'\r'"),
            '\t' => f.write_str(r"'\t'"),
            '\x0b' => f.write_str(r"'\v'"),
            c if c.is_ascii_control() => write!(f, r"'\x{code:02x}'"),
            c if is_printable(c) => write!(f, "'{c}'"),
            _ if code < 0x1_0000 => write!(f, r"'\u{code:04x}'"),
            _ => write!(f, r"'\U{code:08x}'"),
        }
    }
}

/// Whether a character is printed without an escape. The standard library offers its table of printable
/// characters only through `escape_debug`, which escapes a combining mark at the start of a text; so a letter
/// is put before the character.
fn is_printable(c: char) -> bool {
    let pair = String::from_iter(['a', c]);
    c == '"' || pair.escape_debug().eq(pair.chars())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_quoted_as_go_quotes_them() {
        for (c, quoted) in [
            (' ', "' '"),
            ('"', "'\"'"),
            ('\'', r"'\''"),
            ('\\', r"'\\'"),
            ('\n', r"'\n'"),
            ('\0', r"'\x00'"),
            ('\x7f', r"'\x7f'"),
            ('\u{85}', r"'\u0085'"),
            ('ü', "'ü'"),
            ('日', "'日'"),
            ('\u{a0}', r"'\u00a0'"),
            ('\u{301}', "'\u{301}'"),
            ('\u{fffd}', "'\u{fffd}'"),
            ('\u{e0001}', r"'\U000e0001'"),
            ('\x0b', r"'\v'"),
        ] {
            assert_eq!(QuotedChar(c).to_string(), quoted);
        }
    }

    #[test]
    fn each_dialect_refuses_in_its_own_words() {
        let app = |dialect: Dialect, app| dialect.check_app(app).unwrap_err().to_string();
        let key = |dialect: Dialect, key| dialect.check_key(key).unwrap_err().to_string();
        let (legacy, modern) = (Dialect::Legacy, Dialect::Modern);

        assert_eq!(app(legacy, ""), "application name is required");
        assert_eq!(app(modern, ""), "service name is required");
        assert_eq!(
            app(legacy, "foo bar"),
            "invalid application name: foo bar: character is not allowed: ' '"
        );
        assert_eq!(
            app(modern, "foo bar"),
            "invalid service name: foo bar: character is not allowed: ' '"
        );
        assert_eq!(key(legacy, ""), "tag key is required");
        assert_eq!(key(modern, ""), "label name is required");
        assert_eq!(
            key(legacy, "a.b"),
            "invalid tag key: a.b: character is not allowed: '.'"
        );
        assert_eq!(
            key(modern, "a-b"),
            "invalid label name: a-b: character is not allowed: '-'"
        );
    }
}
