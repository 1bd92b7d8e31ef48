//! Names on the broker: streams, subjects, consumers.
//!
//! | what | name |
//! |---|---|
//! | stream of a target | `‹prefix›-‹target›` |
//! | records of a surface | `‹prefix›.‹target›.‹surface number›` |
//! | consumer of a surface | `s‹surface number›` |
//! | what relays tell each other | `‹prefix›.fleet` |
//!
//! The names of targets are coded: NATS allows no dots, spaces and wildcards in the names of streams.

use std::fmt::Write;

use pyrotee_queue::SurfaceId;

/// The stream of a target.
pub(crate) fn stream(prefix: &str, target: &str) -> String {
    format!("{prefix}-{}", coded(target))
}

/// The subject of the records of a target's surface.
pub(crate) fn subject(prefix: &str, target: &str, surface: SurfaceId) -> String {
    format!("{prefix}.{}.{}", coded(target), surface.0)
}

/// The subjects of all records of a target.
pub(crate) fn subjects(prefix: &str, target: &str) -> String {
    format!("{prefix}.{}.*", coded(target))
}

/// The consumer of a surface's records.
pub(crate) fn consumer(surface: SurfaceId) -> String {
    format!("s{}", surface.0)
}

/// The subject of a request for the next records of a surface.
pub(crate) fn next_message(stream: &str, surface: SurfaceId) -> String {
    format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{}", consumer(surface))
}

/// The subject on which the relays of a fleet tell each other that they live.
pub(crate) fn fleet(prefix: &str) -> String {
    format!("{prefix}.fleet")
}

/// The target of which `subjects` is. `None`: these are not the subjects of a target of this prefix.
pub(crate) fn target_of(prefix: &str, subjects: &str) -> Option<String> {
    let rest = subjects.strip_prefix(prefix)?.strip_prefix('.')?;
    decoded(rest.strip_suffix(".*")?)
}

/// ASCII letters, digits and `-` stay; every other byte becomes `_` and two hexadecimal digits. So different targets
/// have different names.
fn coded(target: &str) -> String {
    let mut coded = String::with_capacity(target.len());
    for byte in target.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => coded.push(char::from(byte)),
            // Writing to a string cannot fail.
            other => write!(coded, "_{other:02X}").unwrap_or_default(),
        }
    }
    coded
}

fn decoded(coded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(coded.len());
    let mut rest = coded.as_bytes();
    while let [first, others @ ..] = rest {
        rest = others;
        if *first != b'_' {
            bytes.push(*first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = rest.get(2..)?;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_known_by_its_subjects() {
        for target in [
            "central",
            "a.b",
            "a_2Eb",
            "eu west/1",
            "größe",
            "*",
            ">",
            "-",
        ] {
            let subjects = subjects("p", target);
            assert_eq!(
                target_of("p", &subjects).as_deref(),
                Some(target),
                "{subjects}"
            );
            let middle = subjects
                .strip_prefix("p.")
                .unwrap()
                .strip_suffix(".*")
                .unwrap();
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            assert!(middle.chars().all(is_plain), "{middle}");
        }
        assert_eq!(target_of("p", "pq.central.*"), None);
        assert_eq!(target_of("p", "p.central.1"), None);
        assert_eq!(target_of("p", "p.a_2.*"), None);
    }

    #[test]
    fn names_are_as_documented() {
        let surface = SurfaceId(2);
        assert_eq!(stream("pyrotee", "eu.1"), "pyrotee-eu_2E1");
        assert_eq!(subject("pyrotee", "eu.1", surface), "pyrotee.eu_2E1.2");
        assert_eq!(
            next_message("pyrotee-eu_2E1", surface),
            "$JS.API.CONSUMER.MSG.NEXT.pyrotee-eu_2E1.s2"
        );
        assert_eq!(fleet("pyrotee"), "pyrotee.fleet");
    }
}
