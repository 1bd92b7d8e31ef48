//! The ids of letters, from which the names of their files are made.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use super::Error;

/// Fewest digits of the number, so that names sort in the order of the numbers.
const DIGITS: usize = 6;

/// Longest name of a target, in bytes.
const LONGEST_TARGET: usize = 63;

/// The id of a letter and of its files: time, number and target. A text that parses as an id is never a path out of the
/// directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Number of the letter, which grows by one for each letter. The first field, because ids are ordered by it.
    pub number: u64,
    /// When the target rejected the record, in whole milliseconds.
    pub at: SystemTime,
    /// Name of the target that rejected the record.
    pub target: String,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Colons, and dashes within the time, are inconvenient in a shell.
        let mut time = humantime::format_rfc3339_millis(self.at).to_string();
        time.retain(|c| !matches!(c, '-' | ':'));
        let Self { number, target, .. } = self;
        write!(f, "{time}-{number:0DIGITS$}-{target}")
    }
}

impl FromStr for Id {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let no_id = || Error::NoId(text.to_owned());
        let id = Self::read(text).ok_or_else(no_id)?;
        // Each id has one spelling, so that ids and file names correspond.
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(no_id())
        }
    }
}

impl Id {
    fn read(text: &str) -> Option<Self> {
        let (time, rest) = text.split_once('-')?;
        let (number, target) = rest.split_once('-')?;
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let named = (1..=LONGEST_TARGET).contains(&target.len()) && target.bytes().all(is_name);
        if !digits || !named {
            return None;
        }
        Some(Self {
            number: number.parse().ok()?,
            at: read_time(time)?,
            target: target.to_owned(),
        })
    }
}

/// Reads `20261124T104300.123Z`.
fn read_time(text: &str) -> Option<SystemTime> {
    let (date, clock, rest) = (text.get(0..8)?, text.get(9..15)?, text.get(15..)?);
    let whole = format!(
        "{}-{}-{}T{}:{}:{}{rest}",
        date.get(0..4)?,
        date.get(4..6)?,
        date.get(6..8)?,
        clock.get(0..2)?,
        clock.get(2..4)?,
        clock.get(4..6)?,
    );
    humantime::parse_rfc3339(&whole).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_516_980_123);
        for (number, target, text) in [
            (42, "central", "20261124T104300.123Z-000042-central"),
            (9_999_999, "a-1.b_c", "20261124T104300.123Z-9999999-a-1.b_c"),
        ] {
            let target = target.to_owned();
            let id = Id { number, at, target };
            assert_eq!(id.to_string(), text);
            assert_eq!(text.parse::<Id>().unwrap(), id);
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let right = "20261124T104300.123Z-000042-central";
        for text in [
            "",
            "42",
            "../etc/passwd",
            "20261124T104300.123Z-000042-../../etc/passwd",
            "20261124T104300.123Z-000042-a/b",
            "20261124T104300.123Z-000042-",
            "20261124T104300.123Z-42-central",
            "20261124T104300.123Z-0000042-central",
            "20261124T104300.123Z-+00042-central",
            "20261124T104300Z-000042-central",
            "20261324T104300.123Z-000042-central",
            "2026112\u{e9}T104300.123Z-000042-central",
            "/20261124T104300.123Z-000042-central",
            &format!("{right}\0"),
            &format!("{right}.http/"),
            &format!("{right}{}", "x".repeat(60)),
        ] {
            assert!(text.parse::<Id>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_order_is_that_of_the_numbers_whatever_the_clock_does() {
        let early: Id = "20261124T104300.123Z-000043-a".parse().unwrap();
        let late: Id = "20271124T104300.123Z-000042-b".parse().unwrap();
        assert!(late < early);
    }
}
