//! `POST …/ingest`: the surface whose labels and times are query parameters.
//!
//! Invariant: a query is never rebuilt. What goes to a target is the client's query with the values
//! of `name`, `from` and `until` replaced where they have to be, and nothing else.

mod describe;

use std::fmt::Write;
use std::time::SystemTime;

pub use describe::describe;

pub use crate::describe::{Description, Format};
use crate::name::{Dialect, Name, NameFault};
use crate::query::{self, Value};
use crate::row::{Row, last_segments_are};
use crate::tags::Tags;
use crate::time::{self, Resolved};

pub(crate) const ROW: Row = Row {
    id: 1,
    name: "ingest",
    canonical_path: "/ingest",
    recognise: |path| last_segments_are(path, &["ingest"]),
};

/// Tells whether some generation of Pyroscope would accept the name in this query.
///
/// Asking the modern dialect is enough: whatever the legacy one accepts, it accepts as well.
///
/// # Errors
/// The fault in the words of the modern dialect.
pub fn check_name(raw_query: &str) -> Result<(), NameFault> {
    let [name] = query::first(raw_query, ["name"]);
    Name::check(
        &name.map(|value| value.decode()).unwrap_or_default(),
        Dialect::Modern,
    )
}

/// Makes the query for a target that gets the profile later, and with tags of its own.
///
/// - `name`: the tags are put in, replacing labels of the same key, and the whole is encoded anew.
///   Without tags its bytes stay as they are.
/// - `from`, `until`: appended as Unix seconds of receipt if absent, replaced by Unix seconds if
///   empty or relative (`now-1h`), untouched if absolute. Otherwise the target would take the time
///   of delivery.
///
/// # Errors
/// The name is one that no Pyroscope accepts; the words are those of the modern dialect.
pub fn target_query(
    raw_query: &str,
    tags: &Tags,
    received: SystemTime,
) -> Result<String, NameFault> {
    let [name, from, until] = query::first(raw_query, ["name", "from", "until"]);
    let decoded = name.as_ref().map(Value::decode).unwrap_or_default();
    let retagged = if tags.is_empty() {
        Name::check(&decoded, Dialect::Modern)?;
        None
    } else {
        let mut parsed = Name::parse(&decoded, Dialect::Modern)?;
        parsed.apply(tags);
        Some(Text::Name(parsed))
    };

    let missing = [("from", from.is_none()), ("until", until.is_none())];
    let edits = [
        name.zip(retagged),
        settled(from, received),
        settled(until, received),
    ];
    let mut query = query::replace(raw_query, &edits, |text, out| match text {
        Text::Name(name) => name.write_to(out),
        Text::Seconds(seconds) => write!(out, "{seconds}"),
    });
    for (key, is_missing) in missing {
        if is_missing {
            let _always_ok = write!(query, "&{key}={}", time::unix_seconds(received));
        }
    }
    Ok(query)
}

/// A time that is counted from now, and what it was at receipt.
fn settled<'q, 'n>(time: Option<Value<'q>>, received: SystemTime) -> Option<(Value<'q>, Text<'n>)> {
    let time = time?;
    match time::resolve(&time.decode(), received) {
        Resolved::Absolute => None,
        Resolved::Relative(seconds) => Some((time, Text::Seconds(seconds))),
    }
}

/// What takes the place of a value.
enum Text<'n> {
    Name(Name<'n>),
    Seconds(u64),
}

#[cfg(test)]
mod tests;
