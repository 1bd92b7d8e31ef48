//! Names of this relay in the `Host` header of admin requests.

use crate::reader::Scope;

/// Longest name of the DNS (RFC 1035), in characters.
const LONGEST_NAME: usize = 253;
/// Longest label of a DNS name (RFC 1035), in characters.
const LONGEST_LABEL: usize = 63;

const KEY: &str = "admin-hosts";

/// The names of `admin-hosts`, in lower case and without a dot at the end; none if the key is absent.
pub(super) fn admin_hosts(root: &Scope<'_>) -> Option<Vec<String>> {
    match root.text(KEY) {
        None => (!root.is_faulty(KEY)).then(Vec::new),
        Some(_) => root.parse(KEY, names),
    }
}

fn names(text: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for name in text.split(',') {
        let name = name.trim().to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        if let Some(problem) = problem(name) {
            return Err(format!(
                "{problem}; write names separated by commas, such as relay.example.com, *.corp.example"
            ));
        }
        if !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
    }
    Ok(found)
}

/// The problem of a name, as a text that follows the value; `None` if the name is valid.
fn problem(name: &str) -> Option<&'static str> {
    let label = |label: &str| {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=LONGEST_LABEL).contains(&label.len()) && label.bytes().all(is_plain)
    };
    let plain = name.strip_prefix("*.").unwrap_or(name);
    match name {
        "" => Some("has an empty name"),
        "*" => Some("has `*`, which would be every host"),
        _ if name.contains("//") => Some("has an address with a scheme; a host is wanted"),
        _ if name.contains('/') => Some("has a path; a host is wanted"),
        _ if name.contains(':') => {
            Some("has a port or an IPv6 address: ports are ignored, and IP addresses always pass")
        }
        _ if plain.contains('*') => Some("has a `*` that is not the first label"),
        _ if name.len() > LONGEST_NAME || !plain.split('.').all(label) => {
            Some("has a name that is no host name")
        }
        _ => None,
    }
}
