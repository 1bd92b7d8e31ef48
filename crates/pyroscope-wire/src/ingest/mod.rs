//! `POST …/ingest`: the surface whose labels and times are query parameters.
//!
//! Invariant: a query is never rebuilt. A target gets the client's query, in which at most the values
//! of `name`, `from` and `until` are replaced.

mod describe;

use std::fmt::Write;
use std::time::SystemTime;

pub use describe::describe;

pub use crate::describe::{Description, Format};
use crate::name::{Dialect, Name, NameFault};
use crate::query::{self, QueryValue};
use crate::raw_path::last_segments_are;
use crate::tags::Tags;
use crate::time;

/// Whether a `POST` to this raw path is for `/ingest`.
pub(crate) fn recognises(path: &str) -> bool {
    last_segments_are(path, &["ingest"])
}

/// Checks that some generation of Pyroscope accepts the name in this query.
///
/// The name is checked against the modern dialect only, because the modern dialect accepts every
/// name that the legacy dialect accepts.
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

/// Whether `from` and `until` are both absolute times. An absent, empty or relative time depends on when the
/// request is received.
pub fn has_absolute_times(raw_query: &str) -> bool {
    let times = query::first(raw_query, ["from", "until"]);
    let is_absolute = |time: &Option<QueryValue<'_>>| {
        time.as_ref()
            .is_some_and(|time| time::is_absolute(&time.decode()))
    };
    times.iter().all(is_absolute)
}

/// Makes the query for a target: the client's query with the target's tags and with absolute times.
///
/// - `name`: the tags are added, replacing labels of the same key, and the value is encoded anew.
///   Without tags the bytes of the value stay unchanged.
/// - `from`, `until`: appended as Unix nanoseconds of receipt if absent, replaced by Unix nanoseconds if empty
///   or relative (`now-1h`), unchanged if absolute. A target would read an absent or relative time as the time
///   of delivery, and a target keeps only one of several profiles with equal times and series.
///
/// # Errors
/// No Pyroscope accepts the name; the fault is in the words of the modern dialect.
pub fn target_query(
    raw_query: &str,
    tags: &Tags,
    received: SystemTime,
) -> Result<String, NameFault> {
    let [name, from, until] = query::first(raw_query, ["name", "from", "until"]);
    let decoded = name.as_ref().map(QueryValue::decode).unwrap_or_default();
    let retagged = if tags.is_empty() {
        Name::check(&decoded, Dialect::Modern)?;
        None
    } else {
        let mut parsed = Name::parse(&decoded, Dialect::Modern)?;
        parsed.apply(tags);
        Some(NewValue::Name(parsed))
    };

    let decoded = [&from, &until].map(|time| time.as_ref().map(QueryValue::decode));
    let [old_from, old_until] = decoded.each_ref().map(Option::as_deref);
    let new = time::resolve_both(old_from, old_until, received);
    let missing = [
        ("from", new.from.filter(|_| from.is_none())),
        ("until", new.until.filter(|_| until.is_none())),
    ];
    let edits = [
        name.zip(retagged),
        from.zip(new.from.map(NewValue::Nanos)),
        until.zip(new.until.map(NewValue::Nanos)),
    ];
    let mut query = query::replace(raw_query, &edits, |value, out| match value {
        NewValue::Name(name) => name.write_to(out),
        NewValue::Nanos(nanos) => write!(out, "{nanos:019}"),
    });
    for (key, nanos) in missing {
        if let Some(nanos) = nanos {
            let _always_ok = write!(query, "&{key}={nanos:019}");
        }
    }
    Ok(query)
}

/// The new value of a query parameter.
enum NewValue<'n> {
    Name(Name<'n>),
    /// A time, in 19 digits: fewer would be read as seconds.
    Nanos(u64),
}

#[cfg(test)]
mod tests;
